//! qcow2, QEMU's own format (`docs/interop/qcow2.txt` of QEMU).

mod read;
mod write;

pub use read::Qcow2;
pub use write::write;

/// How files begin.
pub const MAGIC: [u8; 4] = *b"QFI\xfb";
/// Set in entries of tables: nothing else refers to the cluster.
const COPIED: u64 = 1 << 63;
/// Where an entry of a table says that the next table or the cluster is.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;
    use crate::{Disk, Error};
    use proptest::prelude::*;
    use std::io::{Cursor, Read, Seek};
    use std::os::unix::fs::FileExt;
    use std::sync::LazyLock;

    fn image() -> (Raw, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        file.set_len((1 << 30) + 512).unwrap();
        for at in [0, 65_536, 600 << 20, 1 << 30] {
            file.write_all_at(b"some content", at).unwrap();
        }
        let mut disk = Raw::open(file).unwrap();
        let mut out = Cursor::new(Vec::new());
        write(&mut disk, &mut out).unwrap();
        out.rewind().unwrap();
        let mut bytes = Vec::new();
        out.read_to_end(&mut bytes).unwrap();
        (disk, bytes)
    }

    #[test]
    fn what_is_written_reads_back() {
        let (mut disk, bytes) = image();
        assert!(bytes.len() < 1 << 20, "{}", bytes.len());
        let mut back = Qcow2::open(bytes).unwrap();
        assert_eq!(back.size(), disk.size());
        let (mut a, mut b) = (vec![0; 200_000], vec![1; 200_000]);
        for at in [0, 65_000, (600 << 20) - 7, (1 << 30) - 100_000] {
            disk.read_at(at, &mut a).unwrap();
            back.read_at(at, &mut b).unwrap();
            assert!(a == b, "at {at}");
        }
        let ranges: Vec<_> = std::iter::successors(back.next_data(0).unwrap(), |last| {
            back.next_data(last.end).unwrap()
        })
        .collect();
        let at = 600 << 20;
        assert_eq!(ranges, [0..131_072, at..at + 65_536, 1 << 30..(1 << 30) + 512]);
    }

    #[test]
    fn what_is_not_read_is_said() {
        let (_, bytes) = image();
        for (at, value, words) in [
            (0, &b"x"[..], "no qcow2"),
            (7, &[9][..], "version 9"),
            (15, &[7][..], "backing file"),
            (35, &[1][..], "encrypted"),
            (79, &[4][..], "data file"),
            (79, &[2][..], "marked as damaged"),
            (79, &[16][..], "extended"),
            (23, &[40][..], "clusters of"),
            (24, &[0xff][..], "bytes large"),
        ] {
            let mut bytes = bytes.clone();
            bytes[at..at + value.len()].copy_from_slice(value);
            let error = Qcow2::open(bytes).err().unwrap().to_string();
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn truncation_is_damage() {
        let (_, mut bytes) = image();
        bytes.truncate(100_000);
        let result = Qcow2::open(bytes).and_then(|mut disk| disk.read_at(0, &mut [0; 512]));
        assert!(matches!(result, Err(Error::Damaged(_) | Error::Io(_))), "{result:?}");
    }

    proptest! {
        #[test]
        fn any_change_is_survived(changes in prop::collection::vec((0_usize..600, any::<u8>()), 1..8),
                                  tables in prop::collection::vec((0_usize..1 << 20, any::<u8>()), 0..8)) {
            static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| image().1);
            let mut bytes = IMAGE.clone();
            for (at, value) in changes.into_iter().chain(tables) {
                let length = bytes.len();
                bytes[at % length] = value;
            }
            if let Ok(mut disk) = Qcow2::open(bytes) {
                let mut from = 0;
                for _ in 0..50 {
                    let Ok(Some(range)) = disk.next_data(from) else { break };
                    prop_assert!(range.start >= from && range.end > range.start);
                    let _ = disk.read_at(range.start, &mut [0; 4096]);
                    from = range.end;
                }
            }
        }
    }
}
