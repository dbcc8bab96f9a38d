//! Verifying a file while it arrives: never more than was announced, and in the end exactly that.

use crate::hash::{Hasher, Sha256};

/// Why content isn't taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Wrong {
    /// There is more than was announced.
    #[error("it is larger than the {expected} bytes that the signed manifest announces")]
    TooLarge {
        /// The announced size in bytes.
        expected: u64,
    },
    /// There is less.
    #[error("it ends after {found} of {expected} bytes")]
    TooShort {
        /// The announced size in bytes.
        expected: u64,
        /// What there was.
        found: u64,
    },
    /// It is something else.
    #[error("its SHA-256 is {found}, and the signed manifest says {expected}")]
    Other {
        /// The announced digest.
        expected: Sha256,
        /// The digest of what there was.
        found: Sha256,
    },
}

/// Watches content as it arrives.
#[derive(Debug, Clone)]
pub struct Watch {
    size: u64,
    sha256: Sha256,
    seen: u64,
    hasher: Hasher,
}

impl Watch {
    /// For content of that size in bytes and that digest.
    pub fn new(size: u64, sha256: Sha256) -> Self {
        Self { size, sha256, seen: 0, hasher: Hasher::default() }
    }

    /// How many bytes there were.
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// How many bytes are missing.
    pub fn missing(&self) -> u64 {
        self.size.saturating_sub(self.seen)
    }

    /// More bytes came.
    ///
    /// # Errors
    /// [`Wrong::TooLarge`], and then they must not be written.
    pub fn add(&mut self, bytes: &[u8]) -> Result<(), Wrong> {
        if bytes.len() as u64 > self.missing() {
            return Err(Wrong::TooLarge { expected: self.size });
        }
        self.seen += bytes.len() as u64;
        self.hasher.update(bytes);
        Ok(())
    }

    /// No more bytes come.
    ///
    /// # Errors
    /// When this wasn't the content that was announced.
    pub fn finish(self) -> Result<(), Wrong> {
        if self.missing() > 0 {
            return Err(Wrong::TooShort { expected: self.size, found: self.seen });
        }
        let found = self.hasher.finish();
        let expected = self.sha256;
        if found == expected { Ok(()) } else { Err(Wrong::Other { expected, found }) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn watch(bytes: &[u8]) -> Result<(), Wrong> {
        let mut watch = Watch::new(10, Sha256::of(b"0123456789"));
        bytes.chunks(3).try_for_each(|chunk| watch.add(chunk))?;
        watch.finish()
    }

    #[test]
    fn only_what_was_announced_is_taken() {
        assert_eq!(watch(b"0123456789"), Ok(()));
        assert_eq!(watch(b"0123456789a"), Err(Wrong::TooLarge { expected: 10 }));
        assert_eq!(watch(b"012345678"), Err(Wrong::TooShort { expected: 10, found: 9 }));
        assert!(matches!(watch(b"0123456780"), Err(Wrong::Other { .. })));
    }
}
