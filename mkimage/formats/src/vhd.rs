//! VHD, of Virtual PC, Hyper-V and Azure: dynamic images are written, dynamic and fixed ones read
//! (Microsoft, "Virtual Hard Disk Image Format Specification", 2006).

use crate::disk::{self, Piece};
use crate::words::{Header, Words, table};
use crate::{Disk, Error, Input, Result};
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};
use std::ops::Range;

const SECTOR: u64 = 512;
const FOOTER_BYTES: usize = 512;
const HEADER_BYTES: usize = 1024;
/// Where a dynamic image's table is written: behind the footer's copy and the header.
const TABLE_OFFSET: u64 = (FOOTER_BYTES + HEADER_BYTES) as u64;
const BLOCK: u64 = 2 << 20;
/// In front of each block: which of its sectors are there.
const BITMAP: u64 = SECTOR;
const UNUSED: u32 = u32::MAX;
/// The most that the format holds.
const LARGEST: u64 = 2040 << 30;
/// Seconds from 1970 to 2000, from which VHD counts.
const EPOCH: u64 = 946_684_800;
const FIXED: u32 = 2;
const DYNAMIC: u32 = 3;

/// How footers begin.
pub const MAGIC: &[u8; 8] = b"conectix";

/// What tells an image from others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// Its UUID.
    pub uuid: [u8; 16],
    /// When it was made, in seconds of Unix time.
    pub epoch: u64,
}

/// Writes a disk as a dynamic VHD into an empty file.
///
/// # Errors
/// When the disk is too large, isn't whole sectors, can't be read, or the file can't be written.
pub fn write<D: Disk + ?Sized, W: Write + Seek>(
    disk: &mut D,
    out: &mut W,
    identity: Identity,
) -> Result<()> {
    let size = disk.size();
    if size > LARGEST || !size.is_multiple_of(SECTOR) {
        return Err(Error::unsupported(format!(
            "a VHD holds up to 2040 GiB in whole sectors, and the disk has {size} bytes"
        )));
    }
    let entries = size.div_ceil(BLOCK);
    let table_bytes = (entries * 4).next_multiple_of(SECTOR);
    let footer = footer(size, identity);
    let mut next = TABLE_OFFSET + table_bytes;
    let mut places: BTreeMap<u64, u32> = BTreeMap::new();
    crate::blocks::for_each(disk, usize::try_from(BLOCK).unwrap_or(0), |number, block| {
        out.seek(SeekFrom::Start(next))?;
        out.write_all(&[0xff; BITMAP as usize])?;
        out.write_all(block)?;
        places.insert(number, u32::try_from(next / SECTOR).unwrap_or(UNUSED));
        next += BITMAP + BLOCK;
        Ok(())
    })?;
    out.seek(SeekFrom::Start(next))?;
    out.write_all(&footer)?;
    let place = |number: u64| places.get(&number).copied().unwrap_or(UNUSED);
    // Entries that nothing uses fill up the last sector.
    out.seek(SeekFrom::Start(TABLE_OFFSET))?;
    out.write_all(&table((0..table_bytes / 4).map(|number| place(number).to_be_bytes())))?;
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&footer)?;
    out.write_all(&dynamic_header(entries))?;
    out.flush()?;
    Ok(())
}

fn footer(size: u64, identity: Identity) -> Vec<u8> {
    let created = u32::try_from(identity.epoch.saturating_sub(EPOCH)).unwrap_or(u32::MAX);
    let footer = Header::default()
        .field(MAGIC)
        .field(2_u32.to_be_bytes()) // features: always this
        .field(0x1_0000_u32.to_be_bytes()) // version 1.0
        .field((FOOTER_BYTES as u64).to_be_bytes())
        .field(created.to_be_bytes())
        .field(b"win ") // with this the size counts, not the geometry
        .field(0xa_0000_u32.to_be_bytes())
        .field(b"Wi2k")
        .field(size.to_be_bytes())
        .field(size.to_be_bytes())
        .field(geometry(size / SECTOR))
        .field(DYNAMIC.to_be_bytes())
        .field([0; 4]) // the checksum's place
        .field(identity.uuid)
        .padded(FOOTER_BYTES);
    with_checksum(footer, 64)
}

fn dynamic_header(entries: u64) -> Vec<u8> {
    let header = Header::default()
        .field(b"cxsparse")
        .field(u64::MAX.to_be_bytes())
        .field(TABLE_OFFSET.to_be_bytes())
        .field(0x1_0000_u32.to_be_bytes())
        .field(u32::try_from(entries).unwrap_or(u32::MAX).to_be_bytes())
        .field(u32::try_from(BLOCK).unwrap_or(0).to_be_bytes())
        .padded(HEADER_BYTES);
    with_checksum(header, 36)
}

