//! What each subcommand does.

pub mod build;
pub mod compare;
pub mod convert;
pub mod flash;
pub mod lock;
pub mod packages;
pub mod release;
pub mod run;
pub mod verify;
