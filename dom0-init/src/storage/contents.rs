//! What a partition holds: nothing, our file system, or something to keep our hands off.

use std::io::{self, Read, Seek, SeekFrom};

use super::ext4;

/// What was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Contents {
    /// Nothing: it may be formatted.
    Empty,
    /// A file system of ours that was being created when the power went: it may be formatted.
    Unfinished,
    /// An ext4 file system.
    Ext4,
    /// Something else; in words.
    Other(String),
}

/// How much is looked at, from the start.
const HEAD: u64 = 1 << 20;
/// How much is looked at, at the end, where RAID members keep their description.
const TAIL: u64 = 128 << 10;

/// Where known contents show, and what they are called.
const SIGNATURES: &[(usize, &[u8], &str)] = &[
    (0, b"XFSB", "an XFS file system"),
    (0, b"LUKS\xba\xbe", "a LUKS volume"),
    (0, b"hsqs", "a SquashFS image"),
    (0, b"QFI\xfb", "a qcow2 image"),
    (3, b"NTFS    ", "an NTFS file system"),
    (3, b"EXFAT   ", "an exFAT file system"),
    (0x36, b"FAT", "a FAT file system"),
    (0x52, b"FAT32", "a FAT file system"),
    (0x200, b"LABELONE", "an LVM physical volume"),
    (0x400, b"\x10\x20\xf5\xf2", "an F2FS file system"),
    (0x400, b"\xe2\xe1\xf5\xe0", "an EROFS image"),
    (0xff6, b"SWAPSPACE2", "swap space"),
    (0x1000, b"\xfc\x4e\x2b\xa9", "a RAID member"),
    (0x8001, b"CD001", "an ISO 9660 image"),
    (0x10040, b"_BHRfS_M", "a Btrfs file system"),
    (0x200, b"EFI PART", "a partition table"),
    (0x1fe, b"\x55\xaa", "a boot sector or partition table"),
];

/// Looks at a partition of `length` bytes.
///
/// # Errors
/// When it can't be read.
pub fn inspect<D: Read + Seek>(device: &mut D, length: u64) -> io::Result<Contents> {
    let head = read_at(device, 0, HEAD.min(length))?;
    if ext4::is_unfinished(&head) {
        return Ok(Contents::Unfinished);
    }
    if ext4::is_ext4(&head) {
        return Ok(Contents::Ext4);
    }
    if let Some(what) = known(&head) {
        return Ok(Contents::Other(what.to_owned()));
    }
    if !is_zero(&head) {
        return Ok(Contents::Other("data of a kind that isn't known".to_owned()));
    }
    let tail = length.saturating_sub(TAIL).max(HEAD.min(length));
    if !is_zero(&read_at(device, tail, length - tail)?) {
        return Ok(Contents::Other("data at its end, perhaps a RAID member".to_owned()));
    }
    for at in ext4::BACKUPS {
        if at + 2048 <= length && ext4::is_superblock(&read_at(device, at, 1024)?) {
            return Ok(Contents::Other(
                "a damaged ext4 file system (its copies of the superblock are there)".to_owned(),
            ));
        }
    }
    Ok(Contents::Empty)
}

fn known(head: &[u8]) -> Option<&'static str> {
    SIGNATURES
        .iter()
        .find(|(at, magic, _)| head.get(*at..).is_some_and(|rest| rest.starts_with(magic)))
        .map(|(_, _, what)| *what)
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

fn read_at<D: Read + Seek>(device: &mut D, at: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    device.seek(SeekFrom::Start(at))?;
    device.read_exact(&mut bytes)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    const MIB: usize = 1 << 20;

    fn inspected(bytes: &mut Vec<u8>) -> Contents {
        let length = bytes.len() as u64;
        inspect(&mut Cursor::new(bytes), length).unwrap()
    }

    fn with(at: usize, magic: &[u8]) -> Contents {
        let mut bytes = vec![0; 4 * MIB];
        bytes[at..at + magic.len()].copy_from_slice(magic);
        inspected(&mut bytes)
    }

    #[test]
    fn only_zeros_are_nothing() {
        assert_eq!(inspected(&mut vec![0; 4 * MIB]), Contents::Empty);
        assert_eq!(inspected(&mut vec![0; 4096]), Contents::Empty);
        assert_eq!(inspected(&mut vec![]), Contents::Empty);
        assert_eq!(with(2 * MIB, b"x"), Contents::Empty, "the middle says nothing");
    }

    #[test]
    fn anything_else_is_kept() {
        for (at, magic, what) in SIGNATURES {
            assert_eq!(with(*at, magic), Contents::Other((*what).to_owned()));
        }
        for at in [0, 5, 70_000, MIB - 1, 4 * MIB - 1, 4 * MIB - 65_536] {
            assert!(matches!(with(at, b"x"), Contents::Other(_)), "{at}");
        }
    }

    #[test]
    fn a_damaged_ext4_is_kept() {
        let mut bytes = vec![0; 129 * MIB];
        bytes[128 * MIB + 0x38..128 * MIB + 0x3a].copy_from_slice(b"\x53\xef");
        assert!(matches!(inspected(&mut bytes), Contents::Other(what) if what.contains("ext4")));
    }

    #[test]
    fn a_device_that_is_shorter_than_told_is_an_error() {
        assert!(inspect(&mut Cursor::new(vec![0; 100]), 4096).is_err());
    }
}
