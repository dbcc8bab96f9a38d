//! What a guest frame number can stand for.

use crate::types::Mfn;

/// Why a guest frame is mapped, which says how it may be used and who holds a reference. It is
/// stored in each entry, in bits that the hardware ignores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum P2mKind {
    /// The domain's own memory. The entry stands for the owner's reference.
    Ram = 1,
    /// The domain's own memory, read-only until the first write has been noted.
    RamLogDirty = 2,
    /// The domain's own memory, which it may not write.
    RamReadOnly = 3,
    /// Another domain's memory, mapped by privilege. The entry holds a reference.
    Foreign = 4,
    /// Another domain's memory, mapped by a grant. The entry holds a reference.
    GrantRw = 5,
    /// As [`Self::GrantRw`], read-only.
    GrantRo = 6,
    /// Device memory. There is nothing to hold a reference to.
    Mmio = 7,
    /// Device memory, read-only.
    MmioReadOnly = 8,
    /// A page of the hypervisor that the domain reads and writes: shared info, grant table. The
    /// entry holds a reference.
    Shared = 9,
}

impl P2mKind {
    pub(super) const ALL: [Self; 9] = [
        Self::Ram,
        Self::RamLogDirty,
        Self::RamReadOnly,
        Self::Foreign,
        Self::GrantRw,
        Self::GrantRo,
        Self::Mmio,
        Self::MmioReadOnly,
        Self::Shared,
    ];

    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        let index = usize::try_from(bits).ok()?.checked_sub(1)?;
        Self::ALL.get(index).copied()
    }

    /// Whether the guest may write.
    pub const fn is_writable(self) -> bool {
        matches!(self, Self::Ram | Self::Foreign | Self::GrantRw | Self::Mmio | Self::Shared)
    }

    /// Whether the guest may execute: not what others can write.
    pub const fn is_executable(self) -> bool {
        !matches!(self, Self::Foreign | Self::GrantRw | Self::GrantRo | Self::Shared)
    }

    /// Whether it is the domain's own memory.
    pub const fn is_own_ram(self) -> bool {
        matches!(self, Self::Ram | Self::RamLogDirty | Self::RamReadOnly)
    }

    /// Whether it is a grant's mapping, which only the grant's own operations change.
    pub const fn is_grant(self) -> bool {
        matches!(self, Self::GrantRw | Self::GrantRo)
    }

    /// Whether it is device memory.
    pub const fn is_mmio(self) -> bool {
        matches!(self, Self::Mmio | Self::MmioReadOnly)
    }
}

/// What a guest frame is mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Leaf {
    /// The machine frame.
    pub mfn: Mfn,
    /// Why it is mapped.
    pub kind: P2mKind,
}

impl Leaf {
    /// A mapping of this kind.
    pub const fn new(mfn: Mfn, kind: P2mKind) -> Self {
        Self { mfn, kind }
    }

    /// The leaf of the guest frame that lies `frames` after this one's, in the same mapping.
    #[must_use]
    pub(super) const fn plus(self, frames: u64) -> Self {
        Self { mfn: Mfn(self.mfn.0 + frames), kind: self.kind }
    }
}
