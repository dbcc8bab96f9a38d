//! The frame table: who owns each machine frame, who else uses it, and which frames are free.
//!
//! Every frame of RAM has one 64-bit word: its [`FrameKind`], its owner, its references. The
//! owner holds one reference; each mapping by another domain holds one more, and so does a
//! [`FrameRef`] while something is copied. The last reference that goes frees the frame, dirty.
//! An owner that lets go first leaves an [`FrameKind::Orphan`], which no lookup by owner finds.
//!
//! Free frames are in a buddy allocator ([`buddy`]). What a domain gets is zeroed when it is
//! allocated ([`FrameTable::alloc_zeroed`]) unless [`FrameTable::scrub_some`] did it before, in
//! an idle moment; so no domain ever sees another's data.
//!
//! Locking: one lock over the free blocks; the words are atomic. Neither calls out.

mod bitmap;
mod buddy;
mod claims;
mod gather;
mod layout;
mod scrub;
mod word;

#[cfg(test)]
mod tests;

use core::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use core::sync::atomic::{AtomicU64, AtomicUsize};

use spin::Mutex;

pub use buddy::MAX_ORDER;
pub use gather::gather;
pub use layout::FrameLayout;
pub use word::{FrameInfo, FrameKind};

use crate::platform::FrameMemory;
use crate::types::{DomId, Mfn};
use word::FrameWord;

/// Machine frames `[start, start + frames)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameRange {
    /// The first.
    pub start: Mfn,
    /// How many.
    pub frames: u64,
}

/// Why a frame can't be had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// There is no such frame, or it isn't RAM.
    NotRam,
    /// It isn't the memory of the expected domain (any more).
    NotOwned,
    /// Too many references to it.
    TooManyReferences,
    /// A frame of the range is in use.
    NotFree,
}

/// What kind of block is wanted.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    order: u32,
    kind: FrameKind,
    owner: DomId,
    below: u64,
    claimed: u64,
}

impl Request {
    /// A block of `1 << order` frames for this use and owner.
    pub const fn new(order: u32, kind: FrameKind, owner: DomId) -> Self {
        Self { order, kind, owner, below: u64::MAX, claimed: 0 }
    }

    /// A block for the hypervisor's own use.
    pub const fn hypervisor(order: u32) -> Self {
        Self::new(order, FrameKind::Hypervisor, DomId::XEN)
    }

    /// Only frames below this one.
    pub const fn below(self, limit: Mfn) -> Self {
        Self { below: limit.0, ..self }
    }

    /// The owner has this many frames set aside ([`FrameTable::stake`]) and may use them up.
    pub const fn claimed(self, frames: u64) -> Self {
        Self { claimed: frames, ..self }
    }

    const fn range(&self, start: Mfn) -> FrameRange {
        FrameRange { start, frames: 1 << self.order }
    }

    const fn used(&self) -> FrameWord {
        FrameWord::used(self.kind, self.owner)
    }
}

/// The state under the lock. The bitmaps themselves are in the storage.
#[derive(Debug, Default)]
struct Pool {
    free: u64,
    /// Frames set aside for domains that are being built, summed.
    claimed: u64,
}

/// The machine's frames. One exists.
pub struct FrameTable {
    layout: FrameLayout,
    storage: &'static [AtomicU64],
    pool: Mutex<Pool>,
    total: u64,
    /// Copy of `pool.free`, for readers without the lock.
    free: AtomicU64,
    /// Copy of `pool.claimed`, for readers without the lock.
    claimed: AtomicU64,
    /// Free frames whose content is not known to be zero.
    dirty: AtomicU64,
    /// Where [`FrameTable::scrub_some`] goes on.
    scrub_cursor: AtomicUsize,
}

