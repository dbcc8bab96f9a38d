//! Time: the clock that follows from the TSC ([`clock`]), what guests are told of it
//! ([`guest`]), and how vCPUs spend it ([`runstate`]).

pub(crate) mod area;
pub mod clock;
pub mod guest;
pub mod runstate;
