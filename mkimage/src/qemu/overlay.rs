//! Copy-on-write overlays: a qcow2 file that holds what a machine writes, over a raw image that
//! stays as it was built.
//!
//! Layout (QEMU's docs/interop/qcow2): cluster 0 header, format extension and backing name;
//! 1 refcount table; 2 refcount block; 3 level-1 table. All big-endian.

use crate::fs;
use crate::scratch::Scratch;
use std::path::Path;

const CLUSTER_BITS: u32 = 16;
const CLUSTER: usize = 1 << CLUSTER_BITS;
/// Bytes that one entry of the level-1 table stands for: a cluster of 8-byte entries.
const LEVEL1_SPAN: u64 = (CLUSTER / 8 * CLUSTER) as u64;
const HEADER: usize = 72;
/// Header extension: format of the backing file.
const BACKING_FORMAT: u32 = 0xe279_2aca;

/// Creates an overlay of `size` bytes over a raw image, which may be smaller.
///
/// # Errors
/// When it can't be written.
pub fn create(path: &Path, backing: &Path, size: u64) -> fs::Result<()> {
    let bytes = image(&backing.to_string_lossy(), size);
    let scratch = Scratch::new(path)?;
    fs::write(scratch.path(), bytes)?;
    scratch.finish()
}

/// The bytes of a fresh overlay.
fn image(backing: &str, size: u64) -> Vec<u8> {
    let level1 = u32::try_from(size.div_ceil(LEVEL1_SPAN)).unwrap_or(u32::MAX);
    let cluster = |number: usize| (number * CLUSTER) as u64;
    let mut out = Vec::new();
    // The extension (8 + padded "raw") and the end marker stand between header and name.
    let name_offset = (HEADER + 16 + 8) as u64;
    out.extend(b"QFI\xfb");
    out.extend(2_u32.to_be_bytes());
    out.extend(name_offset.to_be_bytes());
    out.extend(u32::try_from(backing.len()).unwrap_or(u32::MAX).to_be_bytes());
    out.extend(CLUSTER_BITS.to_be_bytes());
    out.extend(size.to_be_bytes());
    out.extend(0_u32.to_be_bytes()); // not encrypted
    out.extend(level1.to_be_bytes());
    out.extend(cluster(3).to_be_bytes());
    out.extend(cluster(1).to_be_bytes());
    out.extend(1_u32.to_be_bytes()); // clusters of the refcount table
    out.extend(0_u32.to_be_bytes()); // snapshots
    out.extend(0_u64.to_be_bytes());
    out.extend(BACKING_FORMAT.to_be_bytes());
    out.extend(3_u32.to_be_bytes());
    out.extend(b"raw\0\0\0\0\0");
    out.extend([0; 8]); // end of the extensions
    out.extend(backing.as_bytes());
    out.resize(CLUSTER, 0);
    out.extend(cluster(2).to_be_bytes());
    out.resize(2 * CLUSTER, 0);
    out.extend([1_u16; 4].iter().flat_map(|count| count.to_be_bytes()));
    out.resize(4 * CLUSTER, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_fields() {
        let bytes = image("/a/disk.img", 4 << 30);
        assert_eq!(bytes.len(), 4 * CLUSTER);
        let word = |at: usize| u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap());
        assert_eq!((word(4), word(20), word(36)), (2, 16, 8));
        assert_eq!((word(12), word(16)), (96, 11));
        assert_eq!(&bytes[96..107], b"/a/disk.img");
        assert_eq!(&bytes[2 * CLUSTER..2 * CLUSTER + 10], [0, 1, 0, 1, 0, 1, 0, 1, 0, 0]);
    }
}