impl FrameTable {
    /// A table in which all of `ram` is free. `layout` was made from the same ranges, and
    /// `storage` has its number of words, of any content.
    ///
    /// # Panics
    /// If the storage is too small.
    pub fn new(layout: FrameLayout, ram: &[FrameRange], storage: &'static [AtomicU64]) -> Self {
        assert!(storage.len() >= layout.words(), "frame table: storage too small");
        let (frames, bitmaps) = storage.split_at(layout.bitmaps_from());
        frames.iter().for_each(|word| word.store(FrameWord::RESERVED.0, Relaxed));
        bitmaps.iter().for_each(|word| word.store(0, Relaxed));
        let table = Self {
            layout,
            storage,
            pool: Mutex::new(Pool::default()),
            total: ram.iter().map(|range| range.frames).sum(),
            free: AtomicU64::new(0),
            claimed: AtomicU64::new(0),
            dirty: AtomicU64::new(0),
            scrub_cursor: AtomicUsize::new(0),
        };
        for range in ram.iter().filter(|range| range.frames > 0) {
            for word in table.words(*range) {
                word.store(FrameWord::FREE_DIRTY.0, Relaxed);
            }
            table.insert(range.start.0, range.end(), range.frames);
        }
        table
    }

    /// Takes a free block. Its content is whatever it was: use [`Self::alloc_zeroed`] for
    /// anything that a domain may see.
    ///
    /// Gives `None` if there is no such block, or only by using up what other domains have set
    /// aside.
    pub fn alloc(&self, request: &Request) -> Option<Mfn> {
        let mfn = self.take(request)?;
        self.start_use(request.range(mfn), request.used(), |_| ());
        Some(mfn)
    }

    /// As [`Self::alloc`], filled with zeroes.
    pub fn alloc_zeroed(&self, memory: &impl FrameMemory, request: &Request) -> Option<Mfn> {
        let mfn = self.take(request)?;
        self.start_use(request.range(mfn), request.used(), |mfn| memory.zero(mfn));
        Some(mfn)
    }

    /// Takes exactly these frames, with the content that they have.
    ///
    /// # Errors
    /// [`FrameError::NotFree`] if one of them isn't free; nothing is taken then.
    pub fn claim_exact(
        &self,
        range: FrameRange,
        kind: FrameKind,
        owner: DomId,
    ) -> Result<(), FrameError> {
        self.take_exact(range)?;
        self.start_use(range, FrameWord::used(kind, owner), |_| ());
        Ok(())
    }

    /// As [`Self::claim_exact`], filled with zeroes.
    ///
    /// # Errors
    /// As [`Self::claim_exact`].
    pub fn claim_exact_zeroed(
        &self,
        memory: &impl FrameMemory,
        range: FrameRange,
        kind: FrameKind,
        owner: DomId,
    ) -> Result<(), FrameError> {
        self.take_exact(range)?;
        self.start_use(range, FrameWord::used(kind, owner), |mfn| memory.zero(mfn));
        Ok(())
    }

