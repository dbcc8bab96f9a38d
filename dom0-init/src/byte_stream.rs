//! Streams of bytes in a shared page: each a part of it, used as a ring with free-running indexes.
//!
//! Our own indexes are kept here. The other side's are read once, by `waiting`, whose answer the
//! caller may check; whatever it is, only bytes of the ring are touched.
//!
//! The other side need not tell of each change: who writes tells a reader that had taken all, who
//! takes tells a writer that had no room. So our index is visible before the other one is read
//! again, and we look until nothing is left to do.

use std::sync::atomic::{Ordering, fence};

use crate::shared_page::Page;

/// Where a stream lies in its page, in bytes.
#[derive(Debug, Clone, Copy)]
pub struct Place {
    /// Where its bytes start.
    pub bytes: usize,
    /// How many there is room for.
    pub length: usize,
    /// Where the reader's index is.
    pub consumed: usize,
    /// Where the writer's index is.
    pub produced: usize,
}

impl Place {
    /// Where the byte with this index lies, and how many there are from it to the ring's end.
    fn at(&self, index: u32) -> (usize, usize) {
        let start = usize::try_from(index).unwrap_or(0) % self.length;
        (self.bytes + start, self.length - start)
    }
}

/// A stream that the other side writes.
#[derive(Debug)]
pub struct Incoming {
    place: Place,
    consumed: u32,
}

impl Incoming {
    /// From its very beginning.
    pub fn new(place: Place) -> Self {
        Self { place, consumed: 0 }
    }

    /// From where it was left.
    pub fn resume(place: Place, page: &impl Page) -> Self {
        Self::resume_at(place, page.load(place.consumed))
    }

    /// From an index on, whatever the page says.
    pub fn resume_at(place: Place, consumed: u32) -> Self {
        Self { place, consumed }
    }

    /// Our index: what was taken.
    pub fn consumed(&self) -> u32 {
        self.consumed
    }

    /// How many bytes the other side claims to have written, and we haven't taken.
    pub fn waiting(&self, page: &impl Page) -> u32 {
        page.load(self.place.produced).wrapping_sub(self.consumed)
    }

    /// Takes what was claimed; no more than there is room for, if the claim is a lie.
    pub fn take(&mut self, page: &impl Page, claimed: u32) -> Vec<u8> {
        let bytes = self.read(page, claimed);
        self.publish(page);
        bytes
    }

    /// The same, but the other side can't use the room again until [`Self::publish`].
    pub fn read(&mut self, page: &impl Page, claimed: u32) -> Vec<u8> {
        let count = usize::try_from(claimed).unwrap_or(usize::MAX).min(self.place.length);
        let (start, before_end) = self.place.at(self.consumed);
        let mut bytes = vec![0; count];
        let (first, second) = bytes.split_at_mut(before_end.min(count));
        let inside = page.read(start, first) && page.read(self.place.bytes, second);
        debug_assert!(inside, "rings lie in a page");
        self.consumed = self.consumed.wrapping_add(claimed);
        bytes
    }

    /// Gives the room of what was read back to the other side.
    pub fn publish(&self, page: &impl Page) {
        page.store(self.place.consumed, self.consumed);
        fence(Ordering::SeqCst);
    }
}

/// A stream that we write.
#[derive(Debug)]
pub struct Outgoing {
    place: Place,
    produced: u32,
}

impl Outgoing {
    /// From its very beginning.
    pub fn new(place: Place) -> Self {
        Self { place, produced: 0 }
    }

    /// From where it was left.
    pub fn resume(place: Place, page: &impl Page) -> Self {
        Self { place, produced: page.load(place.produced) }
    }

    /// Our index: what was written.
    pub fn produced(&self) -> u32 {
        self.produced
    }

    /// How many bytes the other side claims not to have taken.
    pub fn waiting(&self, page: &impl Page) -> u32 {
        self.produced.wrapping_sub(page.load(self.place.consumed))
    }

    /// Writes as many bytes as there is room for besides those that wait; gives how many.
    pub fn put(&mut self, page: &impl Page, waiting: u32, bytes: &[u8]) -> usize {
        let waiting = usize::try_from(waiting).unwrap_or(usize::MAX);
        let bytes = bytes.get(..self.place.length.saturating_sub(waiting)).unwrap_or(bytes);
        let (start, before_end) = self.place.at(self.produced);
        let (first, second) = bytes.split_at(before_end.min(bytes.len()));
        let inside = page.write(start, first) && page.write(self.place.bytes, second);
        debug_assert!(inside, "rings lie in a page");
        self.produced = self.produced.wrapping_add(u32::try_from(bytes.len()).unwrap_or(0));
        page.store(self.place.produced, self.produced);
        fence(Ordering::SeqCst);
        bytes.len()
    }
}
