//! A tar archive with one sparse file, `disk.raw`: what cloud services take raw images in.
//!
//! GNU's old sparse format, which is the one that they read: the header lists the pieces with
//! content, further lists follow it, then the pieces without what is between them.

use crate::words::Header;
use crate::{Disk, Result};
use std::io::Write;
use std::ops::Range;

const RECORD: usize = 512;
/// The name in the archive.
pub const NAME: &str = "disk.raw";
/// Pieces that the header lists, and that each further list does.
const IN_HEADER: usize = 4;
const IN_LIST: usize = 21;
const CHECKSUM: Range<usize> = 148..156;
const BLOCK: usize = 1 << 16;

/// Writes a disk as a tar archive; `epoch` is the file's time.
///
/// # Errors
/// When the disk can't be read, or the output can't be written.
pub fn write<D: Disk + ?Sized, W: Write>(disk: &mut D, out: &mut W, epoch: u64) -> Result<()> {
    let size = disk.size();
    let mut pieces: Vec<Range<u64>> = Vec::new();
    crate::blocks::for_each(disk, BLOCK, |number, block| {
        let start = number * block.len() as u64;
        let end = (start + block.len() as u64).min(size);
        match pieces.last_mut().filter(|last| last.end == start) {
            Some(last) => last.end = end,
            None => pieces.push(start..end),
        }
        Ok(())
    })?;
    let stored: u64 = pieces.iter().map(|piece| piece.end - piece.start).sum();
    // An empty piece says where the file ends.
    if pieces.last().is_none_or(|last| last.end < size) {
        pieces.push(size..size);
    }
    out.write_all(&header(&pieces, stored, size, epoch))?;
    let mut rest = pieces.get(IN_HEADER..).unwrap_or_default();
    while !rest.is_empty() {
        let (these, next) = rest.split_at(rest.len().min(IN_LIST));
        let mut list = entries(these).padded(RECORD);
        set(&mut list, 504, &[u8::from(!next.is_empty())]);
        out.write_all(&list)?;
        rest = next;
    }
    let mut buffer = vec![0; BLOCK];
    for piece in pieces {
        let mut at = piece.start;
        while at < piece.end {
            let length = usize::try_from(piece.end - at).unwrap_or(BLOCK).min(BLOCK);
            let part = buffer.get_mut(..length).unwrap_or_default();
            disk.read_at(at, part)?;
            out.write_all(part)?;
            at += length as u64;
        }
    }
    let padding = stored.next_multiple_of(RECORD as u64) - stored;
    let end = usize::try_from(padding).unwrap_or(0) + 2 * RECORD;
    out.write_all(&vec![0; end])?;
    out.flush()?;
    Ok(())
}

fn header(pieces: &[Range<u64>], stored: u64, size: u64, epoch: u64) -> Vec<u8> {
    let listed = pieces.get(..IN_HEADER).unwrap_or(pieces);
    let mut header = Header::default().field(NAME).padded(RECORD);
    for (at, text) in [(100, "0000644\0"), (108, "0000000\0"), (116, "0000000\0")] {
        set(&mut header, at, text.as_bytes());
    }
    set(&mut header, 124, &number(stored));
    set(&mut header, 136, &number(epoch));
    set(&mut header, 156, b"S");
    set(&mut header, 257, b"ustar  \0");
    set(&mut header, 265, b"root");
    set(&mut header, 297, b"root");
    set(&mut header, 386, &entries(listed).bytes());
    set(&mut header, 482, &[u8::from(pieces.len() > IN_HEADER)]);
    set(&mut header, 483, &number(size));
    set(&mut header, CHECKSUM.start, b"        ");
    let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
    set(&mut header, CHECKSUM.start, format!("{sum:06o}\0 ").as_bytes());
    header
}

fn entries(pieces: &[Range<u64>]) -> Header {
    pieces.iter().fold(Header::default(), |list, piece| {
        list.field(number(piece.start)).field(number(piece.end - piece.start))
    })
}

/// A number in twelve bytes: octal digits, or binary with a mark where those don't suffice.
fn number(value: u64) -> [u8; 12] {
    let mut bytes = [0; 12];
    if value < 1 << 33 {
        let digits = format!("{value:011o}");
        bytes.iter_mut().zip(digits.bytes()).for_each(|(slot, digit)| *slot = digit);
    } else {
        bytes.iter_mut().skip(4).zip(value.to_be_bytes()).for_each(|(slot, byte)| *slot = byte);
        bytes[0] = 0x80;
    }
    bytes
}

fn set(record: &mut [u8], at: usize, bytes: &[u8]) {
    record.iter_mut().skip(at).zip(bytes).for_each(|(slot, byte)| *slot = *byte);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;
    use std::io::Read;
    use std::os::unix::fs::FileExt;

    /// Writes a disk with content at these places, and reads the archive with another program's
    /// code.
    fn round_trip(size: u64, places: &[u64]) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(size).unwrap();
        places.iter().for_each(|at| file.write_all_at(b"x", *at).unwrap());
        let mut disk = Raw::open(file).unwrap();
        let mut bytes = Vec::new();
        write(&mut disk, &mut bytes, 1_000_000_000).unwrap();
        assert_eq!(bytes.len() % RECORD, 0);
        let mut archive = tar::Archive::new(&bytes[..]);
        let mut entry = archive.entries().unwrap().next().unwrap().unwrap();
        assert_eq!(entry.path_bytes(), NAME.as_bytes());
        assert_eq!(entry.size(), size);
        let mut unpacked = Vec::new();
        entry.read_to_end(&mut unpacked).unwrap();
        assert_eq!(unpacked.len() as u64, size);
        let found: Vec<u64> =
            (0..size).filter(|at| unpacked[usize::try_from(*at).unwrap()] != 0).collect();
        assert_eq!(found, places);
    }

    #[test]
    fn archives_read_back() {
        round_trip(1 << 20, &[]);
        round_trip(1_000_001, &[0, 1_000_000]);
        let many: Vec<u64> = (0..60).map(|number| number * 200_000 + 7).collect();
        round_trip(20 << 20, &many);
    }

    #[test]
    fn numbers() {
        assert_eq!(&number(8)[..], b"00000000010\0");
        assert_eq!(number(1 << 33), [0x80, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0]);
    }
}
