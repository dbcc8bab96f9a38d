//! Releases: signed folders of images that any web server can serve.
//!
//! [`keys`] makes and reads minisign keys, [`channel`] reads the definitions in `releases/`,
//! [`publish`] writes the folder, [`bills`] what tells what is in images, [`virt_builder`] the index
//! for virt-builder. What hosts make of
//! all that is in the package `catalogue`.

pub mod bills;
pub mod channel;
pub mod keys;
pub mod publish;
pub mod virt_builder;

use crate::{formats, fs};
use std::path::PathBuf;

/// Why nothing was released.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// An image.
    #[error(transparent)]
    Image(#[from] formats::Error),
    /// A key can't be used.
    #[error("{}: {reason}", .path.display())]
    Key {
        /// Its file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// A definition or an earlier release is wrong.
    #[error("{}: {reason}", .path.display())]
    Wrong {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The release would be refused by hosts.
    #[error("nothing is published: {0}")]
    Refused(String),
}