fn with_checksum(mut bytes: Vec<u8>, at: usize) -> Vec<u8> {
    let sum = checksum(&bytes, at).to_be_bytes();
    if let Some(slot) = bytes.get_mut(at..at + 4) {
        slot.copy_from_slice(&sum);
    }
    bytes
}

/// The complement of the sum of all bytes but the checksum's own.
fn checksum(bytes: &[u8], at: usize) -> u32 {
    let others = bytes.iter().enumerate().filter(|(index, _)| !(at..at + 4).contains(index));
    !others.fold(0_u32, |sum, (_, byte)| sum.wrapping_add(u32::from(*byte)))
}

/// Cylinders, heads and sectors, by the specification's algorithm.
fn geometry(sectors: u64) -> [u8; 4] {
    let total = u32::try_from(sectors.min(65_535 * 16 * 255)).unwrap_or(u32::MAX);
    let (per_track, heads);
    if total >= 65_535 * 16 * 63 {
        (per_track, heads) = (255, 16);
    } else {
        let mut cylinder_heads = total / 17;
        let mut found = (17, cylinder_heads.div_ceil(1024).max(4));
        if cylinder_heads >= found.1 * 1024 || found.1 > 16 {
            cylinder_heads = total / 31;
            found = (31, 16);
        }
        if cylinder_heads >= found.1 * 1024 {
            found = (63, 16);
        }
        (per_track, heads) = found;
    }
    let [high, low] = u16::try_from(total / per_track / heads).unwrap_or(u16::MAX).to_be_bytes();
    let byte = |number: u32| u8::try_from(number).unwrap_or(u8::MAX);
    [high, low, byte(heads), byte(per_track)]
}

/// An open image.
#[derive(Debug)]
pub struct Vhd<I> {
    input: I,
    size: u64,
    /// None of a fixed image.
    dynamic: Option<Dynamic>,
}

#[derive(Debug)]
struct Dynamic {
    block: u64,
    table: Vec<u8>,
}

impl<I: Input> Vhd<I> {
    /// Opens an image.
    ///
    /// # Errors
    /// When it is damaged or of another kind.
    pub fn open(input: I) -> Result<Self> {
        let length = input.length()?;
        let Some(at) = length.checked_sub(FOOTER_BYTES as u64) else {
            return Err(Error::damaged("this is no VHD image"));
        };
        let bytes = input.take(at, FOOTER_BYTES)?;
        let footer = Words(&bytes);
        if !bytes.starts_with(MAGIC) {
            return Err(Error::damaged("this is no VHD image, or one whose end is missing"));
        }
        if footer.be32(64)? != checksum(&bytes, 64) {
            return Err(Error::damaged("its footer's checksum is wrong"));
        }
        let size = footer.be64(48)?;
        if size > LARGEST {
            return Err(Error::damaged(format!("it says that it is {size} bytes large")));
        }
        let dynamic = match footer.be32(60)? {
            FIXED if size <= at => None,
            FIXED => return Err(Error::damaged("the file ends too early")),
            DYNAMIC => Some(Dynamic::open(&input, footer.be64(16)?, size)?),
            4 => return Err(Error::unsupported("it needs a parent: merge the two first")),
            other => return Err(Error::unsupported(format!("it is of kind {other}"))),
        };
        Ok(Self { input, size, dynamic })
    }
}

impl Dynamic {
    fn open(input: &impl Input, at: u64, size: u64) -> Result<Self> {
        let bytes = input.take(at, HEADER_BYTES)?;
        let header = Words(&bytes);
        if !bytes.starts_with(b"cxsparse") || header.be32(36)? != checksum(&bytes, 36) {
            return Err(Error::damaged("its header is damaged"));
        }
        let block = u64::from(header.be32(32)?);
        let entries = u64::from(header.be32(28)?);
        let fits = block.is_power_of_two() && (SECTOR..=256 << 20).contains(&block);
        if !fits || entries.saturating_mul(block) < size {
            return Err(Error::damaged("its table doesn't span the disk"));
        }
        // What the disk needs of it: never more than that is read.
        let length = usize::try_from(size.div_ceil(block) * 4).unwrap_or(usize::MAX);
        Ok(Self { block, table: input.take(header.be64(16)?, length)? })
    }

