//! One frame's metadata, packed in 64 bits: kind, owner, references, whether it needs scrubbing.

use crate::types::DomId;

/// What a machine frame is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum FrameKind {
    /// Not RAM, or RAM that is nobody's to use.
    Reserved = 0,
    /// In the allocator.
    Free = 1,
    /// The hypervisor's own: code, heap, stacks.
    Hypervisor = 2,
    /// A domain's memory.
    DomainRam = 3,
    /// The hypervisor's, mapped by a domain: shared info, grant table.
    Shared = 4,
    /// A table of a domain's second stage.
    Table = 5,
    /// An identity-mapped domain gave it back; it is kept for that domain.
    Retained = 6,
    /// Its owner has let go of it, but others still map it.
    Orphan = 7,
}

impl FrameKind {
    const fn from_bits(bits: u64) -> Self {
        match bits & 7 {
            0 => Self::Reserved,
            1 => Self::Free,
            2 => Self::Hypervisor,
            3 => Self::DomainRam,
            4 => Self::Shared,
            5 => Self::Table,
            6 => Self::Retained,
            _ => Self::Orphan,
        }
    }
}

/// What the table says of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameInfo {
    /// What it is used for.
    pub kind: FrameKind,
    /// Whose it is; [`DomId::INVALID`] where it is no one's.
    pub owner: DomId,
    /// References: one is the owner's, the others are mappings by other domains and copies in
    /// progress.
    pub references: u32,
}

/// Bits 0-2 kind, 3 dirty, 16-31 owner, 32-63 references.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameWord(pub(super) u64);

const DIRTY: u64 = 1 << 3;
const ONE_REFERENCE: u64 = 1 << 32;

impl FrameWord {
    pub(super) const RESERVED: Self = Self((DomId::INVALID.0 as u64) << 16);
    pub(super) const FREE_DIRTY: Self = Self(Self::RESERVED.0 | FrameKind::Free as u64 | DIRTY);
    pub(super) const FREE_CLEAN: Self = Self(Self::RESERVED.0 | FrameKind::Free as u64);

    /// A frame in use, with its owner's reference.
    pub(super) const fn used(kind: FrameKind, owner: DomId) -> Self {
        Self(kind as u64 | (owner.0 as u64) << 16 | ONE_REFERENCE)
    }

    pub(super) const fn kind(self) -> FrameKind {
        FrameKind::from_bits(self.0)
    }

    pub(super) const fn owner(self) -> DomId {
        DomId((self.0 >> 16) as u16)
    }

    pub(super) const fn references(self) -> u32 {
        (self.0 >> 32) as u32
    }

    pub(super) const fn is_dirty(self) -> bool {
        self.0 & DIRTY != 0
    }

    pub(super) const fn with_kind(self, kind: FrameKind, owner: DomId) -> Self {
        Self(self.0 & !0xffff_0007 | kind as u64 | (owner.0 as u64) << 16)
    }

    /// With one reference more; `None` if the count is full.
    pub(super) const fn referenced(self) -> Option<Self> {
        match self.0.checked_add(ONE_REFERENCE) {
            Some(word) => Some(Self(word)),
            None => None,
        }
    }

    /// With one reference less: free and dirty if it was the last one. `None` if there was none.
    pub(super) const fn released(self) -> Option<Self> {
        match self.references() {
            0 => None,
            1 => Some(Self::FREE_DIRTY),
            _ => Some(Self(self.0 - ONE_REFERENCE)),
        }
    }

    pub(super) const fn info(self) -> FrameInfo {
        FrameInfo { kind: self.kind(), owner: self.owner(), references: self.references() }
    }
}
