//! Why an image can't be read or written.

use std::io;

/// Result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why an image can't be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading or writing failed.
    #[error("{}", reason(.0))]
    Io(#[from] io::Error),
    /// The image is damaged, or was never one.
    #[error("{0}")]
    Damaged(String),
    /// The image is of a kind that isn't read or can't be written.
    #[error("{0}")]
    Unsupported(String),
}

impl Error {
    /// A damaged image.
    pub fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// An image of a kind that isn't known.
    pub fn unsupported(what: impl Into<String>) -> Self {
        Self::Unsupported(what.into())
    }

    /// Whether the disk or the quota is full.
    pub fn is_disk_full(&self) -> bool {
        let full = |error: &io::Error| {
            matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
        };
        matches!(self, Self::Io(error) if full(error))
    }
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "the file ends too early".to_owned(),
        _ => error.to_string(),
    }
}