    /// Where a block's content begins, without its bitmap.
    fn place(&self, number: u64) -> Result<Option<u64>> {
        let at = usize::try_from(number * 4).unwrap_or(usize::MAX);
        let sector = Words(&self.table).be32(at)?;
        let bitmap = (self.block / SECTOR / 8).next_multiple_of(SECTOR);
        Ok((sector != UNUSED).then(|| u64::from(sector) * SECTOR + bitmap))
    }
}

impl<I: Input> Disk for Vhd<I> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut rest = disk::inside(self.size, offset, buffer);
        let Some(dynamic) = &self.dynamic else {
            return Ok(self.input.fill(offset, rest)?);
        };
        let mut offset = offset;
        while !rest.is_empty() {
            let within = offset % dynamic.block;
            let length = usize::try_from(dynamic.block - within).unwrap_or(usize::MAX);
            let (part, next) = rest.split_at_mut(length.min(rest.len()));
            match dynamic.place(offset / dynamic.block)? {
                Some(at) => self.input.fill(at + within, part)?,
                None => part.fill(0),
            }
            offset += part.len() as u64;
            rest = next;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<Range<u64>>> {
        let Some(dynamic) = &self.dynamic else {
            return Ok(Some(from..self.size).filter(|range| !range.is_empty()));
        };
        disk::next_piece(from, self.size, dynamic.block, |number| {
            Ok(dynamic.place(number)?.map_or(Piece::Hole, |_| Piece::Data))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::testing::assert_same;
    use crate::raw::Raw;
    use proptest::prelude::*;
    use std::io::Cursor;
    use std::os::unix::fs::FileExt;
    use std::sync::LazyLock;

    const IDENTITY: Identity = Identity { uuid: [7; 16], epoch: EPOCH + 60 };

    fn image() -> (Raw, Vec<u8>) {
        let file = tempfile::tempfile().unwrap();
        file.set_len((20 << 20) + 512).unwrap();
        for at in [3, 9 << 20, 20 << 20] {
            file.write_all_at(b"some content", at).unwrap();
        }
        let mut disk = Raw::open(file).unwrap();
        let mut out = Cursor::new(Vec::new());
        write(&mut disk, &mut out, IDENTITY).unwrap();
        (disk, out.into_inner())
    }

    #[test]
    fn what_is_written_reads_back() {
        let (mut disk, bytes) = image();
        let mut back = Vhd::open(bytes).unwrap();
        assert_same(&mut disk, &mut back);
        assert_eq!(back.next_data(3 << 20).unwrap(), Some(8 << 20..10 << 20));
    }

    #[test]
    fn fixed_images_are_read() {
        let (disk, dynamic) = image();
        let mut footer = dynamic[dynamic.len() - 512..].to_vec();
        footer[60..64].copy_from_slice(&FIXED.to_be_bytes());
        let mut bytes = vec![5; usize::try_from(disk.size()).unwrap()];
        bytes.extend(with_checksum(footer, 64));
        let mut byte = [0];
        Vhd::open(bytes).unwrap().read_at(disk.size() - 1, &mut byte).unwrap();
        assert_eq!(byte, [5]);
    }

    #[test]
    fn geometries() {
        // Of the specification's algorithm: cylinders (two bytes), heads, sectors.
        assert_eq!(geometry(2048 * 40), [0x03, 0xc3, 5, 17]);
        assert_eq!(geometry(u64::MAX), [0xff, 0xff, 16, 255]);
    }

    proptest! {
        #[test]
        fn any_change_is_survived(changes in prop::collection::vec((0_usize..1600, any::<u8>()), 1..6)) {
            static IMAGE: LazyLock<Vec<u8>> = LazyLock::new(|| image().1);
            let mut bytes = IMAGE.clone();
            for (at, value) in changes {
                bytes[at] = value;
                // The footer at the end is the one that counts; let it pass its checksum.
                let end = bytes.len() - 512;
                if at < 512 && !(64..68).contains(&at) {
                    bytes[end + at] = value;
                    let footer = with_checksum(bytes[end..].to_vec(), 64);
                    bytes[end..].copy_from_slice(&footer);
                }
            }
            let header = with_checksum(bytes[512..1536].to_vec(), 36);
            bytes[512..1536].copy_from_slice(&header);
            if let Ok(mut disk) = Vhd::open(bytes) {
                let _ = disk.next_data(0);
                let _ = disk.read_at(1 << 20, &mut [0; 4096]);
            }
        }
    }
}
