//! Interrupt controllers.

pub mod io;
pub mod local;
pub mod pic;
