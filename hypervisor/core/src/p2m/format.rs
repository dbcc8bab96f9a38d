//! How a second-stage entry is written in memory: AMD's nested tables and Intel's extended ones.
//!
//! Both are four levels of 512 64-bit entries and leave bits 52-55 to software, where the
//! [`P2mKind`] goes. Accessed and dirty bits are set from the start, so that the hardware never
//! has to write them.
//!
//! Sources: AMD64 Architecture Programmer's Manual, volume 2, 5.3 and 15.25; Intel SDM, volume
//! 3C, 29.3.2 and table 29-6.

use super::kind::{Leaf, P2mKind};
use crate::types::Mfn;

/// What an entry says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// Nothing is mapped.
    Empty,
    /// The next level's table.
    Table(Mfn),
    /// A mapping.
    Leaf(Leaf),
}

/// One hardware format. Level 0 maps 4 KiB, 1 maps 2 MiB, 2 maps 1 GiB; 3 is the root.
pub trait Stage2Format: Copy + Send + Sync + 'static {
    /// The entry that maps `leaf` at `level`.
    fn leaf(&self, leaf: Leaf, level: u32) -> u64;
    /// The entry that points to a table.
    fn table(&self, table: Mfn) -> u64;
    /// What an entry of `level` says. A zero entry is empty.
    fn decode(&self, entry: u64, level: u32) -> Entry;
    /// Whether the CPUs know leaves of level 2 (1 GiB).
    fn has_1g(&self) -> bool;
}

const MFN_MASK: u64 = 0x000f_ffff_ffff_f000;
const KIND_SHIFT: u32 = 52;
const KIND_MASK: u64 = 0xf << KIND_SHIFT;
const LARGE: u64 = 1 << 7;

fn mfn_of(entry: u64) -> Mfn {
    Mfn((entry & MFN_MASK) >> 12)
}

/// The common part of both formats' decoding: they agree on where frame, size and kind are.
fn decode(entry: u64, level: u32) -> Entry {
    if entry == 0 {
        Entry::Empty
    } else if level > 0 && entry & LARGE == 0 {
        Entry::Table(mfn_of(entry))
    } else {
        match P2mKind::from_bits((entry & KIND_MASK) >> KIND_SHIFT) {
            Some(kind) => Entry::Leaf(Leaf::new(mfn_of(entry), kind)),
            None => Entry::Empty,
        }
    }
}

/// AMD nested page tables: ordinary long-mode entries, walked as user accesses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Npt {
    /// Whether the CPUs know 1 GiB pages (CPUID 0x80000001 EDX bit 26).
    pub has_1g: bool,
}

impl Npt {
    const PRESENT: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const USER: u64 = 1 << 2;
    const CACHE_DISABLE: u64 = 1 << 4;
    const ACCESSED: u64 = 1 << 5;
    const DIRTY: u64 = 1 << 6;
    const NO_EXECUTE: u64 = 1 << 63;
}

impl Stage2Format for Npt {
    fn leaf(&self, leaf: Leaf, level: u32) -> u64 {
        let mut entry = leaf.mfn.0 << 12 | (leaf.kind as u64) << KIND_SHIFT;
        entry |= Self::PRESENT | Self::USER | Self::ACCESSED | Self::DIRTY;
        if leaf.kind.is_writable() {
            entry |= Self::WRITE;
        }
        if !leaf.kind.is_executable() {
            entry |= Self::NO_EXECUTE;
        }
        if leaf.kind.is_mmio() {
            // PAT entry 2, "UC-": uncached, unless the guest's own PAT says write-combining.
            entry |= Self::CACHE_DISABLE;
        }
        if level > 0 {
            entry |= LARGE;
        }
        entry
    }

    fn table(&self, table: Mfn) -> u64 {
        table.0 << 12 | Self::PRESENT | Self::WRITE | Self::USER | Self::ACCESSED
    }

    fn decode(&self, entry: u64, level: u32) -> Entry {
        decode(entry, level)
    }

    fn has_1g(&self) -> bool {
        self.has_1g
    }
}

/// Intel extended page tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ept {
    /// Whether the CPUs know 1 GiB pages (IA32_VMX_EPT_VPID_CAP bit 17).
    pub has_1g: bool,
}

impl Ept {
    const READ: u64 = 1 << 0;
    const WRITE: u64 = 1 << 1;
    const EXECUTE: u64 = 1 << 2;
    const WRITE_BACK: u64 = 6 << 3;
    const ACCESSED: u64 = 1 << 8;
    const DIRTY: u64 = 1 << 9;
}

