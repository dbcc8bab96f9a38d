//! Packed clusters: raw deflate, each for itself.

use crate::error::{Error, Result};
use crate::storage::Storage;

/// The cluster that was unpacked last: who reads one, reads all of it bit by bit.
#[derive(Debug, Default)]
pub struct Unpacked {
    offset: u64,
    bytes: Vec<u8>,
}

impl Unpacked {
    /// A packed cluster's bytes.
    ///
    /// # Errors
    /// When it can't be read, or doesn't unpack to a whole cluster.
    pub fn cluster(
        &mut self,
        storage: &impl Storage,
        offset: u64,
        length: u64,
        cluster: u64,
    ) -> Result<&[u8]> {
        if self.offset != offset || self.bytes.is_empty() {
            // A packed cluster isn't longer than a plain one, but for the sector that it ends in.
            let length = length.min(2 * cluster + 512);
            let mut packed = vec![0; usize::try_from(length).unwrap_or(0)];
            storage.read(offset, &mut packed)?;
            let mut bytes = vec![0; usize::try_from(cluster).unwrap_or(0)];
            unpack(&packed, &mut bytes)?;
            *self = Self { offset, bytes };
        }
        Ok(&self.bytes)
    }

    /// Forgets it: its place in the file may come to hold something else.
    pub fn forget(&mut self) {
        self.bytes.clear();
    }
}

fn unpack(packed: &[u8], bytes: &mut [u8]) -> Result<()> {
    let parts = std::iter::once(packed);
    match miniz_oxide::inflate::decompress_slice_iter_to_slice(bytes, parts, false, true) {
        Ok(length) if length == bytes.len() => Ok(()),
        _ => Err(Error::Damaged("a packed cluster")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_packed_comes_back_and_nonsense_does_not() {
        let plain: Vec<u8> = (0..65536_u32).map(|n| (n / 100) as u8).collect();
        let mut packed = miniz_oxide::deflate::compress_to_vec(&plain, 6);
        // It ends somewhere in a sector.
        packed.resize(packed.len().next_multiple_of(512), 0xa5);
        let mut bytes = vec![0; 65536];
        unpack(&packed, &mut bytes).unwrap();
        assert_eq!(bytes, plain);
        assert!(unpack(&packed[..100], &mut bytes).is_err());
        assert!(unpack(&packed, &mut bytes[..65535]).is_err());
        assert!(unpack(&[0xff; 600], &mut bytes).is_err());
    }
}
