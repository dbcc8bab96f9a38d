//! Pinning an entry: checking it once, telling the granter that it is in use, and keeping to
//! what was checked.

use xen_abi::grant_table::{
    GTF_PAT, GTF_PCD, GTF_PERMIT_ACCESS, GTF_PWT, GTF_READING, GTF_READONLY, GTF_SUB_PAGE,
    GTF_TYPE_MASK, GTF_WRITING, GrantStatus,
};

use super::frames::EntryAt;
use super::{GrantResult, GrantTable, Party};
use crate::frame::FrameRef;
use crate::memory::MemoryError;
use crate::p2m::{Frames, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{DomId, Gfn, GrantRef, Mfn};

/// How often a granter may change an entry while it is being read.
const ATTEMPTS: u32 = 5;
/// The bytes of an entry: flags and domid at 0, the frame at 4.
const FRAME_OFFSET: usize = 4;

/// How an entry is used now.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pins {
    /// The frame that it stood for at the first use.
    mfn: Mfn,
    /// Who uses it.
    grantee: DomId,
    readers: u16,
    writers: u16,
}

impl Pins {
    pub(super) const NONE: Self =
        Self { mfn: Mfn(0), grantee: DomId::INVALID, readers: 0, writers: 0 };

    pub(super) fn any(&self) -> bool {
        self.readers > 0 || self.writers > 0
    }

    fn count(&mut self, access: Access) -> &mut u16 {
        match access {
            Access::Read => &mut self.readers,
            Access::Write => &mut self.writers,
        }
    }
}

/// What an entry is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    Read,
    Write,
}

/// Whether the use is a mapping or a copy; some entries allow only the latter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Use {
    Map,
    Copy,
}

/// An entry that was pinned, with a reference to its frame.
#[derive(Debug)]
pub(super) struct Pinned<'a> {
    pub(super) frame: FrameRef<'a>,
    /// Whether the granter asks for a cache type of its own.
    pub(super) wants_cache_type: bool,
}

/// Pins the granter's entry for `grantee`. [`GrantTable::unpin`] takes it back.
pub(super) fn pin<'a, F: Stage2Format>(
    frames: Frames<'a, impl FrameMemory>,
    granter: Party<'_, F>,
    gref: GrantRef,
    grantee: DomId,
    access: Access,
    used_for: Use,
) -> GrantResult<Pinned<'a>> {
    let mut shared = granter.grants.shared.lock();
    let (entry, pins) = shared.entry(gref)?;
    if pins.any() && pins.grantee != grantee {
        return Err(GrantStatus::GENERAL_ERROR);
    }
    let count = pins.count(access).checked_add(1).ok_or(GrantStatus::NO_SPACE)?;
    let known = pins.any() && (access == Access::Read || pins.writers > 0);
    let flags = if known {
        flags_and_domid(frames.memory.load_u32(entry.mfn, entry.offset)).0
    } else {
        mark_used(frames.memory, entry, grantee, access, used_for)?
    };
    let frame = if pins.any() {
        frames.table.share(pins.mfn).map_err(|_| GrantStatus::GENERAL_ERROR)
    } else {
        let gfn = frames.memory.load_u32(entry.mfn, entry.offset.wrapping_add(FRAME_OFFSET));
        let writing = access == Access::Write;
        let frame = granter.memory.own_frame(frames, Gfn(gfn.into()), writing);
        frame.map_err(MemoryError::grant_status)
    };
    let frame = match frame {
        Ok(frame) => frame,
        Err(status) => {
            mark_unused(frames.memory, entry, pins);
            return Err(status);
        }
    };
    *pins.count(access) = count;
    (pins.mfn, pins.grantee) = (frame.mfn(), grantee);
    Ok(Pinned { frame, wants_cache_type: flags & (GTF_PWT | GTF_PCD | GTF_PAT) != 0 })
}

impl GrantTable {
    /// Takes back a pin.
    pub(super) fn unpin(&self, memory: &impl FrameMemory, gref: GrantRef, access: Access) {
        let mut shared = self.shared.lock();
        // A dead domain's entries are gone already.
        let Ok((entry, pins)) = shared.entry(gref) else { return };
        let count = pins.count(access);
        *count = count.saturating_sub(1);
        mark_unused(memory, entry, pins);
    }

    /// Exchanges two entries that aren't in use.
    ///
    /// # Errors
    /// `BAD_GNTREF` beyond the table, `EAGAIN` if one is in use.
    pub fn swap(&self, memory: &impl FrameMemory, a: GrantRef, b: GrantRef) -> GrantResult<()> {
        let mut shared = self.shared.lock();
        let (first, pins) = shared.entry(a)?;
        let first_used = pins.any();
        let (second, pins) = shared.entry(b)?;
        if a == b {
            return Ok(());
        }
        if first_used || pins.any() {
            return Err(GrantStatus::EAGAIN);
        }
        let content = memory.load_u64(first.mfn, first.offset);
        memory.store_u64(first.mfn, first.offset, memory.load_u64(second.mfn, second.offset));
        memory.store_u64(second.mfn, second.offset, content);
        Ok(())
    }
}

/// Checks that the entry grants this use, and sets its "in use" bits in the same step, as the
/// granter may be changing it. Gives its flags.
fn mark_used(
    memory: &impl FrameMemory,
    entry: EntryAt,
    grantee: DomId,
    access: Access,
    used_for: Use,
) -> GrantResult<u16> {
    let kind = if used_for == Use::Map { GTF_TYPE_MASK | GTF_SUB_PAGE } else { GTF_TYPE_MASK };
    let mut word = memory.load_u32(entry.mfn, entry.offset);
    for _ in 0..ATTEMPTS {
        let (flags, domid) = flags_and_domid(word);
        let read_only = access == Access::Write && flags & GTF_READONLY != 0;
        if flags & kind != GTF_PERMIT_ACCESS || domid != grantee || read_only {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        let bits = match access {
            Access::Read => GTF_READING,
            Access::Write => GTF_READING | GTF_WRITING,
        };
        if flags & bits == bits {
            return Ok(flags);
        }
        match memory.cas_u32(entry.mfn, entry.offset, word, word | u32::from(bits)) {
            Ok(_) => return Ok(flags),
            Err(now) => word = now,
        }
    }
    Err(GrantStatus::GENERAL_ERROR)
}

/// Clears the "in use" bits that the pins don't call for any more.
fn mark_unused(memory: &impl FrameMemory, entry: EntryAt, pins: &Pins) {
    let unused = match (pins.readers, pins.writers) {
        (0, 0) => GTF_READING | GTF_WRITING,
        (_, 0) => GTF_WRITING,
        _ => return,
    };
    memory.fetch_and_u32(entry.mfn, entry.offset, !u32::from(unused));
}

fn flags_and_domid(word: u32) -> (u16, DomId) {
    let [a, b, c, d] = word.to_le_bytes();
    (u16::from_le_bytes([a, b]), DomId(u16::from_le_bytes([c, d])))
}

impl MemoryError {
    /// The status of a grant operation that a domain's memory made fail.
    pub(super) fn grant_status(self) -> GrantStatus {
        match self {
            Self::NoMemory | Self::OverLimit => GrantStatus::NO_SPACE,
            _ => GrantStatus::BAD_PAGE,
        }
    }
}