    /// Takes a reference to a domain's frame: memory, or a page that it shares with the
    /// hypervisor.
    ///
    /// # Errors
    /// If `owner` isn't the owner, or there are too many references.
    #[inline]
    pub fn get(&self, mfn: Mfn, owner: DomId) -> Result<FrameRef<'_>, FrameError> {
        self.reference(mfn, |word| {
            word.owner() == owner && matches!(word.kind(), FrameKind::DomainRam | FrameKind::Shared)
        })
    }

    /// Takes one more reference to a frame that the caller knows to be referenced, whoever owns
    /// it.
    ///
    /// # Errors
    /// If it isn't a domain's or an orphan, or there are too many references.
    #[inline]
    pub fn share(&self, mfn: Mfn) -> Result<FrameRef<'_>, FrameError> {
        self.reference(mfn, |word| {
            let kind = word.kind();
            matches!(kind, FrameKind::DomainRam | FrameKind::Shared | FrameKind::Orphan)
        })
    }

    /// Gives a reference back; the last one frees the frame.
    ///
    /// # Panics
    /// If there is none: the hypervisor's own mistake.
    #[inline]
    pub fn put(&self, mfn: Mfn) {
        self.put_range(FrameRange { start: mfn, frames: 1 });
    }

    /// Gives back one reference to each frame of the range; those without any other are freed.
    ///
    /// # Panics
    /// If a frame has none: the hypervisor's own mistake.
    pub fn put_range(&self, range: FrameRange) {
        self.release(range, FrameWord::released);
    }

    /// Gives back the owner's reference to each frame of the range. Frames that others still use
    /// become orphans: they are no one's, and freed with the last use.
    ///
    /// # Panics
    /// If a frame has no reference: the hypervisor's own mistake.
    pub fn disown_range(&self, range: FrameRange) {
        self.release(range, |word| {
            let left = word.released()?;
            let orphan = left.with_kind(FrameKind::Orphan, DomId::INVALID);
            Some(if left.references() == 0 { left } else { orphan })
        });
    }

    /// Changes what a domain's frame is used for. Gives whether it was `from`, owned by `owner`.
    pub fn change_kind(&self, mfn: Mfn, owner: DomId, from: FrameKind, to: FrameKind) -> bool {
        let Some(word) = self.word(mfn.0) else { return false };
        word.fetch_update(AcqRel, Acquire, |bits| {
            let old = FrameWord(bits);
            (old.owner() == owner && old.kind() == from).then(|| old.with_kind(to, owner).0)
        })
        .is_ok()
    }

    /// What the table says of a frame; `None` where nothing is known, so no RAM is.
    pub fn info(&self, mfn: Mfn) -> Option<FrameInfo> {
        Some(FrameWord(self.word(mfn.0)?.load(Acquire)).info())
    }

    /// Whether any frame of the range is RAM.
    pub fn holds_ram(&self, range: FrameRange) -> bool {
        let (start, end) = (range.start.0, range.start.0.saturating_add(range.frames));
        self.layout.spans().iter().any(|span| {
            (start.max(span.base)..end.min(span.end()))
                .any(|mfn| self.info(Mfn(mfn)).is_some_and(|i| i.kind != FrameKind::Reserved))
        })
    }

    /// Frames of RAM, in use or not.
    pub fn total_frames(&self) -> u64 {
        self.total
    }

    /// Free frames, those set aside included.
    pub fn free_frames(&self) -> u64 {
        self.free.load(Relaxed)
    }

    /// Free frames that are still to be scrubbed.
    pub fn dirty_frames(&self) -> u64 {
        self.dirty.load(Relaxed)
    }

    /// The highest frame number that is RAM.
    pub fn max_mfn(&self) -> Mfn {
        Mfn(self.layout.spans().last().map_or(0, |span| span.end() - 1))
    }

    /// Gives back the owner's reference to all memory of a domain, mapped or not, in steps: looks
    /// at `budget` frames from position `from` on, and gives the position for the next step, or
    /// `None` at the end. Start with 0.
    pub fn disown_all(&self, owner: DomId, from: usize, budget: usize) -> Option<usize> {
        let to = (from + budget).min(self.layout.bitmaps_from());
        for index in from..to {
            let word = FrameWord(self.storage[index].load(Acquire));
            let ram = matches!(word.kind(), FrameKind::DomainRam | FrameKind::Retained);
            if ram && word.owner() == owner {
                let start = self.layout.mfn_of(index);
                self.disown_range(FrameRange { start, frames: 1 });
            }
        }
        (to < self.layout.bitmaps_from()).then_some(to)
    }

    #[inline]
    fn word(&self, mfn: u64) -> Option<&AtomicU64> {
        self.layout.spans().iter().find_map(|span| {
            let offset = mfn.wrapping_sub(span.base);
            (offset < span.frames).then(|| &self.storage[span.first_word + offset as usize])
        })
    }

    /// The words of a range, which lies within a span.
    fn words(&self, range: FrameRange) -> &[AtomicU64] {
        let mut spans = self.layout.spans().iter();
        let span = spans.find(|span| span.contains(range.start.0, range.frames));
        let span = span.expect("frames that are in use, or were free, are in a span");
        let first = span.first_word + (range.start.0 - span.base) as usize;
        &self.storage[first..first + range.frames as usize]
    }

    #[inline]
    fn reference(
        &self,
        mfn: Mfn,
        allowed: impl Fn(FrameWord) -> bool,
    ) -> Result<FrameRef<'_>, FrameError> {
        let word = self.word(mfn.0).ok_or(FrameError::NotRam)?;
        let mut old = word.load(Relaxed);
        loop {
            if !allowed(FrameWord(old)) {
                return Err(FrameError::NotOwned);
            }
            let new = FrameWord(old).referenced().ok_or(FrameError::TooManyReferences)?;
            match word.compare_exchange_weak(old, new.0, Acquire, Relaxed) {
                Ok(_) => return Ok(FrameRef { table: self, mfn }),
                Err(now) => old = now,
            }
        }
    }

    /// Takes a block out of the free ones.
    fn take(&self, request: &Request) -> Option<Mfn> {
        let frames = 1u64.checked_shl(request.order)?;
        let mut pool = self.pool.lock();
        if (pool.free + request.claimed).saturating_sub(pool.claimed) < frames {
            return None;
        }
        let spans = self.layout.spans();
        let mfn = buddy::take(spans, self.storage, request.order, request.below)?;
        self.set_free(&mut pool, |free| free - frames);
        Some(mfn)
    }

    /// Takes exactly these frames out of the free ones.
    fn take_exact(&self, range: FrameRange) -> Result<(), FrameError> {
        let (start, end) = (range.start.0, range.end());
        let span = self.layout.spans().iter().find(|span| span.contains(start, range.frames));
        let span = span.ok_or(FrameError::NotFree)?;
        let mut pool = self.pool.lock();
        if !span.take_exact(self.storage, start, end) {
            return Err(FrameError::NotFree);
        }
        self.set_free(&mut pool, |free| free - range.frames);
        Ok(())
    }

    /// Marks frames that were just taken as used, after `clean` has seen the dirty ones.
    fn start_use(&self, range: FrameRange, used: FrameWord, clean: impl Fn(Mfn)) {
        let mut dirty = 0;
        for (mfn, word) in (range.start.0..).zip(self.words(range)) {
            if FrameWord(word.load(Relaxed)).is_dirty() {
                clean(Mfn(mfn));
                dirty += 1;
            }
            word.store(used.0, Release);
        }
        if dirty > 0 {
            self.dirty.fetch_sub(dirty, Relaxed);
        }
    }

    /// Applies `step` (one reference less) to each frame, and frees those that have none left, in
    /// runs.
    fn release(&self, range: FrameRange, step: impl Fn(FrameWord) -> Option<FrameWord>) {
        let mut free_from = range.start.0;
        for (mfn, word) in (range.start.0..).zip(self.words(range)) {
            let old = word
                .fetch_update(AcqRel, Acquire, |bits| step(FrameWord(bits)).map(|new| new.0))
                .unwrap_or_else(|_| panic!("frame {mfn:#x} is released more often than taken"));
            if FrameWord(old).references() > 1 {
                self.free_run(free_from, mfn);
                free_from = mfn + 1;
            }
        }
        self.free_run(free_from, range.end());
    }

    /// Gives frames whose words already say "free and dirty" to the allocator.
    fn free_run(&self, start: u64, end: u64) {
        if start < end {
            self.insert(start, end, end - start);
        }
    }

    fn insert(&self, start: u64, end: u64, dirty: u64) {
        let frames = end - start;
        let span = self.layout.spans().iter().find(|span| span.contains(start, frames));
        let span = span.expect("a freed run is within a span");
        // Counted first: once in the allocator, another CPU may take and clean them.
        self.dirty.fetch_add(dirty, Relaxed);
        let mut pool = self.pool.lock();
        span.insert_run(self.storage, start, end);
        self.set_free(&mut pool, |free| free + frames);
    }

    fn set_free(&self, pool: &mut Pool, change: impl Fn(u64) -> u64) {
        pool.free = change(pool.free);
        self.free.store(pool.free, Relaxed);
    }
}

/// A reference to a frame, given back when dropped. Holding it proves that the frame stays
/// allocated; it proves nothing about the frame's content, which a guest may be writing.
#[derive(Debug)]
#[must_use]
pub struct FrameRef<'a> {
    table: &'a FrameTable,
    mfn: Mfn,
}

impl FrameRef<'_> {
    /// Which frame.
    pub fn mfn(&self) -> Mfn {
        self.mfn
    }

    /// Leaves the reference to a data structure, which gives it back through
    /// [`FrameTable::put`].
    pub fn keep(self) -> Mfn {
        let mfn = self.mfn;
        core::mem::forget(self);
        mfn
    }
}

impl Drop for FrameRef<'_> {
    fn drop(&mut self) {
        self.table.put(self.mfn);
    }
}

impl core::fmt::Debug for FrameTable {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("FrameTable")
            .field("total", &self.total)
            .field("free", &self.free_frames())
            .field("dirty", &self.dirty_frames())
            .finish_non_exhaustive()
    }
}
