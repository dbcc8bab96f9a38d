//! Entries of the mapping's tables: where a cluster of the guest lies.

use crate::error::{Error, Result};
use crate::header::{Header, OFFSET};

/// Nobody else uses what this points to: it may be written where it is.
pub const OWNED: u64 = 1 << 63;
const COMPRESSED: u64 = 1 << 62;
/// Reads as zeroes, whatever it points to.
pub const ZERO: u64 = 1;

/// Where a cluster of the guest lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Behind this image, or nowhere.
    Absent,
    /// Nowhere; a cluster of the file may be kept for it.
    Zero {
        /// Which, and whether nobody else uses it.
        kept: Option<(u64, bool)>,
    },
    /// In the file.
    Data {
        /// Where.
        offset: u64,
        /// Nobody else uses it.
        owned: bool,
    },
    /// In the file, packed.
    Packed {
        /// Where.
        offset: u64,
        /// How many bytes at most.
        length: u64,
    },
}

impl Cluster {
    /// What an entry of a second table means.
    ///
    /// # Errors
    /// When it means nothing.
    pub fn of(entry: u64, header: &Header) -> Result<Self> {
        if entry & COMPRESSED != 0 {
            let offset_bits = 62 - (header.cluster_bits - 8);
            let offset = entry & ((1 << offset_bits) - 1);
            let sectors = (entry & !(OWNED | COMPRESSED)) >> offset_bits;
            if offset & !OFFSET > 511 {
                return Err(Error::Damaged("where a packed cluster is"));
            }
            return Ok(Self::Packed { offset, length: (sectors + 1) * 512 - offset % 512 });
        }
        let offset = entry & OFFSET;
        let zero = entry & ZERO != 0;
        if !offset.is_multiple_of(header.cluster())
            || entry & !(OWNED | OFFSET | ZERO) != 0
            || zero && header.version < 3
        {
            return Err(Error::Damaged("where a cluster is"));
        }
        let owned = entry & OWNED != 0;
        Ok(match (zero, offset) {
            (true, 0) => Self::Zero { kept: None },
            (true, offset) => Self::Zero { kept: Some((offset, owned)) },
            (false, 0) => Self::Absent,
            (false, offset) => Self::Data { offset, owned },
        })
    }
}

/// Where a second table is, by its entry in the first one, and whether it may be written there.
///
/// # Errors
/// When the entry means nothing.
pub fn table(entry: u64, header: &Header) -> Result<Option<(u64, bool)>> {
    let offset = entry & OFFSET;
    if !offset.is_multiple_of(header.cluster()) || entry & !(OWNED | OFFSET) != 0 {
        return Err(Error::Damaged("where a table is"));
    }
    Ok((offset != 0).then_some((offset, entry & OWNED != 0)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::empty_image;

    #[test]
    fn entries() {
        let header = Header::read(&empty_image(16, 1 << 30)).unwrap();
        let of = |entry| Cluster::of(entry, &header).ok();
        assert_eq!(of(0), Some(Cluster::Absent));
        assert_eq!(of(1), Some(Cluster::Zero { kept: None }));
        assert_eq!(of(0x5_0001 | OWNED), Some(Cluster::Zero { kept: Some((0x5_0000, true)) }));
        assert_eq!(of(0x5_0000), Some(Cluster::Data { offset: 0x5_0000, owned: false }));
        assert_eq!((of(0x5_0200), of(2)), (None, None));
        // 16 - 8 bits of length in sectors, above 54 bits of offset.
        let packed = COMPRESSED | 3 << 54 | 0x5_0123;
        let length = 4 * 512 - 0x123;
        assert_eq!(of(packed), Some(Cluster::Packed { offset: 0x5_0123, length }));
        assert_eq!(table(0x5_0000 | OWNED, &header).unwrap(), Some((0x5_0000, true)));
        assert_eq!(table(0, &header).unwrap(), None);
        assert!(table(0x5_0001, &header).is_err());
    }
}
