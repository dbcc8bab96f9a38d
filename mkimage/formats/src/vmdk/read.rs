//! Reading VMDK that is one file: stream-optimized or sparse.

use super::{AT_END, ENTRIES, MAGIC, SECTOR};
use crate::disk::{self, Piece};
use crate::words::Words;
use crate::{Disk, Error, Input, Result};
use flate2::{Decompress, FlushDecompress};
use std::ops::Range;

const COMPRESSED: u32 = 1 << 16;
/// Grains of stream-optimized images are 64 KiB; nobody writes larger ones than this.
const LARGEST_GRAIN: u64 = 2 << 20;
const SMALLEST_GRAIN: u64 = 8 * SECTOR;
/// The largest disk that VMware has.
const LARGEST: u64 = 62 << 40;
const LARGEST_DESCRIPTOR: u64 = 1 << 20;
/// Where the footer is: in front of the last marker.
const FOOTER_FROM_END: u64 = 2 * SECTOR;

/// An open image.
#[derive(Debug)]
pub struct Vmdk<I> {
    input: I,
    size: u64,
    grain: u64,
    compressed: bool,
    directory: Vec<u8>,
    /// The table that was used last, and its sector.
    table: Option<(u32, Vec<u8>)>,
    /// The grain that was unpacked last, and its sector.
    unpacked: Option<(u32, Vec<u8>)>,
}

impl<I: Input> Vmdk<I> {
    /// Opens an image.
    ///
    /// # Errors
    /// When it is damaged, or needs more than this file.
    pub fn open(input: I) -> Result<Self> {
        let first = header(&input, 0)?;
        let bytes = if Words(&first).le64(56)? == AT_END {
            let end = input.length()?.checked_sub(FOOTER_FROM_END);
            let at = end.ok_or_else(|| Error::damaged("the file ends too early"))?;
            header(&input, at).map_err(|_| Error::damaged("its end is missing"))?
        } else {
            first
        };
        let words = Words(&bytes);
        descriptor(&input, &words)?;
        let compressed = words.le32(8)? & COMPRESSED != 0;
        if compressed && words.le16(77)? != 1 {
            return Err(Error::unsupported("it is compressed in a way that isn't known"));
        }
        let grain = words.le64(20)?.saturating_mul(SECTOR);
        let size = words.le64(12)?.saturating_mul(SECTOR);
        let sound = grain.is_power_of_two() && (SMALLEST_GRAIN..=LARGEST_GRAIN).contains(&grain);
        if !sound || words.le32(44)? != ENTRIES || size > LARGEST {
            return Err(Error::damaged("its header is damaged"));
        }
        let tables = size.div_ceil(grain * u64::from(ENTRIES));
        let length = usize::try_from(tables * 4).unwrap_or(usize::MAX);
        let directory = input.take(words.le64(56)?.saturating_mul(SECTOR), length)?;
        Ok(Self { input, size, grain, compressed, directory, table: None, unpacked: None })
    }

    /// The sector at which a grain is stored; none of one that is zeros.
    fn find(&mut self, number: u64) -> Result<Option<u32>> {
        let entries = u64::from(ENTRIES);
        let at = |index: u64| usize::try_from(index * 4).unwrap_or(usize::MAX);
        let sector = Words(&self.directory).le32(at(number / entries))?;
        if sector == 0 {
            return Ok(None);
        }
        if self.table.as_ref().is_none_or(|(last, _)| *last != sector) {
            let bytes = self.input.take(u64::from(sector) * SECTOR, ENTRIES as usize * 4)?;
            self.table = Some((sector, bytes));
        }
        let Some((_, table)) = &self.table else { return Ok(None) };
        // 1 stands for zeros that were written.
        Ok(Some(Words(table).le32(at(number % entries))?).filter(|sector| *sector > 1))
    }

