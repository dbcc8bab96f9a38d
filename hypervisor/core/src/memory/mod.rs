//! A domain's memory: its second-stage map, what it may have, and what others may do with it.
//!
//! Every frame that the map shows is held by a reference, so that nothing is freed while it can
//! be reached: the domain's own memory by the owner's reference; foreign, granted and shared pages
//! by one of the entry's own. What is unmapped is given back by the caller's [`FlushBatch`], after
//! its one flush.
//!
//! An identity-mapped domain (the control domain) has each of its frames at gfn == mfn, as its
//! devices use guest frame numbers for DMA. So its memory can't move; what is laid over a frame
//! hides it until the overlay goes; and what it gives back is, unless told otherwise, kept for it.
//!
//! Locking: a readers-writer lock over the map and the counts that go with it. No other domain's
//! lock is ever taken inside it. Lookups and copies are readers.

mod access;
mod identity;
mod listener;
mod physmap;
mod populate;
mod teardown;
#[cfg(test)]
mod tests;

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spin::{RwLock, RwLockReadGuard};
use xen_abi::memory::E820Entry;

pub use access::Translation;
pub use listener::DomainListener;
pub use populate::PopulateRequest;

use crate::frame::{FrameKind, Request};
use crate::p2m::{FlushBatch, Frames, HostFormat, Leaf, P2m, P2mError, P2mKind, Stage2Format};
use crate::platform::FrameMemory;
use crate::types::{DomId, Gfn, Mfn};

/// Where a domain's frames may lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Placement {
    /// Anywhere in the machine.
    Anywhere,
    /// At gfn == mfn.
    Identity(Released),
}

/// What becomes of memory that an identity-mapped domain gives back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Released {
    /// It is kept, unmapped, so that the domain can have the same frames again.
    Kept,
    /// Others may have it; the domain's wish for it fails while they do.
    GivenBack,
}

/// Why a domain's memory can't be changed or used as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MemoryError {
    /// Beyond the guest's address space, or not aligned.
    BadAddress,
    /// Nothing is mapped there.
    NotMapped,
    /// What is mapped there isn't memory of the domain that could be used so.
    NotRam,
    /// It may not be written.
    ReadOnly,
    /// A grant or a device is mapped there; it goes only by its own operation.
    Busy,
    /// The domain has all the memory that it may have.
    OverLimit,
    /// No frame is left, or the domain's limit of tables is reached.
    NoMemory,
    /// This can't be done to an identity-mapped domain, or this frame is not to be had for it.
    Identity,
    /// The domain is being destroyed.
    Dying,
}

impl From<P2mError> for MemoryError {
    fn from(error: P2mError) -> Self {
        match error {
            P2mError::BadAddress => Self::BadAddress,
            P2mError::Occupied => Self::Busy,
            P2mError::NoMemory => Self::NoMemory,
        }
    }
}

/// What the lock covers.
#[derive(Debug)]
struct Inner<F> {
    p2m: P2m<F>,
    /// Where the shared info page was last mapped; true only if the map says so too.
    shared_info_gfn: Option<Gfn>,
    /// Frames set aside for this domain and not used yet.
    claimed: u64,
    /// Whether nothing may be added any more.
    dying: bool,
    /// How far [`DomainMemory::tear_down`] has looked for unmapped frames.
    sweep: Option<usize>,
}

/// A domain's memory. See the [module](self).
#[derive(Debug)]
pub struct DomainMemory<F = HostFormat> {
    owner: DomId,
    placement: Placement,
    root: Mfn,
    shared_info: Mfn,
    pages: AtomicU64,
    max_pages: AtomicU64,
    /// What the domain is told of its memory.
    e820: RwLock<Vec<E820Entry>>,
    inner: RwLock<Inner<F>>,
}

impl<F: Stage2Format> DomainMemory<F> {
    /// An empty memory, with a shared info page that isn't mapped yet, and no limit.
    ///
    /// # Errors
    /// [`MemoryError::NoMemory`].
    pub fn new(
        frames: Frames<'_, impl FrameMemory>,
        format: F,
        owner: DomId,
        placement: Placement,
    ) -> Result<Self, MemoryError> {
        let request = Request::new(0, FrameKind::Shared, owner);
        let shared_info = frames.table.alloc_zeroed(frames.memory, &request);
        let shared_info = shared_info.ok_or(MemoryError::NoMemory)?;
        let p2m = P2m::new(frames, format, owner).inspect_err(|_| frames.table.put(shared_info))?;
        Ok(Self {
            owner,
            placement,
            root: p2m.root(),
            shared_info,
            pages: AtomicU64::new(0),
            max_pages: AtomicU64::new(u64::MAX),
            e820: RwLock::new(Vec::new()),
            inner: RwLock::new(Inner {
                p2m,
                shared_info_gfn: None,
                claimed: 0,
                dying: false,
                sweep: Some(0),
            }),
        })
    }

    /// Whose memory it is.
    pub fn owner(&self) -> DomId {
        self.owner
    }

    /// The root table: what the CPU is told. It never changes.
    pub fn root(&self) -> Mfn {
        self.root
    }

    /// The shared info page.
    pub fn shared_info(&self) -> Mfn {
        self.shared_info
    }

