//! VMDK, VMware's format, as one file with its own descriptor (VMware, "Virtual Disk Format 5.0").
//! Stream-optimized images, which OVA archives hold, are written; those and sparse ones are read.

mod read;
mod write;

pub use read::Vmdk;
pub use write::write;

/// How files begin.
pub const MAGIC: [u8; 4] = *b"KDMV";
const SECTOR: u64 = 512;
/// Where the header says that the directory of tables is: the footer knows.
const AT_END: u64 = u64::MAX;
/// Entries of a table of grains.
const ENTRIES: u32 = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Disk;
    use crate::disk::testing::assert_same;
    use crate::raw::Raw;
    use proptest::prelude::*;
    use std::os::unix::fs::FileExt;
    use std::sync::LazyLock;

    fn image() -> (Raw, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        file.set_len((100 << 20) + 512).unwrap();
        for at in [3, 40 << 20, 100 << 20] {
            file.write_all_at(b"some content", at).unwrap();
        }
        let mut disk = Raw::open(file).unwrap();
        let mut out = Vec::new();
        write(&mut disk, &mut out, "disk.vmdk", 0x1234_5678).unwrap();
        (disk, out)
    }

    #[test]
    fn what_is_written_reads_back() {
        let (mut disk, bytes) = image();
        let mut back = Vmdk::open(bytes).unwrap();
        assert_same(&mut disk, &mut back);
        let at = 40 << 20;
        assert_eq!(back.next_data(1 << 20).unwrap(), Some(at..at + 65_536));
    }

    #[test]
    fn what_is_not_read_is_said() {
        let (_, bytes) = image();
        let replaced = |from: &str, to: &str| {
            let at = bytes.windows(from.len()).position(|part| part == from.as_bytes()).unwrap();
            let mut bytes = bytes.clone();
            bytes[at..at + from.len()].copy_from_slice(to.as_bytes());
            Vmdk::open(bytes).err().unwrap().to_string()
        };
        assert!(replaced("streamOptimized", "twoGbMaxExtentF").contains("several files"));
        assert!(replaced("parentCID=ffffffff", "parentCID=00000000").contains("parent"));
        assert!(replaced("KDMV", "COWD").contains("no VMDK"));
        assert!(
            Vmdk::open(b"# Disk DescriptorFile\n".to_vec())
                .err()
                .unwrap()
                .to_string()
                .contains("other files")
        );
    }

    #[test]
    fn truncation_is_damage() {
        let (_, bytes) = image();
        for length in [0, 100, 600, 70_000, bytes.len() - 1, bytes.len() - 600] {
            assert!(Vmdk::open(bytes[..length].to_vec()).is_err(), "{length}");
        }
    }

    proptest! {
        #[test]
        fn any_change_is_survived(changes in prop::collection::vec((0_usize..1 << 20, any::<u8>()), 1..20)) {
            static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| image().1);
            let mut bytes = IMAGE.clone();
            let length = bytes.len();
            for (at, value) in changes {
                // Half of them into the footer and what surrounds it.
                let at = if at % 2 == 0 { at % 600 } else { length - 1 - at % 3000 };
                bytes[at] = value;
            }
            if let Ok(mut disk) = Vmdk::open(bytes) {
                let mut from = 0;
                for _ in 0..50 {
                    let Ok(Some(range)) = disk.next_data(from) else { break };
                    let _ = disk.read_at(range.start, &mut [0; 4096]);
                    from = range.end;
                }
            }
        }
    }
}
