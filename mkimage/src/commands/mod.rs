//! What each subcommand does.

pub mod lock;
pub mod packages;
