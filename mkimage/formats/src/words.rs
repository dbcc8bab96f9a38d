//! Numbers in headers, read and written at offsets.

use crate::{Error, Result};

/// A header or table that is read.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a>(pub &'a [u8]);

impl Words<'_> {
    fn array<const N: usize>(self, at: usize) -> Result<[u8; N]> {
        let bytes = at.checked_add(N).and_then(|end| self.0.get(at..end));
        bytes
            .and_then(|bytes| bytes.try_into().ok())
            .ok_or_else(|| Error::damaged("its header is too short"))
    }

    /// Big-endian, as qcow2 and VHD have it.
    pub fn be32(self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_be_bytes)
    }

    /// Big-endian.
    pub fn be64(self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_be_bytes)
    }

    /// Little-endian, as VMDK has it.
    pub fn le16(self, at: usize) -> Result<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    /// Little-endian.
    pub fn le32(self, at: usize) -> Result<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    /// Little-endian.
    pub fn le64(self, at: usize) -> Result<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}

/// A header that is put together: fields one after the other.
#[derive(Debug, Default)]
pub struct Header(Vec<u8>);

impl Header {
    /// Adds a field.
    pub fn field(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.0.extend_from_slice(bytes.as_ref());
        self
    }

    /// The fields alone.
    pub fn bytes(self) -> Vec<u8> {
        self.0
    }

    /// The fields, filled up with zeros to a length in bytes.
    pub fn padded(mut self, length: usize) -> Vec<u8> {
        self.0.resize(length, 0);
        self.0
    }
}

/// A table of 32-bit or 64-bit entries as bytes.
pub fn table<const N: usize>(entries: impl IntoIterator<Item = [u8; N]>) -> Vec<u8> {
    entries.into_iter().flatten().collect()
}