    /// Unpacks a grain, unless it is the one that was unpacked last.
    fn unpack(&mut self, sector: u32) -> Result<&[u8]> {
        if self.unpacked.as_ref().is_none_or(|(last, _)| *last != sector) {
            let at = u64::from(sector) * SECTOR;
            let length = u64::from(Words(&self.input.take(at + 8, 4)?).le32(0)?);
            if length > 2 * self.grain {
                return Err(Error::damaged("a grain is larger packed than unpacked"));
            }
            let packed = self.input.take(at + 12, usize::try_from(length).unwrap_or(usize::MAX))?;
            let mut grain = vec![0; usize::try_from(self.grain).unwrap_or(0)];
            let mut inflate = Decompress::new(true);
            let done = inflate.decompress(&packed, &mut grain, FlushDecompress::Finish);
            if done.is_err() || inflate.total_out() == 0 {
                return Err(Error::damaged("a grain can't be unpacked"));
            }
            self.unpacked = Some((sector, grain));
        }
        Ok(self.unpacked.as_ref().map_or(&[], |(_, bytes)| bytes))
    }
}

fn header(input: &impl Input, at: u64) -> Result<Vec<u8>> {
    let bytes = input.take(at, SECTOR as usize).unwrap_or_default();
    if bytes.starts_with(&MAGIC) {
        return Ok(bytes);
    }
    let start = input.take(at, 21).unwrap_or_default();
    if start.starts_with(b"# Disk DescriptorFile") {
        return Err(Error::unsupported(
            "it only describes a disk that is in other files: use `qemu-img convert` first",
        ));
    }
    Err(Error::damaged("this is no VMDK image"))
}

/// Checks what the descriptor says about the image's kind.
fn descriptor(input: &impl Input, header: &Words<'_>) -> Result<()> {
    let (at, sectors) = (header.le64(28)?, header.le64(36)?);
    let bytes = sectors.saturating_mul(SECTOR);
    if at == 0 || bytes > LARGEST_DESCRIPTOR {
        return Err(Error::unsupported("it has no descriptor of its own"));
    }
    let bytes = usize::try_from(bytes).unwrap_or(usize::MAX);
    let text = input.take(at.saturating_mul(SECTOR), bytes)?;
    let text = String::from_utf8_lossy(&text);
    let value = |key: &str| {
        let found =
            text.lines().find_map(|line| line.split_once('=').filter(|(k, _)| k.trim() == key));
        found.map(|(_, value)| value.trim().trim_matches('"').to_owned()).unwrap_or_default()
    };
    if !matches!(value("createType").as_str(), "streamOptimized" | "monolithicSparse") {
        return Err(Error::unsupported(format!(
            "it is of the kind `{}`, which may be several files: use `qemu-img convert` first",
            value("createType")
        )));
    }
    if value("parentCID") != "ffffffff" {
        return Err(Error::unsupported("it needs a parent: use `qemu-img convert` first"));
    }
    Ok(())
}

impl<I: Input> Disk for Vmdk<I> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut rest = disk::inside(self.size, offset, buffer);
        let mut offset = offset;
        while !rest.is_empty() {
            let within = offset % self.grain;
            let length = usize::try_from(self.grain - within).unwrap_or(usize::MAX);
            let (part, next) = rest.split_at_mut(length.min(rest.len()));
            match self.find(offset / self.grain)? {
                None => part.fill(0),
                Some(sector) if self.compressed => {
                    let start = usize::try_from(within).unwrap_or(usize::MAX);
                    let bytes = self.unpack(sector)?.get(start..start + part.len());
                    part.copy_from_slice(bytes.ok_or_else(|| Error::damaged("a short grain"))?);
                }
                Some(sector) => self.input.fill(u64::from(sector) * SECTOR + within, part)?,
            }
            offset += part.len() as u64;
            rest = next;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<Range<u64>>> {
        let (size, grain) = (self.size, self.grain);
        let mut from = from;
        // What the directory says; within that, grain by grain.
        while let Some(coarse) =
            disk::next_piece(from, size, grain * u64::from(ENTRIES), |table| {
                let at = usize::try_from(table * 4).unwrap_or(usize::MAX);
                Ok(if Words(&self.directory).le32(at)? == 0 { Piece::Hole } else { Piece::Data })
            })?
        {
            let fine = disk::next_piece(coarse.start, coarse.end, grain, |number| {
                Ok(self.find(number)?.map_or(Piece::Hole, |_| Piece::Data))
            })?;
            if fine.is_some() {
                return Ok(fine);
            }
            from = coarse.end;
        }
        Ok(None)
    }
}
