//! What each subcommand does.

pub mod build;
pub mod lock;
pub mod packages;
pub mod run;
