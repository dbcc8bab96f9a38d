//! The buddy allocator: which blocks of frames are free, by order, in one bitmap per order and
//! span.
//!
//! Blocks are handed out from the top of memory down, so that low memory (which the control
//! domain and 32-bit devices need at exact addresses) goes last. The frame table's lock covers
//! everything here.

use core::ops::Range;
use core::sync::atomic::AtomicU64;

use super::FrameRange;
use super::bitmap::Bitmap;
use crate::types::Mfn;

/// The largest block: 2^18 frames, 1 GiB.
pub const MAX_ORDER: u32 = 18;
/// The first frame after the memory that code in real mode can be started in.
const FIRST_MIB_END: u64 = 0x100;
const ORDERS: usize = MAX_ORDER as usize + 1;

/// A run of machine frames that has metadata: RAM and the small holes in it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Span {
    pub(super) base: u64,
    pub(super) frames: u64,
    /// The storage word of the first frame.
    pub(super) first_word: usize,
    /// Free blocks by order; bit `n` is block number `(base >> order) + n`.
    free: [Bitmap; ORDERS],
}

impl Span {
    pub(super) const EMPTY: Self =
        Self { base: 0, frames: 0, first_word: 0, free: [Bitmap::EMPTY; ORDERS] };

    pub(super) fn new(range: FrameRange) -> Self {
        Self { base: range.start.0, frames: range.frames, ..Self::EMPTY }
    }

    /// Places the bitmaps from word `next` on, and gives the word after them.
    pub(super) fn place_bitmaps(&mut self, mut next: usize) -> usize {
        for (order, map) in self.free.iter_mut().enumerate() {
            let bits = ((self.base + self.frames - 1) >> order) - (self.base >> order) + 1;
            (*map, next) = Bitmap::place(bits, next);
        }
        next
    }

    pub(super) fn end(&self) -> u64 {
        self.base + self.frames
    }

    pub(super) fn contains(&self, mfn: u64, frames: u64) -> bool {
        mfn >= self.base && mfn.checked_add(frames).is_some_and(|end| end <= self.end())
    }

    fn bit(&self, mfn: u64, order: u32) -> u64 {
        (mfn >> order) - (self.base >> order)
    }

    /// Marks a block free, joined with its free buddies.
    fn insert(&self, words: &[AtomicU64], mfn: u64, order: u32) {
        let (mut mfn, mut order) = (mfn, order);
        while order < MAX_ORDER {
            let buddy = mfn ^ (1 << order);
            let map = &self.free[order as usize];
            if !self.contains(buddy, 1 << order) || !map.test(words, self.bit(buddy, order)) {
                break;
            }
            map.clear(words, self.bit(buddy, order));
            mfn &= !(1 << order);
            order += 1;
        }
        self.free[order as usize].set(words, self.bit(mfn, order));
    }

    /// Marks the frames `[start, end)` free.
    pub(super) fn insert_run(&self, words: &[AtomicU64], start: u64, end: u64) {
        let mut mfn = start;
        while mfn < end {
            let order = mfn.trailing_zeros().min((end - mfn).ilog2()).min(MAX_ORDER);
            self.insert(words, mfn, order);
            mfn += 1 << order;
        }
    }

    /// The free block that holds the frame.
    fn block_of(&self, words: &[AtomicU64], mfn: u64) -> Option<(u64, u32)> {
        (0..=MAX_ORDER).find_map(|order| {
            let start = mfn >> order << order;
            let free = self.contains(start, 1 << order)
                && self.free[order as usize].test(words, self.bit(mfn, order));
            free.then_some((start, order))
        })
    }

    /// Takes the frames `[start, end)` if all of them are free.
    pub(super) fn take_exact(&self, words: &[AtomicU64], start: u64, end: u64) -> bool {
        let mut mfn = start;
        while mfn < end {
            let Some((block, order)) = self.block_of(words, mfn) else { return false };
            mfn = block + (1 << order);
        }
        let mut mfn = start;
        while mfn < end {
            let (block, order) = self.block_of(words, mfn).expect("seen free under this lock");
            let block_end = block + (1 << order);
            self.free[order as usize].clear(words, self.bit(block, order));
            self.insert_run(words, block, start.max(block));
            self.insert_run(words, end.min(block_end), block_end);
            mfn = block_end;
        }
        true
    }

    /// Takes the highest block of `order` from a free block of `from` (at least `order`) whose
    /// frames all lie in `within`.
    fn take(&self, words: &[AtomicU64], order: u32, from: u32, within: Range<u64>) -> Option<Mfn> {
        let limit = within.end;
        // The block's first frame is at most here.
        let highest = limit.min(self.end()).checked_sub(1 << order)?.checked_sub(self.base)?;
        let map = &self.free[from as usize];
        let bits = self.bit(self.base + highest, from) + 1;
        let bit = map.last_below(words, bits)?;
        let block = ((self.base >> from) + bit) << from;
        let block_end = block + (1 << from);
        let mfn = (block_end.min(limit) >> order << order) - (1 << order);
        if mfn < block.max(within.start) {
            return None;
        }
        map.clear(words, bit);
        self.insert_run(words, block, mfn);
        self.insert_run(words, mfn + (1 << order), block_end);
        Some(Mfn(mfn))
    }
}

/// Takes a block of `order` below `limit` from the smallest free block that has one, and among
/// those from the highest address. The first MiB is touched only if there is no other.
pub(super) fn take(spans: &[Span], words: &[AtomicU64], order: u32, limit: u64) -> Option<Mfn> {
    let above = |floor: u64| {
        let within = floor..limit;
        let take = |from| {
            spans.iter().rev().find_map(|span| span.take(words, order, from, within.clone()))
        };
        (order..=MAX_ORDER).find_map(take)
    };
    above(FIRST_MIB_END).or_else(|| above(0))
}
