//! Page table entries of 4-level paging, and of the nested tables of SVM, which use the same
//! format (APM volume 2, 5.3 and 15.25).

use crate::macros::{constants, flags};

flags! {
    /// A page table entry of any level: flags, and an address under [`Pte::ADDRESS_MASK`].
    pub struct Pte(u64) {
        /// Present.
        PRESENT = 1 << 0;
        /// Writable.
        WRITE = 1 << 1;
        /// Reachable at CPL 3. Nested tables: always set, as all guest accesses are user's.
        USER = 1 << 2;
        /// Page write-through: PAT index bit 0.
        PWT = 1 << 3;
        /// Page cache disable: PAT index bit 1.
        PCD = 1 << 4;
        /// Accessed; set by the CPU.
        ACCESSED = 1 << 5;
        /// Dirty; set by the CPU in leaf entries.
        DIRTY = 1 << 6;
        /// Levels 2 and 3: a 2 MiB or 1 GiB page. In level 1 this bit is [`Self::PAT_4K`].
        LARGE = 1 << 7;
        /// Level 1: PAT index bit 2.
        PAT_4K = 1 << 7;
        /// Global: stays in the TLB when CR3 is written.
        GLOBAL = 1 << 8;
        /// For software.
        AVAIL0 = 1 << 9;
        /// For software.
        AVAIL1 = 1 << 10;
        /// For software.
        AVAIL2 = 1 << 11;
        /// Large pages: PAT index bit 2.
        PAT_LARGE = 1 << 12;
        /// Not executable, with EFER.NXE.
        NX = 1 << 63;
    }
}

constants! {
    usize {
        /// Entries of a table.
        ENTRIES = 512;
        /// Levels of a long-mode page table.
        LEVELS = 4;
    }
}

constants! {
    u64 {
        /// Bytes of a page.
        PAGE_SIZE_4K = 1 << 12;
        /// Bytes of a large page of level 2.
        PAGE_SIZE_2M = 1 << 21;
        /// Bytes of a large page of level 3.
        PAGE_SIZE_1G = 1 << 30;
    }
}

impl Pte {
    /// Address bits of a table or a 4 KiB page.
    pub const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

    /// An entry that maps or points to `address`, whose bits outside of the mask are dropped.
    #[must_use]
    pub const fn new(address: u64, flags: Self) -> Self {
        Self(address & Self::ADDRESS_MASK | flags.0)
    }

    /// The address of a table or a 4 KiB page.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 & Self::ADDRESS_MASK
    }

    /// The address that a leaf of `level` (1 to 3) maps: without the large pages' PAT bit.
    #[must_use]
    pub const fn leaf_address(self, level: u32) -> u64 {
        self.address() & !(page_size(level).wrapping_sub(1))
    }

    /// Whether an entry of `level` maps memory rather than pointing to a table.
    #[must_use]
    pub const fn is_leaf(self, level: u32) -> bool {
        level == 1 || (level <= 3 && self.contains(Self::LARGE))
    }
}

/// Bytes that an entry of `level` (1 to 4) spans.
#[must_use]
pub const fn page_size(level: u32) -> u64 {
    1_u64.wrapping_shl(12_u32.wrapping_add(9_u32.wrapping_mul(level.wrapping_sub(1))))
}

/// Index of `address` in its table of `level` (1 to 4).
#[must_use]
pub const fn table_index(address: u64, level: u32) -> usize {
    let shift = 12_u32.wrapping_add(9_u32.wrapping_mul(level.wrapping_sub(1)));
    (address.wrapping_shr(shift) & 0x1ff) as usize
}

/// Whether a virtual address is canonical with 48 bits.
#[must_use]
pub const fn is_canonical(address: u64) -> bool {
    let high = address >> 47;
    high == 0 || high == 0x1_ffff
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_indices() {
        assert_eq!(page_size(1), PAGE_SIZE_4K);
        assert_eq!(page_size(2), PAGE_SIZE_2M);
        assert_eq!(page_size(3), PAGE_SIZE_1G);
        assert_eq!(page_size(4), 1 << 39);
        let address = 1 << 39 | 2 << 30 | 3 << 21 | 4 << 12 | 5;
        for level in 1..=4 {
            assert_eq!(table_index(address, level), 5 - level as usize);
        }
    }

    #[test]
    fn leaf_addresses_drop_the_pat_bit() {
        let entry = Pte::new(0x4020_0000, Pte::PRESENT | Pte::LARGE | Pte::PAT_LARGE);
        assert_eq!(entry.leaf_address(2), 0x4020_0000);
        assert!(entry.is_leaf(2) && !entry.is_leaf(4));
        assert!(!Pte::PRESENT.is_leaf(2) && Pte::PRESENT.is_leaf(1));
    }

    #[test]
    fn canonical_addresses() {
        assert!(is_canonical(0x0000_7fff_ffff_ffff));
        assert!(is_canonical(0xffff_8000_0000_0000));
        assert!(!is_canonical(0x0000_8000_0000_0000));
        assert!(!is_canonical(0xffff_0000_0000_0000));
    }
}
