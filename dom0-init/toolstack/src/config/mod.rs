//! Guests' configs: the classic format, which is a piece of Python, without running Python.
//!
//! [`token`] and [`parse`] know the format, [`disk`], [`vif`] and [`cpus`] what is written inside
//! of strings, [`read`] the keys. The result is a [`guest::Guest`], or every [`problem`] at once.

pub mod cpus;
pub mod disk;
pub mod guest;
mod parse;
pub mod problem;
mod read;
mod token;
mod value;
pub mod vif;

pub use read::guest as read;
