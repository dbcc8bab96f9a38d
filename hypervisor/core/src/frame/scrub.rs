//! Zeroing free frames in idle moments, so that allocating them later costs nothing.

use core::sync::atomic::Ordering::Relaxed;

use super::{FrameKind, FrameRange, FrameTable};
use crate::frame::word::FrameWord;
use crate::platform::FrameMemory;
use crate::types::{DomId, Mfn};

/// The most frames that one call zeroes.
const BATCH_FRAMES: u64 = 16;
/// The most words that one call looks at.
const LOOK_AT: usize = 2048;

impl FrameTable {
    /// Zeroes a few free frames, if some need it. Gives whether there may be more to do; an idle
    /// CPU calls it until then.
    pub fn scrub_some(&self, memory: &impl FrameMemory) -> bool {
        if self.dirty_frames() == 0 {
            return false;
        }
        if let Some(run) = self.find_dirty() {
            // Taken like any allocation, so that no one else gets them halfway.
            if self.claim_exact(run, FrameKind::Hypervisor, DomId::XEN).is_ok() {
                for mfn in run.start.0..run.end() {
                    memory.zero(Mfn(mfn));
                    let word = self.word(mfn).expect("just claimed");
                    word.store(FrameWord::FREE_CLEAN.0, Relaxed);
                }
                self.insert(run.start.0, run.end(), 0);
            }
        }
        self.dirty_frames() > 0
    }

    /// A run of frames that are free and dirty, looked for from where the last call stopped.
    fn find_dirty(&self) -> Option<FrameRange> {
        let words = self.layout.bitmaps_from();
        let from = self.scrub_cursor.load(Relaxed) % words;
        let to = (from + LOOK_AT).min(words);
        let is_dirty =
            |index: &usize| self.storage[*index].load(Relaxed) == FrameWord::FREE_DIRTY.0;
        let Some(first) = (from..to).find(is_dirty) else {
            self.scrub_cursor.store(to, Relaxed);
            return None;
        };
        let span = self.layout.span_of(first);
        let span_end = span.first_word + span.frames as usize;
        let end = (first + BATCH_FRAMES as usize).min(span_end);
        let len = (first..end).take_while(is_dirty).count();
        self.scrub_cursor.store(first + len, Relaxed);
        Some(FrameRange { start: self.layout.mfn_of(first), frames: len as u64 })
    }
}