    /// Where the shared info page is mapped now, if it is.
    pub fn shared_info_gfn(&self, memory: &impl FrameMemory) -> Option<Gfn> {
        let inner = self.inner.read();
        let gfn = inner.shared_info_gfn?;
        let leaf = inner.p2m.lookup(memory, gfn).leaf?;
        (leaf.mfn == self.shared_info).then_some(gfn)
    }

    /// Frames of memory that the domain has.
    pub fn pages(&self) -> u64 {
        self.pages.load(Relaxed)
    }

    /// Frames of memory that it may have.
    pub fn max_pages(&self) -> u64 {
        self.max_pages.load(Relaxed)
    }

    /// Sets how many frames of memory it may have from now on; it keeps what it has.
    pub fn set_max_pages(&self, pages: u64) {
        self.max_pages.store(pages, Relaxed);
    }

    /// The memory map that the domain is told, if one was set.
    pub fn memory_map(&self) -> RwLockReadGuard<'_, Vec<E820Entry>> {
        self.e820.read()
    }

    /// Sets the memory map that the domain is told. Nothing else follows from it.
    pub fn set_memory_map(&self, map: Vec<E820Entry>) {
        *self.e820.write() = map;
    }

    /// Frames set aside for it that it hasn't used yet.
    pub fn claimed_pages(&self) -> u64 {
        self.inner.read().claimed
    }

    /// The highest guest frame that was ever mapped.
    pub fn highest_gfn(&self) -> Gfn {
        self.inner.read().p2m.highest()
    }

    /// Whether its frames are at gfn == mfn.
    pub fn is_identity(&self) -> bool {
        matches!(self.placement, Placement::Identity(_))
    }

    /// Frames that its second-stage tables take, and may take.
    pub fn tables(&self) -> (u64, u64) {
        let inner = self.inner.read();
        (inner.p2m.tables(), inner.p2m.table_limit())
    }

    /// Limits the frames of new second-stage tables.
    pub fn set_table_limit(&self, frames: u64) {
        self.inner.write().p2m.set_table_limit(frames);
    }

    /// Sets frames aside so that the domain can grow to `pages` of memory, or drops what was set
    /// aside if that is 0.
    ///
    /// # Errors
    /// [`MemoryError::OverLimit`] if the domain has as many, may not have as many, or has frames
    /// set aside; [`MemoryError::NoMemory`] if there aren't enough.
    pub fn claim(
        &self,
        frames: Frames<'_, impl FrameMemory>,
        pages: u64,
    ) -> Result<(), MemoryError> {
        let mut inner = self.inner.write();
        if pages == 0 {
            frames.table.unstake(core::mem::take(&mut inner.claimed));
            return Ok(());
        }
        if inner.dying {
            return Err(MemoryError::Dying);
        }
        if inner.claimed > 0 || pages <= self.pages() || pages > self.max_pages() {
            return Err(MemoryError::OverLimit);
        }
        let more = pages - self.pages();
        if !frames.table.stake(more) {
            return Err(MemoryError::NoMemory);
        }
        inner.claimed = more;
        Ok(())
    }

    /// Whether the frame is one of this domain's, which has it at its own number.
    fn is_at_identity(&self, gfn: Gfn, leaf: Leaf) -> bool {
        self.is_identity() && leaf.kind.is_own_ram() && leaf.mfn.0 == gfn.0
    }

    fn add_pages(&self, frames: u64) {
        self.pages.fetch_add(frames, Relaxed);
    }

    fn subtract_pages(&self, frames: u64) {
        self.pages.fetch_sub(frames, Relaxed);
    }
}

/// The kinds that only their own operation may remove or replace.
fn check_replaceable(leaf: Option<Leaf>) -> Result<(), MemoryError> {
    match leaf {
        Some(leaf) if leaf.kind.is_grant() || leaf.kind.is_mmio() => Err(MemoryError::Busy),
        _ => Ok(()),
    }
}

impl<F: Stage2Format> DomainMemory<F> {
    /// Maps `leaf` at `gfn`, in place of what is there. The reference that the new entry holds is
    /// the caller's to have taken.
    fn place(
        &self,
        inner: &mut Inner<F>,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        leaf: Leaf,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), MemoryError> {
        if inner.dying {
            return Err(MemoryError::Dying);
        }
        check_replaceable(inner.p2m.lookup(frames.memory, gfn).leaf)?;
        if let Some(old) = inner.p2m.replace(frames, gfn, leaf, batch)? {
            self.let_go(gfn, old, batch);
        }
        Ok(())
    }

    /// Gives back what an entry held that was at `gfn` and isn't any more.
    fn let_go(&self, gfn: Gfn, old: Leaf, batch: &mut FlushBatch<'_>) {
        if self.is_at_identity(gfn, old) {
            // Hidden: the frame stays the domain's, and shows again when the overlay goes.
            return;
        }
        match old.kind {
            P2mKind::Ram | P2mKind::RamLogDirty | P2mKind::RamReadOnly => {
                self.subtract_pages(1);
                batch.disown(old.mfn, 1);
            }
            P2mKind::Foreign | P2mKind::Shared | P2mKind::GrantRw | P2mKind::GrantRo => {
                batch.release(old.mfn, 1);
            }
            P2mKind::Mmio | P2mKind::MmioReadOnly => {}
        }
    }
}
