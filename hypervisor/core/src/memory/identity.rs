//! What is special about a domain whose frames are at gfn == mfn, and device memory.

use super::{DomainMemory, Inner, MemoryError};
use crate::frame::{FrameKind, FrameRange};
use crate::p2m::{FlushBatch, Frames, Leaf, ORDER_1G, ORDER_2M, P2mKind, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{Gfn, Mfn};

impl<F: Stage2Format> DomainMemory<F> {
    /// Gives the domain exactly these machine frames, at guest frames of the same numbers, with
    /// the content that they have. For building an identity-mapped domain.
    ///
    /// # Errors
    /// [`MemoryError::Identity`] if one of the frames isn't free; nothing has changed then. Any
    /// other means that the domain can't be built, and must be torn down.
    pub fn map_identity_ram(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        range: FrameRange,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let mut inner = self.inner.write();
        let claimed = frames.table.claim_exact(range, FrameKind::DomainRam, self.owner);
        claimed.map_err(|_| MemoryError::Identity)?;
        self.account_new(&mut inner, frames, range.frames);
        for (mfn, order) in blocks(range, inner.p2m.has_1g()) {
            let leaf = Leaf::new(mfn, P2mKind::Ram);
            inner.p2m.map(frames, Gfn(mfn.0), order, leaf, batch)?;
        }
        Ok(())
    }

    /// Maps device memory: `1 << order` frames from `mfn` on at `gfn`. An equal mapping may be
    /// there already.
    ///
    /// # Errors
    /// [`MemoryError::NotRam`] if some of it is RAM, which is never mapped so;
    /// [`MemoryError::Busy`] if something else is mapped there.
    pub fn map_mmio(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        mfn: Mfn,
        order: u32,
        kind: P2mKind,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        debug_assert!(kind.is_mmio());
        if frames.table.holds_ram(FrameRange { start: mfn, frames: 1 << order }) {
            return Err(MemoryError::NotRam);
        }
        let mut inner = self.inner.write();
        if inner.dying {
            return Err(MemoryError::Dying);
        }
        let leaf = Leaf::new(mfn, kind);
        let found = inner.p2m.lookup(frames.memory, gfn);
        if found.leaf == Some(leaf) && found.order >= order {
            return Ok(());
        }
        Ok(inner.p2m.map(frames, gfn, order, leaf, batch)?)
    }

    /// Unmaps `1 << order` frames of device memory.
    ///
    /// # Errors
    /// [`MemoryError::Busy`] if something else is mapped there.
    pub fn unmap_mmio(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        order: u32,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let mut inner = self.inner.write();
        let end = Gfn(gfn.0.saturating_add(1 << order));
        let mut parts = inner.p2m.walk(frames.memory, gfn, end);
        if parts.any(|(.., leaf)| !leaf.kind.is_mmio()) {
            return Err(MemoryError::Busy);
        }
        Ok(inner.p2m.unmap(frames, gfn, order, batch, |_, _, _| ())?)
    }

    /// Gives an identity-mapped domain the frames of these very numbers: those that it gave back
    /// before, or free ones.
    pub(super) fn populate_identity(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        order: u32,
        batch: &mut FlushBatch<'_>,
    ) -> Result<Mfn, MemoryError> {
        let mfn = Mfn(gfn.0);
        let count = 1 << order;
        if order == 0
            && inner
                .p2m
                .lookup(frames.memory, gfn)
                .leaf
                .is_some_and(|leaf| self.is_at_identity(gfn, leaf))
        {
            return Ok(mfn);
        }
        if self.pages().saturating_add(count) > self.max_pages() {
            return Err(MemoryError::OverLimit);
        }
        let range = FrameRange { start: mfn, frames: count };
        self.take_identity(frames, range)?;
        if let Err(error) = self.map_block(inner, frames, gfn, mfn, order, batch) {
            self.add_pages(count);
            self.give_back(frames, mfn, count, batch);
            return Err(error);
        }
        self.account_new(inner, frames, count);
        Ok(mfn)
    }

    /// Makes frames the domain's memory that are kept for it, or else all free.
    fn take_identity(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        range: FrameRange,
    ) -> Result<(), MemoryError> {
        let is_kept = |mfn| {
            let info = frames.table.info(Mfn(mfn));
            info.is_some_and(|i| i.kind == FrameKind::Retained && i.owner == self.owner)
        };
        if (range.start.0..range.end()).all(is_kept) {
            for mfn in range.start.0..range.end() {
                let (from, to) = (FrameKind::Retained, FrameKind::DomainRam);
                let changed = frames.table.change_kind(Mfn(mfn), self.owner, from, to);
                debug_assert!(changed, "only this domain, which is locked, changes it");
            }
            return Ok(());
        }
        let kind = FrameKind::DomainRam;
        let claimed = frames.table.claim_exact_zeroed(frames.memory, range, kind, self.owner);
        claimed.map_err(|_| MemoryError::Identity)
    }

    /// After an overlay at `gfn` has gone: shows the domain's own frame that it hid, if any.
    pub(super) fn uncover(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        if !self.is_identity() {
            return Ok(());
        }
        let mfn = Mfn(gfn.0);
        let hidden = frames
            .table
            .info(mfn)
            .is_some_and(|info| info.kind == FrameKind::DomainRam && info.owner == self.owner);
        if hidden {
            inner.p2m.replace(frames, gfn, Leaf::new(mfn, P2mKind::Ram), batch)?;
        }
        Ok(())
    }
}

/// Cuts a range into the largest aligned pages.
fn blocks(range: FrameRange, has_1g: bool) -> impl Iterator<Item = (Mfn, u32)> {
    let orders = if has_1g { [ORDER_1G, ORDER_2M, 0] } else { [ORDER_2M, ORDER_2M, 0] };
    let mut next = range.start.0;
    core::iter::from_fn(move || {
        let left = range.end() - next;
        let order = orders
            .into_iter()
            .find(|order| left >= 1 << order && next & ((1 << order) - 1) == 0)?;
        let block = (Mfn(next), order);
        next += 1 << order;
        Some(block)
    })
}
