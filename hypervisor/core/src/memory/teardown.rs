//! Giving a dead domain's memory back, in bounded steps.

use super::DomainMemory;
use crate::frame::FrameRange;
use crate::p2m::{Frames, P2mKind, Stage2Format};
use crate::platform::FrameMemory;

impl<F: Stage2Format> DomainMemory<F> {
    /// From now on nothing can be added.
    pub fn stop_growing(&self) {
        self.inner.write().dying = true;
    }

    /// Gives back about `budget` frames of a domain whose vCPUs will never run again and whose
    /// translations were flushed since they stopped. Gives whether all is done; call it until
    /// then. The domain's grant mappings must have been released before.
    ///
    /// Frames that other domains map stay until these unmap them, and the shared info page stays
    /// until [`Self::free_shared_info`].
    pub fn tear_down(&self, frames: Frames<'_, impl FrameMemory>, budget: u64) -> bool {
        let mut inner = self.inner.write();
        inner.dying = true;
        frames.table.unstake(core::mem::take(&mut inner.claimed));
        let emptied = inner.p2m.tear_down(frames, budget, |leaf, order| {
            let range = FrameRange { start: leaf.mfn, frames: 1 << order };
            match leaf.kind {
                P2mKind::Ram | P2mKind::RamLogDirty | P2mKind::RamReadOnly => {
                    self.subtract_pages(range.frames);
                    frames.table.disown_range(range);
                }
                P2mKind::Foreign | P2mKind::Shared | P2mKind::GrantRw | P2mKind::GrantRo => {
                    frames.table.put_range(range);
                }
                P2mKind::Mmio | P2mKind::MmioReadOnly => {}
            }
        });
        if !emptied {
            return false;
        }
        if self.is_identity()
            && let Some(from) = inner.sweep
        {
            // Frames that it keeps unmapped, or that an overlay hid.
            let budget = usize::try_from(budget).unwrap_or(usize::MAX);
            inner.sweep = frames.table.disown_all(self.owner, from, budget);
            if inner.sweep.is_some() {
                return false;
            }
            self.subtract_pages(self.pages());
        }
        inner.p2m.free_root(frames);
        true
    }

    /// Gives the shared info page back, last of all: nothing may use this domain any more.
    pub fn free_shared_info(&self, frames: Frames<'_, impl FrameMemory>) {
        frames.table.disown_range(FrameRange { start: self.shared_info, frames: 1 });
    }
}
