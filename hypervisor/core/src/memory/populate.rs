//! Adding memory to a domain, and taking it away.

use super::{DomainMemory, Inner, MemoryError, Placement, Released};
use crate::frame::{FrameKind, MAX_ORDER, Request};
use crate::p2m::{FlushBatch, Frames, GFN_LIMIT, Leaf, ORDER_1G, ORDER_2M, P2mKind, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{Gfn, Mfn};

/// Memory wanted at a guest frame.
#[derive(Clone, Copy, Debug)]
pub struct PopulateRequest {
    /// The first guest frame; aligned to the order.
    pub gfn: Gfn,
    /// `1 << order` frames, adjacent in the machine too.
    pub order: u32,
    /// Only machine frames below this one, if given.
    pub below: Option<Mfn>,
}

impl<F: Stage2Format> DomainMemory<F> {
    /// Gives the domain zeroed memory at a guest frame, and tells which. A single frame replaces
    /// what was there; more than one need a hole.
    ///
    /// # Errors
    /// As [`MemoryError`] says; nothing has changed then.
    pub fn populate(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        request: PopulateRequest,
        batch: &mut FlushBatch<'_>,
    ) -> Result<Mfn, MemoryError> {
        let PopulateRequest { gfn, order, below } = request;
        check_extent(gfn, order)?;
        let mut inner = self.inner.write();
        if inner.dying {
            return Err(MemoryError::Dying);
        }
        if self.is_identity() {
            return self.populate_identity(&mut inner, frames, gfn, order, batch);
        }
        let count = 1 << order;
        if self.pages().saturating_add(count) > self.max_pages() {
            return Err(MemoryError::OverLimit);
        }
        let wanted = Request::new(order, FrameKind::DomainRam, self.owner);
        let wanted = wanted.below(below.unwrap_or(Mfn(u64::MAX))).claimed(inner.claimed);
        let mfn = frames.table.alloc_zeroed(frames.memory, &wanted);
        let mfn = mfn.ok_or(MemoryError::NoMemory)?;
        let placed = if order == 0 {
            self.place(&mut inner, frames, gfn, Leaf::new(mfn, P2mKind::Ram), batch)
        } else {
            self.map_block(&mut inner, frames, gfn, mfn, order, batch)
        };
        if let Err(error) = placed {
            batch.release(mfn, count);
            return Err(error);
        }
        self.account_new(&mut inner, frames, count);
        Ok(mfn)
    }

    /// Takes the domain's memory at `1 << order` guest frames away.
    ///
    /// # Errors
    /// [`MemoryError::NotMapped`] or [`MemoryError::NotRam`] if a frame isn't its memory; those
    /// before it are gone then.
    pub fn decrease(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        order: u32,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        check_extent(gfn, order)?;
        let mut inner = self.inner.write();
        let end = gfn.0 + (1 << order);
        let mut next = gfn.0;
        while next < end {
            let part = inner.p2m.walk(frames.memory, Gfn(next), Gfn(end)).next();
            let Some((at, part, leaf)) = part.filter(|(at, ..)| at.0 == next) else {
                return Err(MemoryError::NotMapped);
            };
            if !leaf.kind.is_own_ram() {
                return Err(MemoryError::NotRam);
            }
            inner.p2m.unmap(frames, at, part, batch, |_, _, _| ())?;
            self.give_back(frames, leaf.mfn, 1 << part, batch);
            next += 1 << part;
        }
        Ok(())
    }

    /// Counts new frames, and uses up what was set aside for them.
    pub(super) fn account_new(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        count: u64,
    ) {
        self.add_pages(count);
        let used = inner.claimed.min(count);
        inner.claimed -= used;
        frames.table.unstake(used);
    }

    /// Maps a block of frames with the largest pages that fit, where nothing is mapped yet.
    pub(super) fn map_block(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        mfn: Mfn,
        order: u32,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let unit = match order {
            ORDER_1G.. if inner.p2m.has_1g() => ORDER_1G,
            ORDER_2M.. => ORDER_2M,
            _ => 0,
        };
        for offset in (0..1u64 << order).step_by(1 << unit) {
            let leaf = Leaf::new(Mfn(mfn.0 + offset), P2mKind::Ram);
            let mapped = inner.p2m.map(frames, Gfn(gfn.0 + offset), unit, leaf, batch);
            if let Err(error) = mapped {
                for done in (0..offset).step_by(1 << unit) {
                    let gone =
                        inner.p2m.unmap(frames, Gfn(gfn.0 + done), unit, batch, |_, _, _| ());
                    debug_assert!(gone.is_ok(), "unmapping what was mapped needs no table");
                }
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Gives back frames that were just unmapped.
    pub(super) fn give_back(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        start: Mfn,
        count: u64,
        batch: &mut FlushBatch<'_>,
    ) {
        self.subtract_pages(count);
        if self.placement != Placement::Identity(Released::Kept) {
            batch.disown(start, count);
            return;
        }
        for mfn in start.0..start.0 + count {
            let (from, to) = (FrameKind::DomainRam, FrameKind::Retained);
            let kept = frames.table.change_kind(Mfn(mfn), self.owner, from, to);
            debug_assert!(kept, "the map showed the domain's own memory");
        }
    }
}

/// Checks that an extent is aligned and within the guest's address space.
fn check_extent(gfn: Gfn, order: u32) -> Result<(), MemoryError> {
    let fits = order <= MAX_ORDER && gfn.0 < GFN_LIMIT && gfn.0 & ((1 << order) - 1) == 0;
    if fits { Ok(()) } else { Err(MemoryError::BadAddress) }
}
