//! Looking up and copying a domain's memory by guest-physical address.

use super::{DomainMemory, MemoryError};
use crate::frame::FrameRef;
use crate::p2m::{Found, Frames, P2mKind, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{FRAME_BYTES, Gfn, Gpa, Mfn};

/// A guest frame with memory behind it, at the moment of the lookup.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The machine frame.
    pub mfn: Mfn,
    /// Why it is mapped.
    pub kind: P2mKind,
    /// Whether the guest may write it.
    pub writable: bool,
}

impl<F: Stage2Format> DomainMemory<F> {
    /// What a guest frame stands for, devices and holes included.
    #[inline]
    pub fn lookup(&self, memory: &impl FrameMemory, gfn: Gfn) -> Found {
        self.inner.read().p2m.lookup(memory, gfn)
    }

    /// The memory behind a guest frame. It may be gone by the time this returns: to use it for
    /// longer than a copy by the domain's own vCPU, take [`Self::own_frame`].
    ///
    /// # Errors
    /// [`MemoryError::NotMapped`], [`MemoryError::NotRam`].
    #[inline]
    pub fn translate(
        &self,
        memory: &impl FrameMemory,
        gfn: Gfn,
    ) -> Result<Translation, MemoryError> {
        memory_of(self.lookup(memory, gfn))
    }

    /// A reference to the domain's own memory at a guest frame.
    ///
    /// # Errors
    /// [`MemoryError::NotMapped`]; [`MemoryError::NotRam`] if it isn't the domain's own;
    /// [`MemoryError::ReadOnly`] if it is for writing and may not be written.
    pub fn own_frame<'a>(
        &self,
        frames: Frames<'a, impl FrameMemory>,
        gfn: Gfn,
        for_writing: bool,
    ) -> Result<FrameRef<'a>, MemoryError> {
        let inner = self.inner.read();
        let leaf = inner.p2m.lookup(frames.memory, gfn).leaf.ok_or(MemoryError::NotMapped)?;
        if !leaf.kind.is_own_ram() {
            return Err(MemoryError::NotRam);
        }
        if for_writing && leaf.kind == P2mKind::RamReadOnly {
            return Err(MemoryError::ReadOnly);
        }
        frames.table.get(leaf.mfn, self.owner).map_err(|_| MemoryError::NotRam)
    }

    /// A reference to what another domain may map by privilege: the domain's own memory and its
    /// shared pages.
    ///
    /// # Errors
    /// [`MemoryError::NotMapped`], [`MemoryError::NotRam`].
    pub fn mappable_frame<'a>(
        &self,
        frames: Frames<'a, impl FrameMemory>,
        gfn: Gfn,
    ) -> Result<FrameRef<'a>, MemoryError> {
        let inner = self.inner.read();
        let leaf = inner.p2m.lookup(frames.memory, gfn).leaf.ok_or(MemoryError::NotMapped)?;
        if !leaf.kind.is_own_ram() && leaf.kind != P2mKind::Shared {
            return Err(MemoryError::NotRam);
        }
        frames.table.get(leaf.mfn, self.owner).map_err(|_| MemoryError::NotRam)
    }

    /// Copies guest-physical memory in.
    ///
    /// # Errors
    /// If a part of the range isn't memory. `into` may then be partly written.
    pub fn read(
        &self,
        memory: &impl FrameMemory,
        from: Gpa,
        into: &mut [u8],
    ) -> Result<(), MemoryError> {
        let inner = self.inner.read();
        let mut rest = into;
        let mut at = from;
        while !rest.is_empty() {
            let (part, after) = rest.split_at_mut(rest.len().min(FRAME_BYTES - at.offset()));
            let frame = memory_of(inner.p2m.lookup(memory, at.gfn()))?;
            memory.read(frame.mfn, at.offset(), part);
            at = next_frame(at)?;
            rest = after;
        }
        Ok(())
    }

    /// Copies into guest-physical memory, as the guest itself could.
    ///
    /// # Errors
    /// If a part of the range isn't memory or isn't writable. The range may then be partly
    /// written.
    pub fn write(
        &self,
        memory: &impl FrameMemory,
        to: Gpa,
        from: &[u8],
    ) -> Result<(), MemoryError> {
        let inner = self.inner.read();
        let mut rest = from;
        let mut at = to;
        while !rest.is_empty() {
            let (part, after) = rest.split_at(rest.len().min(FRAME_BYTES - at.offset()));
            let frame = memory_of(inner.p2m.lookup(memory, at.gfn()))?;
            if !frame.writable {
                return Err(MemoryError::ReadOnly);
            }
            memory.write(frame.mfn, at.offset(), part);
            at = next_frame(at)?;
            rest = after;
        }
        Ok(())
    }
}

/// The memory that a lookup found.
fn memory_of(found: Found) -> Result<Translation, MemoryError> {
    let leaf = found.leaf.ok_or(MemoryError::NotMapped)?;
    if leaf.kind.is_mmio() {
        return Err(MemoryError::NotRam);
    }
    Ok(Translation { mfn: leaf.mfn, kind: leaf.kind, writable: leaf.kind.is_writable() })
}

/// The first byte of the frame after the one that `at` lies in.
fn next_frame(at: Gpa) -> Result<Gpa, MemoryError> {
    let next = (at.0 - at.offset() as u64).checked_add(FRAME_BYTES as u64);
    next.map(Gpa).ok_or(MemoryError::BadAddress)
}
