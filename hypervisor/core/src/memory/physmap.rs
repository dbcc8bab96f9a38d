//! Mapping single pages at chosen guest frames: `XENMEM_add_to_physmap` and its kin, and grants.

use super::{DomainMemory, Inner, MemoryError};
use crate::frame::FrameRef;
use crate::p2m::{FlushBatch, Frames, Leaf, P2mKind, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{Gfn, Mfn};

impl<F: Stage2Format> DomainMemory<F> {
    /// Maps the shared info page at `gfn`; it goes from where it was.
    ///
    /// # Errors
    /// As [`MemoryError`] says.
    pub fn map_shared_info(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let mut inner = self.inner.write();
        let before = inner.shared_info_gfn;
        self.move_shared(&mut inner, frames, self.shared_info, before, gfn, batch)?;
        inner.shared_info_gfn = Some(gfn);
        Ok(())
    }

    /// Maps a page that the domain shares with the hypervisor (one of its grant table's) at
    /// `gfn`. If the page is still mapped at `before`, it goes from there.
    ///
    /// # Errors
    /// As [`MemoryError`] says.
    pub fn map_shared(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        page: Mfn,
        before: Option<Gfn>,
        gfn: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        self.move_shared(&mut self.inner.write(), frames, page, before, gfn, batch)
    }

    fn move_shared(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        page: Mfn,
        before: Option<Gfn>,
        gfn: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let leaf = Leaf::new(page, P2mKind::Shared);
        if before == Some(gfn) && inner.p2m.lookup(frames.memory, gfn).leaf == Some(leaf) {
            return Ok(());
        }
        let reference = frames.table.get(page, self.owner).map_err(|_| MemoryError::NotRam)?;
        self.place(inner, frames, gfn, leaf, batch)?;
        reference.keep();
        if let Some(before) = before.filter(|before| *before != gfn)
            && inner.p2m.lookup(frames.memory, before).leaf == Some(leaf)
        {
            self.clear(inner, frames, before, leaf, batch)?;
        }
        Ok(())
    }

    /// Moves the domain's own memory from one guest frame to another; memory that was there is
    /// given back.
    ///
    /// # Errors
    /// As [`MemoryError`] says; [`MemoryError::Identity`] as an identity-mapped domain's memory
    /// can't move.
    pub fn move_frame(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        from: Gfn,
        to: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let mut inner = self.inner.write();
        let leaf = inner.p2m.lookup(frames.memory, from).leaf.ok_or(MemoryError::NotMapped)?;
        if !leaf.kind.is_own_ram() {
            return Err(MemoryError::NotRam);
        }
        if from == to {
            return Ok(());
        }
        if self.is_identity() {
            return Err(MemoryError::Identity);
        }
        self.place(&mut inner, frames, to, leaf, batch)?;
        // A table for splitting `from` may be missing; then the move is undone.
        let unmapped = inner.p2m.unmap(frames, from, 0, batch, |_, _, _| ());
        if let Err(error) = unmapped {
            inner.p2m.unmap(frames, to, 0, batch, |_, _, _| ())?;
            return Err(error.into());
        }
        Ok(())
    }

    /// Maps another domain's frame at `gfn`, by privilege.
    ///
    /// # Errors
    /// As [`MemoryError`] says.
    pub fn map_foreign(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        frame: FrameRef<'_>,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let leaf = Leaf::new(frame.mfn(), P2mKind::Foreign);
        self.place(&mut self.inner.write(), frames, gfn, leaf, batch)?;
        frame.keep();
        Ok(())
    }

    /// Unmaps what is at `gfn`: a foreign or shared page, or the domain's own memory, which is
    /// then given back.
    ///
    /// # Errors
    /// [`MemoryError::NotMapped`]; [`MemoryError::Busy`] for grants and devices.
    pub fn remove(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let mut inner = self.inner.write();
        let leaf = inner.p2m.lookup(frames.memory, gfn).leaf.ok_or(MemoryError::NotMapped)?;
        super::check_replaceable(Some(leaf))?;
        if leaf.kind.is_own_ram() {
            inner.p2m.unmap(frames, gfn, 0, batch, |_, _, _| ())?;
            self.give_back(frames, leaf.mfn, 1, batch);
            return Ok(());
        }
        self.clear(&mut inner, frames, gfn, leaf, batch)
    }

    /// Unmaps an overlay, and shows what it hid.
    fn clear(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        leaf: Leaf,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        inner.p2m.unmap(frames, gfn, 0, batch, |_, _, _| ())?;
        self.let_go(gfn, leaf, batch);
        self.uncover(inner, frames, gfn, batch)
    }

    /// Maps a granted frame at `gfn`. On success the new entry holds the reference: the caller
    /// must [`keep`](FrameRef::keep) it. Only [`Self::unmap_grant`] takes the entry away again.
    ///
    /// # Errors
    /// As [`MemoryError`] says.
    pub(crate) fn map_grant(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        frame: &FrameRef<'_>,
        writable: bool,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        let leaf = Leaf::new(frame.mfn(), grant_kind(writable));
        self.place(&mut self.inner.write(), frames, gfn, leaf, batch)
    }

    /// Unmaps a granted frame, if one is mapped there so. The entry's reference is the caller's
    /// now, to give back after the flush.
    ///
    /// # Errors
    /// [`MemoryError::NotMapped`] if not.
    pub(crate) fn unmap_grant(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        writable: bool,
        batch: &mut FlushBatch<'_>,
    ) -> Result<Mfn, MemoryError> {
        let mut inner = self.inner.write();
        let leaf = inner.p2m.lookup(frames.memory, gfn).leaf;
        let leaf = leaf.filter(|leaf| leaf.kind == grant_kind(writable));
        let leaf = leaf.ok_or(MemoryError::NotMapped)?;
        inner.p2m.unmap(frames, gfn, 0, batch, |_, _, _| ())?;
        self.uncover(&mut inner, frames, gfn, batch)?;
        Ok(leaf.mfn)
    }
}

fn grant_kind(writable: bool) -> P2mKind {
    if writable { P2mKind::GrantRw } else { P2mKind::GrantRo }
}
