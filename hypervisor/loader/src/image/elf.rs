//! A kernel's ELF: which bytes go to which physical address, and where it starts.

use alloc::vec::Vec;
use core::ops::Range;

use hv_core::types::Gpa;

use super::ImageError;
use super::notes::{Features, Notes, Relocation};
use crate::bytes::{slice, u16_at, u32_at, u64_at};
use crate::memory::LoadMemory;

/// The first bytes of every ELF.
pub(super) const MAGIC: [u8; 4] = *b"\x7FELF";

const CLASS: usize = 4;
const CLASS_32: u8 = 1;
const CLASS_64: u8 = 2;
const DATA: usize = 5;
const DATA_LSB: u8 = 1;
const TYPE: usize = 16;
const TYPE_EXEC: u16 = 2;
const TYPE_DYN: u16 = 3;
const MACHINE: usize = 18;
const MACHINE_386: u16 = 3;
const MACHINE_X86_64: u16 = 62;
const PT_LOAD: u32 = 1;
const PT_NOTE: u32 = 4;

/// More program headers than any kernel has.
const MAX_HEADERS: u16 = 64;
/// A PVH domain is entered below 4 GiB, without paging.
const ADDRESS_LIMIT: u64 = 1 << 32;

/// A part of a kernel that is loaded: `data`, then zeroes up to `memory_len`.
#[derive(Clone, Copy, Debug)]
pub struct Segment<'a> {
    /// Its physical address as linked.
    pub paddr: u64,
    /// Its bytes from the file.
    pub data: &'a [u8],
    /// Its length in memory, in bytes; at least `data.len()`.
    pub memory_len: u64,
}

impl Segment<'_> {
    /// The physical addresses that it occupies as linked.
    pub const fn range(&self) -> Range<u64> {
        self.paddr..self.paddr.saturating_add(self.memory_len)
    }
}

/// A kernel that can start as a PVH domain.
#[derive(Clone, Debug)]
pub struct Kernel<'a> {
    segments: Vec<Segment<'a>>,
    entry: u32,
    relocation: Option<Relocation>,
    features: Option<Features>,
}

impl<'a> Kernel<'a> {
    /// Reads an ELF's program headers and Xen notes.
    ///
    /// # Errors
    /// The file is no x86 ELF, is cut short, loads above 4 GiB, or has no PVH entry.
    pub fn parse(elf: &'a [u8]) -> Result<Self, ImageError> {
        let table = HeaderTable::parse(elf)?;
        let mut segments = Vec::new();
        let mut notes = Notes::default();
        let mut max_align = 0;
        for index in 0..table.count {
            let header = table.header(index)?;
            match header.kind {
                PT_LOAD if header.memory_len != 0 => {
                    segments.push(header.segment(elf, index)?);
                    max_align = max_align.max(header.align);
                }
                PT_NOTE => notes.collect(header.data(elf, index)?)?,
                _ => {}
            }
        }
        if segments.is_empty() {
            return Err(ImageError::NoSegments);
        }
        let entry = notes.entry.ok_or(ImageError::NoPvhEntry)?;
        if !segments.iter().any(|segment| segment.range().contains(&u64::from(entry))) {
            return Err(ImageError::EntryOutside { entry: u64::from(entry) });
        }
        let relocation = notes.relocation(max_align);
        Ok(Self { segments, entry, relocation, features: notes.features })
    }

    /// What is loaded, in the file's order. Segments may touch but the loader doesn't mind if
    /// they overlap: later ones win.
    pub fn segments(&self) -> &[Segment<'a>] {
        &self.segments
    }

    /// The PVH entry point as linked.
    pub const fn entry(&self) -> u32 {
        self.entry
    }

    /// Where it may be moved to, if at all.
    pub const fn relocation(&self) -> Option<Relocation> {
        self.relocation
    }

    /// What it says that it supports, if it says so.
    pub const fn features(&self) -> Option<Features> {
        self.features
    }

    /// From the lowest to the highest address (exclusive) that it occupies as linked.
    pub fn range(&self) -> Range<u64> {
        let start = self.segments.iter().map(|s| s.range().start).min().unwrap_or(0);
        let end = self.segments.iter().map(|s| s.range().end).max().unwrap_or(0);
        start..end
    }

