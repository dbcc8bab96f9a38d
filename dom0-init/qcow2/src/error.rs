//! What can be wrong with an image.

use std::io;

use thiserror::Error;

/// Why an image can't be used, or a request not be done.
#[derive(Debug, Error)]
pub enum Error {
    /// The file is something else.
    #[error("it is no qcow2 image: for one with the bytes as they are write file: or tap:aio:")]
    NotQcow2,
    /// The format is newer, or older.
    #[error("it is a qcow2 image of version {0}: versions 2 and 3 are known")]
    Version(u32),
    /// The guest's data are encrypted.
    #[error("it is encrypted: `qemu-img convert` with the key makes one that isn't")]
    Encrypted,
    /// The data lie in another file.
    #[error("it keeps its data in another file: `qemu-img convert` makes one that doesn't")]
    ExternalData,
    /// Something that isn't understood.
    #[error("it has {0}: `qemu-img convert -O qcow2` makes one without")]
    Feature(&'static str),
    /// A program that counts late didn't end well.
    #[error("it wasn't closed in order: mend it with `qemu-img check -r leaks`")]
    Dirty,
    /// Somebody found it damaged.
    #[error("it is marked as corrupt: mend it with `qemu-img check -r all`, after a copy")]
    MarkedCorrupt,
    /// It contradicts itself.
    #[error("it is damaged ({0}): mend it with `qemu-img check -r all`, after a copy")]
    Damaged(&'static str),
    /// Its tables have no room for more.
    #[error("it can't grow any more: `qemu-img convert` makes one with larger clusters")]
    Full,
    /// Beyond its end.
    #[error("it has no such sectors")]
    OutOfRange,
    /// It was opened to be read.
    #[error("it may only be read")]
    ReadOnly,
    /// As the system has it.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// The result of everything here.
pub type Result<T> = std::result::Result<T, Error>;
