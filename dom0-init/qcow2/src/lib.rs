//! Disk images in QEMU's format, version 2 and 3, read and written.
//!
//! An [`Image`] lies in a [`Storage`], usually a file, and may have another image behind it (its
//! backing) for what it doesn't hold itself. [`header`] is the file's first cluster, [`mapping`]
//! where the guest's clusters lie, [`tables`] the part of that which is in memory, [`refcounts`]
//! which clusters of the file are in use.
//!
//! **Whatever ends the program, the image is whole.** A cluster is counted as used before anything
//! may point to it, what it holds is written before something does, and it is counted as free only
//! when that nothing points to it any more is on the disk. So a program that is killed leaves at
//! worst clusters that are counted and not used, and after a power failure what was flushed is
//! there. Changes of tables stay in memory until [`Image::commit`]: who answers for a write calls
//! that first, and what was answered is in the file from then on.
//!
//! The file may come from anywhere: each number in it is checked before it is used, and guests
//! never write to clusters that hold the image's own tables.
//!
//! The format is described in QEMU's `docs/interop/qcow2.txt`.
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing))]

mod compressed;
mod error;
pub mod header;
mod image;
mod mapping;
mod refcounts;
mod storage;
mod tables;
#[cfg(test)]
mod testing;

pub use error::{Error, Result};
pub use header::{Backing, Header};
pub use image::{Image, Layer};
pub use storage::Storage;
