//! The Xen notes of a kernel ELF: how it wants to be started.
//!
//! Source: public header `elfnote.h`.

use hv_core::types::FRAME_BYTES;

use super::ImageError;
use crate::bytes::{array, slice, u32_at};

/// `XEN_ELFNOTE_SUPPORTED_FEATURES`.
const SUPPORTED_FEATURES: u32 = 17;
/// `XEN_ELFNOTE_PHYS32_ENTRY`.
const PHYS32_ENTRY: u32 = 18;
/// `XEN_ELFNOTE_PHYS32_RELOC`.
const PHYS32_RELOC: u32 = 19;

/// The alignment of a relocatable kernel when neither its note nor its program headers name one.
const DEFAULT_RELOC_ALIGN: u32 = 2 << 20;

/// Where a kernel may be moved to when its own place is taken (`XEN_ELFNOTE_PHYS32_RELOC`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Relocation {
    /// Required alignment of the first byte, a power of two.
    pub align: u32,
    /// The lowest address that it may occupy.
    pub min: u32,
    /// The highest address that it may occupy (inclusive).
    pub max: u32,
}

/// What a kernel says that it supports (`XEN_ELFNOTE_SUPPORTED_FEATURES`): bit n is `XENFEAT` n.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Features(pub u32);

impl Features {
    /// Whether the kernel can be the control domain (`XENFEAT_dom0`).
    pub const fn dom0(self) -> bool {
        self.0 & (1 << 11) != 0
    }

    /// Whether the RSDP may lie above 1 MiB (`XENFEAT_linux_rsdp_unrestricted`).
    pub const fn rsdp_unrestricted(self) -> bool {
        self.0 & (1 << 15) != 0
    }
}

/// The notes that matter to a PVH start.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Notes {
    pub(super) entry: Option<u32>,
    pub(super) features: Option<Features>,
    relocation: Option<RelocationNote>,
}

/// The relocation note as it stands in the file.
#[derive(Clone, Copy, Debug)]
struct RelocationNote {
    align: Option<u32>,
    min: u32,
    max: u32,
}

impl Notes {
    /// Adds the Xen notes of one `PT_NOTE` segment; the first of each kind counts.
    pub(super) fn collect(&mut self, segment: &[u8]) -> Result<(), ImageError> {
        let mut rest = segment;
        while let Some((note, after)) = next_note(rest) {
            if note.owner == b"Xen\0" {
                self.take(note.kind, note.desc)?;
            }
            rest = after;
        }
        Ok(())
    }

    /// Where the kernel may be moved, given the largest alignment of its program headers.
    pub(super) fn relocation(&self, header_align: u64) -> Option<Relocation> {
        const FRAME: u32 = FRAME_BYTES as u32;
        let RelocationNote { align, min, max } = self.relocation?;
        let header_align = u32::try_from(header_align)
            .ok()
            .filter(|align| *align >= FRAME && align.is_power_of_two());
        let align = align.or(header_align).unwrap_or(DEFAULT_RELOC_ALIGN).max(FRAME);
        Some(Relocation { align, min, max })
    }

    fn take(&mut self, kind: u32, desc: &[u8]) -> Result<(), ImageError> {
        match kind {
            PHYS32_ENTRY => {
                let bad = ImageError::BadNote { name: "XEN_ELFNOTE_PHYS32_ENTRY" };
                self.entry = self.entry.or(Some(number(desc).ok_or(bad)?));
            }
            PHYS32_RELOC => {
                let bad = ImageError::BadNote { name: "XEN_ELFNOTE_PHYS32_RELOC" };
                self.relocation = self.relocation.or(Some(relocation(desc).ok_or(bad)?));
            }
            SUPPORTED_FEATURES => {
                let bad = ImageError::BadNote { name: "XEN_ELFNOTE_SUPPORTED_FEATURES" };
                self.features = self.features.or(Some(Features(number(desc).ok_or(bad)?)));
            }
            _ => {}
        }
        Ok(())
    }
}

/// A note's number: 4 or 8 bytes, at most 32 bits of value.
fn number(desc: &[u8]) -> Option<u32> {
    match desc.len() {
        4 => u32_at(desc, 0),
        8 => u32::try_from(u64::from_le_bytes(array(desc, 0)?)).ok(),
        _ => None,
    }
}

/// Up to three words, each with a default.
fn relocation(desc: &[u8]) -> Option<RelocationNote> {
    let word = |index: usize| u32_at(desc, index.saturating_mul(4));
    let align = word(0);
    let (min, max) = (word(1).unwrap_or(0), word(2).unwrap_or(u32::MAX));
    let sound = align.is_none_or(u32::is_power_of_two) && min < max;
    sound.then_some(RelocationNote { align, min, max })
}

/// A note: its type, owner (with the closing NUL) and contents.
struct Note<'a> {
    kind: u32,
    owner: &'a [u8],
    desc: &'a [u8],
}

/// Splits the first note off; gives it and what follows.
fn next_note(bytes: &[u8]) -> Option<(Note<'_>, &[u8])> {
    const HEADER_BYTES: u64 = 12;
    let owner_len = u64::from(u32_at(bytes, 0)?);
    let desc_len = u64::from(u32_at(bytes, 4)?);
    let kind = u32_at(bytes, 8)?;
    let owner = slice(bytes, HEADER_BYTES, owner_len)?;
    let desc_at = HEADER_BYTES.checked_add(owner_len)?.next_multiple_of(4);
    let desc = slice(bytes, desc_at, desc_len)?;
    let end = usize::try_from(desc_at.checked_add(desc_len)?.next_multiple_of(4)).ok()?;
    // The last note's padding may be missing.
    Some((Note { kind, owner, desc }, bytes.get(end..).unwrap_or(&[])))
}
