//! Extended page tables (SDM volume 3, 29.3).

use crate::macros::flags;
use crate::msr::MemoryType;

flags! {
    /// An entry of any level. Leaves have their memory type in bits 5..3.
    pub struct EptEntry(u64) {
        /// Readable.
        READ = 1 << 0;
        /// Writable.
        WRITE = 1 << 1;
        /// Executable.
        EXECUTE = 1 << 2;
        /// Leaves: the guest's PAT is ignored.
        IGNORE_PAT = 1 << 6;
        /// Levels 2 and 3: a 2 MiB or 1 GiB page.
        LARGE = 1 << 7;
        /// Accessed, if that is on.
        ACCESSED = 1 << 8;
        /// Dirty, if that is on.
        DIRTY = 1 << 9;
        /// Executable at CPL 3, with execute permission by mode.
        EXECUTE_USER = 1 << 10;
        /// A violation stays an exit.
        SUPPRESS_VE = 1 << 63;
    }
}

impl EptEntry {
    /// Address bits.
    pub const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

    /// A leaf.
    #[must_use]
    pub const fn leaf(address: u64, flags: Self, memory_type: MemoryType) -> Self {
        Self(address & Self::ADDRESS_MASK | flags.0 | (memory_type.0 as u64 & 7) << 3)
    }

    /// A pointer to a table.
    #[must_use]
    pub const fn table(address: u64) -> Self {
        Self(address & Self::ADDRESS_MASK | 7)
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 & Self::ADDRESS_MASK
    }

    /// Whether anything is permitted.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & 7 != 0
    }
}

/// The EPT pointer of a 4-level table in write-back memory.
#[must_use]
pub const fn eptp(root: u64, accessed_and_dirty: bool) -> u64 {
    root & EptEntry::ADDRESS_MASK | (accessed_and_dirty as u64) << 6 | 3 << 3 | 6
}

flags! {
    /// Exit qualification of an EPT violation.
    pub struct EptViolation(u64) {
        /// A read.
        READ = 1 << 0;
        /// A write.
        WRITE = 1 << 1;
        /// An instruction fetch.
        FETCH = 1 << 2;
        /// The page is readable.
        READABLE = 1 << 3;
        /// The page is writable.
        WRITABLE = 1 << 4;
        /// The page is executable.
        EXECUTABLE = 1 << 5;
        /// The guest linear address is valid.
        LINEAR_VALID = 1 << 7;
        /// The fault is on the final address, not on one of the guest's page tables.
        FINAL_ADDRESS = 1 << 8;
        /// IRET unblocked NMIs.
        NMI_UNBLOCKING = 1 << 12;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes() {
        let all = EptEntry::READ | EptEntry::WRITE | EptEntry::EXECUTE;
        assert_eq!(EptEntry::leaf(0x5000, all, MemoryType::WB).0, 0x5037);
        assert_eq!(EptEntry::table(0x6000).address(), 0x6000);
        assert!(EptEntry::table(0).is_present() && !EptEntry(0x5030).is_present());
        assert_eq!(eptp(0x1000, false), 0x101e);
        assert_eq!(eptp(0x1000, true), 0x105e);
    }
}
