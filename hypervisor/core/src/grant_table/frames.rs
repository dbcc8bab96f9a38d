//! The frames of a table: growing, finding where they are mapped, giving them back.

use alloc::boxed::Box;
use alloc::vec::Vec;

use xen_abi::grant_table::GrantStatus;

use super::pin::Pins;
use super::{ENTRIES_PER_FRAME, ENTRY_BYTES, GrantResult, GrantTable};
use crate::frame::{FrameKind, FrameRange, FrameRef, Request};
use crate::memory::{DomainMemory, MemoryError};
use crate::p2m::{FlushBatch, Frames, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{Gfn, GrantRef, Mfn};

/// The entries that the domain writes, and their pins.
#[derive(Debug)]
pub(super) struct Shared {
    frames: Vec<SharedFrame>,
    /// Whether the domain is being destroyed: nothing can be pinned any more.
    dead: bool,
}

#[derive(Debug)]
struct SharedFrame {
    mfn: Mfn,
    /// Where the domain has it mapped; true only if its map says so too.
    gfn: Option<Gfn>,
    pins: Box<[Pins]>,
}

/// Where an entry is in machine memory.
#[derive(Clone, Copy, Debug)]
pub(super) struct EntryAt {
    pub(super) mfn: Mfn,
    pub(super) offset: usize,
}

impl Shared {
    pub(super) const fn new() -> Self {
        Self { frames: Vec::new(), dead: false }
    }

    /// The entry of a reference, and its pins.
    pub(super) fn entry(&mut self, gref: GrantRef) -> GrantResult<(EntryAt, &mut Pins)> {
        if self.dead {
            return Err(GrantStatus::BAD_DOMAIN);
        }
        let index = gref.0 as usize;
        let (frame, index) = (index / ENTRIES_PER_FRAME, index % ENTRIES_PER_FRAME);
        let frame = self.frames.get_mut(frame).ok_or(GrantStatus::BAD_GNTREF)?;
        let pins = frame.pins.get_mut(index).ok_or(GrantStatus::BAD_GNTREF)?;
        Ok((EntryAt { mfn: frame.mfn, offset: index.wrapping_mul(ENTRY_BYTES) }, pins))
    }

    fn count(&self) -> u32 {
        u32::try_from(self.frames.len()).unwrap_or(u32::MAX)
    }

    fn push(&mut self, mfn: Mfn) -> Result<(), MemoryError> {
        let mut pins = Vec::new();
        self.frames.try_reserve(1).map_err(|_| MemoryError::NoMemory)?;
        pins.try_reserve_exact(ENTRIES_PER_FRAME).map_err(|_| MemoryError::NoMemory)?;
        pins.resize(ENTRIES_PER_FRAME, Pins::NONE);
        self.frames.push(SharedFrame { mfn, gfn: None, pins: pins.into_boxed_slice() });
        Ok(())
    }
}

impl GrantTable {
    /// Frames that the table has.
    pub fn frames(&self) -> u32 {
        self.shared.lock().count()
    }

    /// Frames that it may have.
    pub fn max_frames(&self) -> u32 {
        self.limits.frames
    }

    /// Makes the table at least this large.
    ///
    /// # Errors
    /// [`MemoryError::OverLimit`], [`MemoryError::NoMemory`], [`MemoryError::Dying`].
    pub fn grow_to(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        count: u32,
    ) -> Result<(), MemoryError> {
        if count > self.limits.frames {
            return Err(MemoryError::OverLimit);
        }
        let mut shared = self.shared.lock();
        if shared.dead {
            return Err(MemoryError::Dying);
        }
        while shared.count() < count {
            let request = Request::new(0, FrameKind::Shared, self.owner);
            let mfn = frames.table.alloc_zeroed(frames.memory, &request);
            let mfn = mfn.ok_or(MemoryError::NoMemory)?;
            shared.push(mfn).inspect_err(|_| frames.table.put(mfn))?;
        }
        Ok(())
    }

    /// Where the domain has a frame of the table mapped.
    pub fn frame_gfn(&self, index: u32) -> Option<Gfn> {
        self.shared.lock().frames.get(index as usize)?.gfn
    }

    /// A frame of the table, which grows for it if need be: for mapping by the toolstack.
    ///
    /// # Errors
    /// As [`Self::grow_to`].
    pub fn frame<'a>(
        &self,
        frames: Frames<'a, impl FrameMemory>,
        index: u32,
    ) -> Result<FrameRef<'a>, MemoryError> {
        self.grow_to(frames, index.saturating_add(1))?;
        let shared = self.shared.lock();
        let frame = shared.frames.get(index as usize).ok_or(MemoryError::Dying)?;
        frames.table.get(frame.mfn, self.owner).map_err(|_| MemoryError::Dying)
    }

    /// Maps a frame of the table into the domain's own memory; the table grows for it if need be,
    /// and the frame goes from where it was.
    ///
    /// # Errors
    /// As [`Self::grow_to`] and [`DomainMemory::map_shared`].
    pub fn map_frame<F: Stage2Format>(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        memory: &DomainMemory<F>,
        index: u32,
        gfn: Gfn,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        self.grow_to(frames, index.saturating_add(1))?;
        let mut shared = self.shared.lock();
        let frame = shared.frames.get_mut(index as usize).ok_or(MemoryError::Dying)?;
        memory.map_shared(frames, frame.mfn, frame.gfn, gfn, batch)?;
        frame.gfn = Some(gfn);
        Ok(())
    }

    /// From now on nothing can be granted.
    pub fn stop_granting(&self) {
        self.shared.lock().dead = true;
    }

    /// Gives the frames back, when the domain doesn't run any more.
    pub fn free_frames(&self, frames: Frames<'_, impl FrameMemory>) {
        let mut shared = self.shared.lock();
        shared.dead = true;
        for frame in shared.frames.drain(..) {
            frames.table.disown_range(FrameRange { start: frame.mfn, frames: 1 });
        }
    }
}
