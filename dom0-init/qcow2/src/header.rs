//! The first cluster of an image: what it is, and where its tables are.

use crate::error::{Error, Result};
use crate::storage::Storage;

const MAGIC: u32 = 0x5146_49fb;
/// Bytes of the header of version 2.
const SHORT: usize = 72;
/// Of version 3, as far as it is known.
const LONG: usize = 112;
/// Names of backing files are no longer.
const LONGEST_NAME: u32 = 1023;
/// Tables of more bytes than these belong to no image that makes sense.
const LARGEST_TABLE: u64 = 32 << 20;
/// Bits of an entry that are an address in the file; also a bound for everything in it.
pub(crate) const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

/// Where this program and others note what an image needs to be understood.
mod incompatible {
    pub const DIRTY: u64 = 1;
    pub const CORRUPT: u64 = 1 << 1;
    pub const EXTERNAL_DATA: u64 = 1 << 2;
    pub const COMPRESSION: u64 = 1 << 3;
    pub const EXTENDED_L2: u64 = 1 << 4;
}

/// Where the fields are that change.
pub(crate) const REFTABLE_FIELD: u64 = 48;
pub(crate) const AUTOCLEAR_FIELD: u64 = 88;

/// What an image wants behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backing {
    /// The file, as the image names it: check it before you open it.
    pub name: String,
    /// Its format, if the image says which.
    pub format: Option<String>,
}

/// The header, checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// The size of a cluster, as a power of two.
    pub cluster_bits: u32,
    /// What the guest sees, in bytes.
    pub size: u64,
    /// What is behind it.
    pub backing: Option<Backing>,
    /// Where the first table of the mapping is.
    pub(crate) l1_offset: u64,
    /// How many of its entries matter.
    pub(crate) l1_entries: usize,
    pub(crate) reftable_offset: u64,
    pub(crate) reftable_clusters: u32,
    /// A count has so many bits, as a power of two.
    refcount_order: u32,
    /// Others may have to count again.
    dirty: bool,
    /// What becomes wrong when somebody writes who doesn't know of it.
    pub(crate) autoclear: u64,
}

impl Header {
    /// Reads it.
    ///
    /// # Errors
    /// What it is instead of an image, or has that isn't supported.
    pub fn read(storage: &impl Storage) -> Result<Self> {
        let mut bytes = [0; LONG];
        storage.read(0, &mut bytes)?;
        let fields = Fields(&bytes);
        if fields.u32(0) != MAGIC {
            return Err(Error::NotQcow2);
        }
        let version = fields.u32(4);
        let (incompatible, autoclear, refcount_order, length) = match version {
            2 => (0, 0, 4, SHORT as u64),
            3 => (fields.u64(72), fields.u64(88), fields.u32(96), u64::from(fields.u32(100))),
            other => return Err(Error::Version(other)),
        };
        refuse(incompatible, fields.u32(32), length > 104 && fields.u8(104) != 0)?;
        let cluster_bits = fields.u32(20);
        if !(9..=21).contains(&cluster_bits) {
            return Err(Error::Damaged("the size of its clusters"));
        }
        let cluster = 1_u64 << cluster_bits;
        let size = fields.u64(24);
        // Each second table maps this much.
        let mapped = cluster << (cluster_bits - 3);
        let l1_needed = size.div_ceil(mapped);
        if l1_needed > u64::from(fields.u32(36)) || l1_needed * 8 > LARGEST_TABLE {
            return Err(Error::Damaged("the size of its first table"));
        }
        if length < SHORT as u64 || length > cluster || refcount_order > 6 {
            return Err(Error::Damaged("its header"));
        }
        let (reftable_offset, reftable_clusters) = (fields.u64(48), fields.u32(56));
        if u64::from(reftable_clusters) << cluster_bits > LARGEST_TABLE {
            return Err(Error::Damaged("the size of its table of counts"));
        }
        let l1_offset = fields.u64(40);
        let aligned = |offset: u64| offset.is_multiple_of(cluster) && offset & !OFFSET == 0;
        if !aligned(l1_offset) || !aligned(reftable_offset) {
            return Err(Error::Damaged("where its tables are"));
        }
        Ok(Self {
            version,
            cluster_bits,
            size,
            backing: backing(storage, &fields, length, cluster)?,
            l1_offset,
            l1_entries: usize::try_from(l1_needed).unwrap_or(usize::MAX),
            reftable_offset,
            reftable_clusters,
            refcount_order,
            dirty: incompatible & incompatible::DIRTY != 0,
            autoclear,
        })
    }

    /// Bytes of a cluster.
    pub fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// How many entries a second table has, and a block of counts.
    pub(crate) fn table_entries(&self) -> usize {
        1 << (self.cluster_bits - 3)
    }

    /// Whether it can be written.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn check_writable(&self) -> Result<()> {
        if self.dirty {
            return Err(Error::Dirty);
        }
        if self.refcount_order != 4 {
            return Err(Error::Feature("counts of another size than 16 bits"));
        }
        if self.reftable_clusters == 0 || self.reftable_offset == 0 {
            return Err(Error::Damaged("it has no table of counts"));
        }
        Ok(())
    }
}

