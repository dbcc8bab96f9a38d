//! Disk images in the forms that other programs use.
//!
//! [`Disk`] is what all of them are once they are open: a size, bytes, and where there are any.
//! Each format is a module with a reader that is a [`Disk`], and a `write` that takes one;
//! [`convert`] chooses among them. Readers take what strangers made: they check all of it, and
//! never panic. Writers give the same bytes for the same content, wherever and whenever they run.

#![forbid(unsafe_code)]

pub mod blocks;
pub mod bmap;
pub mod convert;
pub mod disk;
mod error;
pub mod input;
pub mod ova;
pub mod ovf;
pub mod qcow2;
pub mod raw;
pub mod sparse_tar;
pub mod vhd;
pub mod vmdk;
mod words;
pub mod zst;

pub use disk::Disk;
pub use error::{Error, Result};
pub use input::Input;
