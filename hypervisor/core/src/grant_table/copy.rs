//! Copying to and from granted frames, without mapping them.

use xen_abi::grant_table::GrantStatus;

use super::pin::{Access, Use, pin};
use super::{GrantResult, GrantTable, Party};
use crate::frame::FrameRef;
use crate::memory::MemoryError;
use crate::p2m::{Frames, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{DomId, FRAME_BYTES, Gfn, GrantRef, Mfn};

/// The page at one end of a copy.
#[derive(Clone, Copy, Debug)]
pub enum CopyPage<'a, F> {
    /// What a domain granted to the caller.
    Granted(Party<'a, F>, GrantRef),
    /// The caller's own.
    Own(Gfn),
}

/// One end of a copy.
#[derive(Clone, Copy, Debug)]
pub struct CopyEnd<'a, F> {
    /// The page.
    pub page: CopyPage<'a, F>,
    /// Where in the page.
    pub offset: u16,
}

/// A page that is held for a copy.
struct Held<'a, M: FrameMemory> {
    frame: FrameRef<'a>,
    /// The entry to unpin afterwards.
    pin: Option<(&'a GrantTable, GrantRef, Access)>,
    memory: &'a M,
}

impl<M: FrameMemory> Drop for Held<'_, M> {
    fn drop(&mut self) {
        if let Some((table, gref, access)) = self.pin {
            table.unpin(self.memory, gref, access);
        }
    }
}

impl<F: Stage2Format> Party<'_, F> {
    /// Copies `len` bytes, on behalf of this domain.
    ///
    /// # Errors
    /// The status for the caller.
    pub fn copy_grant<'a, M: FrameMemory>(
        self,
        frames: Frames<'a, M>,
        source: &CopyEnd<'a, F>,
        dest: &CopyEnd<'a, F>,
        len: u16,
    ) -> GrantResult<()> {
        let from = self.hold(frames, source, Access::Read)?;
        let to = self.hold(frames, dest, Access::Write)?;
        let fits = |end: &CopyEnd<'_, F>| {
            usize::from(end.offset).saturating_add(usize::from(len)) <= FRAME_BYTES
        };
        if !fits(source) || !fits(dest) {
            return Err(GrantStatus::BAD_COPY_ARG);
        }
        let from = (from.frame.mfn(), usize::from(source.offset));
        let to = (to.frame.mfn(), usize::from(dest.offset));
        copy_bytes(frames.memory, from, to, usize::from(len));
        Ok(())
    }

    fn hold<'a, M: FrameMemory>(
        self,
        frames: Frames<'a, M>,
        end: &CopyEnd<'a, F>,
        access: Access,
    ) -> GrantResult<Held<'a, M>> {
        let memory = frames.memory;
        match end.page {
            CopyPage::Own(gfn) => {
                let frame = self.memory.own_frame(frames, gfn, access == Access::Write);
                let frame = frame.map_err(MemoryError::grant_status)?;
                Ok(Held { frame, pin: None, memory })
            }
            CopyPage::Granted(granter, gref) => {
                let grantee: DomId = self.memory.owner();
                let pinned = pin(frames, granter, gref, grantee, access, Use::Copy)?;
                let pin = Some((granter.grants, gref, access));
                Ok(Held { frame: pinned.frame, pin, memory })
            }
        }
    }
}

/// Copies within machine memory; the ranges may overlap.
fn copy_bytes(memory: &impl FrameMemory, from: (Mfn, usize), to: (Mfn, usize), len: usize) {
    let distance = from.1.abs_diff(to.1);
    if from.0 != to.0 || distance >= len {
        memory.copy(from, to, len);
        return;
    }
    let mut buffer = [0; 256];
    let mut done = 0;
    while done < len {
        let part = len.saturating_sub(done).min(buffer.len());
        // What lies ahead of the copy's direction is read before it is overwritten.
        let at = if to.1 <= from.1 { done } else { len.saturating_sub(done.saturating_add(part)) };
        if let Some(part) = buffer.get_mut(..part) {
            memory.read(from.0, from.1.saturating_add(at), part);
            memory.write(to.0, to.1.saturating_add(at), part);
        }
        done = done.saturating_add(part);
    }
}