impl Stage2Format for Ept {
    fn leaf(&self, leaf: Leaf, level: u32) -> u64 {
        let mut entry = leaf.mfn.0 << 12 | (leaf.kind as u64) << KIND_SHIFT;
        entry |= Self::READ | Self::ACCESSED | Self::DIRTY;
        if leaf.kind.is_writable() {
            entry |= Self::WRITE;
        }
        if leaf.kind.is_executable() {
            entry |= Self::EXECUTE;
        }
        // Device memory keeps type 0, uncached; the guest's PAT may still make it
        // write-combining. Memory is write-back, and the guest's PAT is honoured.
        if !leaf.kind.is_mmio() {
            entry |= Self::WRITE_BACK;
        }
        if level > 0 {
            entry |= LARGE;
        }
        entry
    }

    fn table(&self, table: Mfn) -> u64 {
        table.0 << 12 | Self::READ | Self::WRITE | Self::EXECUTE | Self::ACCESSED
    }

    fn decode(&self, entry: u64, level: u32) -> Entry {
        decode(entry, level)
    }

    fn has_1g(&self) -> bool {
        self.has_1g
    }
}

/// The format of the machine that this runs on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostFormat {
    /// AMD.
    Npt(Npt),
    /// Intel.
    Ept(Ept),
}

impl Stage2Format for HostFormat {
    #[inline]
    fn leaf(&self, leaf: Leaf, level: u32) -> u64 {
        match self {
            Self::Npt(format) => format.leaf(leaf, level),
            Self::Ept(format) => format.leaf(leaf, level),
        }
    }

    #[inline]
    fn table(&self, table: Mfn) -> u64 {
        match self {
            Self::Npt(format) => format.table(table),
            Self::Ept(format) => format.table(table),
        }
    }

    #[inline]
    fn decode(&self, entry: u64, level: u32) -> Entry {
        // Both agree; see `decode`.
        decode(entry, level)
    }

    fn has_1g(&self) -> bool {
        match self {
            Self::Npt(format) => format.has_1g,
            Self::Ept(format) => format.has_1g,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(format: impl Stage2Format) {
        for kind in P2mKind::ALL {
            for level in 0..3 {
                let leaf = Leaf::new(Mfn(0xab_cde0_0000), kind);
                assert_eq!(format.decode(format.leaf(leaf, level), level), Entry::Leaf(leaf));
            }
        }
        let table = Mfn(0xff_ffff_ffff);
        assert_eq!(format.decode(format.table(table), 3), Entry::Table(table));
        assert_eq!(format.decode(0, 0), Entry::Empty);
    }

    #[test]
    fn entries_decode_to_what_they_were_made_of() {
        round_trip(Npt { has_1g: true });
        round_trip(Ept { has_1g: true });
        round_trip(HostFormat::Npt(Npt { has_1g: true }));
        round_trip(HostFormat::Ept(Ept { has_1g: true }));
    }

    #[test]
    fn nested_entries_have_the_manuals_bits() {
        let npt = Npt { has_1g: true };
        let entry = |kind, level| npt.leaf(Leaf::new(Mfn(0x1234), kind), level) & !KIND_MASK;
        assert_eq!(entry(P2mKind::Ram, 0), 0x123_4067);
        assert_eq!(entry(P2mKind::RamLogDirty, 0), 0x123_4065);
        assert_eq!(entry(P2mKind::GrantRo, 0), 0x8000_0000_0123_4065);
        assert_eq!(entry(P2mKind::Foreign, 0), 0x8000_0000_0123_4067);
        assert_eq!(entry(P2mKind::Mmio, 1), 0x123_40f7);
        assert_eq!(npt.table(Mfn(0x1234)), 0x123_4027);
    }

    #[test]
    fn extended_entries_have_the_manuals_bits() {
        let ept = Ept { has_1g: true };
        let entry = |kind, level| ept.leaf(Leaf::new(Mfn(0x1234), kind), level) & !KIND_MASK;
        assert_eq!(entry(P2mKind::Ram, 0), 0x123_4337);
        assert_eq!(entry(P2mKind::RamReadOnly, 1), 0x123_43b5);
        assert_eq!(entry(P2mKind::GrantRw, 0), 0x123_4333);
        assert_eq!(entry(P2mKind::MmioReadOnly, 0), 0x123_4305);
        assert_eq!(ept.table(Mfn(0x1234)), 0x123_4107);
    }
}