    /// Writes every segment to memory, so that the lowest byte lands at `base`, and gives the
    /// entry point there. `base` is `self.range().start` unless the kernel is relocatable.
    pub fn load(&self, base: Gpa, memory: &mut impl LoadMemory) -> Gpa {
        let linked = self.range().start;
        let moved = |address: u64| Gpa(address.wrapping_sub(linked).wrapping_add(base.0));
        for segment in &self.segments {
            memory.write(moved(segment.paddr), segment.data);
            let data_len = segment.data.len() as u64;
            let zeroes = segment.memory_len.saturating_sub(data_len);
            if zeroes != 0 {
                memory.zero(moved(segment.paddr.saturating_add(data_len)), zeroes);
            }
        }
        moved(u64::from(self.entry))
    }
}

/// A program header, of either class.
struct Header {
    kind: u32,
    offset: u64,
    paddr: u64,
    file_len: u64,
    memory_len: u64,
    align: u64,
}

impl Header {
    fn data<'a>(&self, elf: &'a [u8], index: usize) -> Result<&'a [u8], ImageError> {
        slice(elf, self.offset, self.file_len)
            .ok_or(ImageError::BadSegment { index, what: "points outside the file" })
    }

    fn segment<'a>(&self, elf: &'a [u8], index: usize) -> Result<Segment<'a>, ImageError> {
        if self.file_len > self.memory_len {
            let what = "has more bytes in the file than in memory";
            return Err(ImageError::BadSegment { index, what });
        }
        if self.paddr.checked_add(self.memory_len).is_none_or(|end| end > ADDRESS_LIMIT) {
            return Err(ImageError::BadSegment { index, what: "loads above 4 GiB" });
        }
        let data = self.data(elf, index)?;
        Ok(Segment { paddr: self.paddr, data, memory_len: self.memory_len })
    }
}

/// The program header table, of either class.
struct HeaderTable<'a> {
    bytes: &'a [u8],
    wide: bool,
    entry_len: usize,
    count: usize,
}

impl<'a> HeaderTable<'a> {
    fn parse(elf: &'a [u8]) -> Result<Self, ImageError> {
        if !elf.starts_with(&MAGIC) {
            return Err(ImageError::NotElf);
        }
        let cut = || ImageError::Truncated { what: "ELF header" };
        let wide = match elf.get(CLASS).copied().ok_or_else(cut)? {
            CLASS_32 => false,
            CLASS_64 => true,
            _ => return Err(ImageError::WrongElf { what: "of class 32 or 64" }),
        };
        if elf.get(DATA).copied().ok_or_else(cut)? != DATA_LSB {
            return Err(ImageError::WrongElf { what: "little-endian" });
        }
        if !matches!(u16_at(elf, TYPE).ok_or_else(cut)?, TYPE_EXEC | TYPE_DYN) {
            return Err(ImageError::WrongElf { what: "an executable" });
        }
        if !matches!(u16_at(elf, MACHINE).ok_or_else(cut)?, MACHINE_386 | MACHINE_X86_64) {
            return Err(ImageError::WrongElf { what: "for x86" });
        }
        let (offset, entry_len, count, min_len) = if wide {
            (u64_at(elf, 32), u16_at(elf, 54), u16_at(elf, 56), 56)
        } else {
            (u32_at(elf, 28).map(u64::from), u16_at(elf, 42), u16_at(elf, 44), 32)
        };
        let (offset, entry_len) = (offset.ok_or_else(cut)?, entry_len.ok_or_else(cut)?);
        let count = count.ok_or_else(cut)?;
        if entry_len < min_len || count > MAX_HEADERS {
            return Err(ImageError::WrongElf { what: "made of sound program headers" });
        }
        let len = u64::from(entry_len).saturating_mul(u64::from(count));
        let bytes = slice(elf, offset, len)
            .ok_or(ImageError::Truncated { what: "program header table" })?;
        Ok(Self { bytes, wide, entry_len: entry_len.into(), count: count.into() })
    }

    fn header(&self, index: usize) -> Result<Header, ImageError> {
        let start = index.saturating_mul(self.entry_len);
        let entry = self.bytes.get(start..).unwrap_or(&[]);
        let narrow = |offset| u32_at(entry, offset).map(u64::from);
        let read = || {
            let kind = u32_at(entry, 0)?;
            let wide = |offset| u64_at(entry, offset);
            Some(if self.wide {
                Header {
                    kind,
                    offset: wide(8)?,
                    paddr: wide(24)?,
                    file_len: wide(32)?,
                    memory_len: wide(40)?,
                    align: wide(48)?,
                }
            } else {
                Header {
                    kind,
                    offset: narrow(4)?,
                    paddr: narrow(12)?,
                    file_len: narrow(16)?,
                    memory_len: narrow(20)?,
                    align: narrow(28)?,
                }
            })
        };
        read().ok_or(ImageError::Truncated { what: "program header table" })
    }
}