/// Refuses what can't be read, by name.
fn refuse(features: u64, encryption: u32, other_compression: bool) -> Result<()> {
    if encryption != 0 {
        return Err(Error::Encrypted);
    }
    if features & incompatible::CORRUPT != 0 {
        return Err(Error::MarkedCorrupt);
    }
    if features & incompatible::EXTERNAL_DATA != 0 {
        return Err(Error::ExternalData);
    }
    if features & incompatible::COMPRESSION != 0 || other_compression {
        return Err(Error::Feature("compression by zstd"));
    }
    if features & incompatible::EXTENDED_L2 != 0 {
        return Err(Error::Feature("subclusters"));
    }
    if features & !incompatible::DIRTY != 0 {
        return Err(Error::Feature("a feature that isn't known"));
    }
    Ok(())
}

/// What is behind the image: the name has a place of its own, the format is an extension.
fn backing(
    storage: &impl Storage,
    fields: &Fields<'_>,
    length: u64,
    cluster: u64,
) -> Result<Option<Backing>> {
    let (offset, bytes) = (fields.u64(8), fields.u32(16));
    let end = if offset == 0 { cluster } else { offset };
    let format = format(storage, length, end.min(cluster))?;
    if offset == 0 || bytes == 0 {
        return Ok(None);
    }
    if bytes > LONGEST_NAME || offset.checked_add(u64::from(bytes)).is_none_or(|end| end > cluster)
    {
        return Err(Error::Damaged("the name of its backing file"));
    }
    let name = text(storage, offset, bytes)?;
    Ok(Some(Backing { name, format }))
}

/// The extension that names the backing file's format.
fn format(storage: &impl Storage, start: u64, end: u64) -> Result<Option<String>> {
    const BACKING_FORMAT: u32 = 0xe279_2aca;
    let mut at = start;
    while at + 8 <= end {
        let mut head = [0; 8];
        storage.read(at, &mut head)?;
        let fields = Fields(&head);
        let (kind, bytes) = (fields.u32(0), fields.u32(4));
        let next = at + 8 + u64::from(bytes).next_multiple_of(8);
        if kind == 0 {
            break;
        }
        if next > end.next_multiple_of(8) {
            return Err(Error::Damaged("an extension of its header"));
        }
        if kind == BACKING_FORMAT && bytes <= LONGEST_NAME {
            return Ok(Some(text(storage, at + 8, bytes)?));
        }
        at = next;
    }
    Ok(None)
}

fn text(storage: &impl Storage, offset: u64, bytes: u32) -> Result<String> {
    let mut text = vec![0; usize::try_from(bytes).unwrap_or(0)];
    storage.read(offset, &mut text)?;
    String::from_utf8(text).map_err(|_| Error::Damaged("a name that isn't UTF-8"))
}

/// Numbers in the order of the network; zero where there are none.
struct Fields<'a>(&'a [u8]);

impl Fields<'_> {
    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or([0; N])
    }

    fn u8(&self, at: usize) -> u8 {
        u8::from_be_bytes(self.array(at))
    }

    fn u32(&self, at: usize) -> u32 {
        u32::from_be_bytes(self.array(at))
    }

    fn u64(&self, at: usize) -> u64 {
        u64::from_be_bytes(self.array(at))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{Disk, empty_image};

    #[test]
    fn an_empty_image() {
        let header = Header::read(&empty_image(16, 1 << 30)).unwrap();
        assert_eq!((header.version, header.cluster(), header.size), (3, 65536, 1 << 30));
        assert_eq!((header.l1_entries, header.backing.as_ref()), (2, None));
        header.check_writable().unwrap();
    }

    #[test]
    fn what_is_behind_it() {
        let disk = empty_image(16, 1 << 20);
        disk.write(104, &[0xe2, 0x79, 0x2a, 0xca, 0, 0, 0, 3]).unwrap();
        disk.write(112, b"raw\0\0\0\0\0").unwrap();
        disk.write(128, b"base.img").unwrap();
        disk.write(8, &128_u64.to_be_bytes()).unwrap();
        disk.write(16, &8_u32.to_be_bytes()).unwrap();
        let backing = Header::read(&disk).unwrap().backing;
        let format = Some("raw".to_owned());
        assert_eq!(backing, Some(Backing { name: "base.img".into(), format }));
        disk.write(8, &65530_u64.to_be_bytes()).unwrap();
        assert!(matches!(Header::read(&disk), Err(Error::Damaged(_))));
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let with = |offset: u64, bytes: &[u8]| {
            let disk = empty_image(16, 1 << 30);
            disk.write(offset, bytes).unwrap();
            let error = Header::read(&disk).and_then(|header| header.check_writable().map(drop));
            error.unwrap_err().to_string()
        };
        for (offset, bytes, words) in [
            (0, &[1_u8][..], "no qcow2 image"),
            (7, &[4], "version 4"),
            (35, &[2], "encrypted"),
            (79, &[1], "wasn't closed"),
            (79, &[2], "marked as corrupt"),
            (79, &[4], "another file"),
            (79, &[8], "zstd"),
            (79, &[16], "subclusters"),
            (79, &[128], "isn't known"),
            (99, &[3], "counts of another size"),
            (23, &[40], "size of its clusters"),
            (39, &[0], "first table"),
            (47, &[9], "where its tables are"),
            (56, &[9], "table of counts"),
        ] {
            let said = with(offset, bytes);
            assert!(said.contains(words), "{offset}: {said}");
        }
        let header = Header::read(&Disk::default()).unwrap_err();
        assert!(matches!(header, Error::NotQcow2));
    }

    proptest! {
        #[test]
        fn any_header_is_answered(changes in prop::collection::vec((0..160_u64, any::<u8>()), 1..20)) {
            let disk = empty_image(16, 1 << 30);
            for (offset, byte) in changes {
                disk.write(offset, &[byte]).unwrap();
            }
            let _answered = Header::read(&disk);
        }
    }
}
