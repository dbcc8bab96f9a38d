//! Changes of a second stage whose consequences wait for one flush.
//!
//! A frame may be given back only when no CPU and no device can still reach it through a stale
//! translation, and a flush is dear. So operations collect what is to be given back in a
//! [`FlushBatch`]; it flushes once and then gives everything back, when it is full or dropped.

use super::kind::Leaf;
use crate::frame::{FrameRange, FrameTable};
use crate::types::{Gfn, Mfn};

/// What has to learn of changes to a domain's second stage.
pub trait Stage2Listener {
    /// Guest frames `[gfn, gfn + (1 << order))` are mapped to `leaf` now, or to nothing. The
    /// domain's memory is locked: don't use it. An IOMMU's tables follow here.
    fn changed(&self, gfn: Gfn, order: u32, leaf: Option<Leaf>);
    /// Returns once neither CPU nor device can use a translation that was removed before.
    fn flush(&self);
}

/// How many runs of frames a batch holds before it flushes by itself.
const RUNS: usize = 64;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Give {
    /// One reference to each frame.
    Reference,
    /// The owner's reference to each frame.
    Ownership,
}

/// Frames to give back after the next flush. See the [module](self).
pub struct FlushBatch<'a> {
    frames: &'a FrameTable,
    listener: &'a dyn Stage2Listener,
    stale: bool,
    runs: [(FrameRange, Give); RUNS],
    len: usize,
}

impl<'a> FlushBatch<'a> {
    /// An empty batch for one domain's changes.
    pub fn new(frames: &'a FrameTable, listener: &'a dyn Stage2Listener) -> Self {
        let none = (FrameRange { start: Mfn(0), frames: 0 }, Give::Reference);
        Self { frames, listener, stale: false, runs: [none; RUNS], len: 0 }
    }

    /// One reference to each of these frames is given back after the flush.
    pub fn release(&mut self, start: Mfn, frames: u64) {
        self.push(FrameRange { start, frames }, Give::Reference);
    }

    /// The owner's reference to each of these frames is given back after the flush.
    pub fn disown(&mut self, start: Mfn, frames: u64) {
        self.push(FrameRange { start, frames }, Give::Ownership);
    }

    /// Flushes if a translation was removed or restricted, and gives back what was collected.
    pub fn commit(&mut self) {
        if core::mem::take(&mut self.stale) {
            self.listener.flush();
        }
        for (range, give) in &self.runs[..core::mem::take(&mut self.len)] {
            match give {
                Give::Reference => self.frames.put_range(*range),
                Give::Ownership => self.frames.disown_range(*range),
            }
        }
    }

    /// Notes a change of the tables. `removed` says that a translation was taken away or
    /// restricted, so that a flush is due.
    pub(super) fn changed(&mut self, gfn: Gfn, order: u32, leaf: Option<Leaf>, removed: bool) {
        self.stale |= removed;
        self.listener.changed(gfn, order, leaf);
    }

    /// Notes that a flush is due.
    pub(super) fn mark_stale(&mut self) {
        self.stale = true;
    }

    fn push(&mut self, range: FrameRange, give: Give) {
        if let Some((last, last_give)) = self.runs[..self.len].last_mut()
            && *last_give == give
            && last.end() == range.start.0
        {
            last.frames += range.frames;
            return;
        }
        if self.len == RUNS {
            self.commit();
        }
        self.runs[self.len] = (range, give);
        self.len += 1;
    }
}

impl Drop for FlushBatch<'_> {
    fn drop(&mut self) {
        self.commit();
    }
}
