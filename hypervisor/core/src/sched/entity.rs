//! What the scheduler keeps in each vCPU.
//!
//! The fields are atomics, but most of them are only written under the lock of the run queue of
//! the vCPU's home pCPU; who reads without it gets a hint.

use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spin::Mutex;

use crate::sched::cpu_set::CpuSet;
use crate::sched::share::DomainShare;
use crate::types::CpuId;

/// Why a vCPU doesn't want to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum BlockReason {
    /// It waits for an event: halted, blocked or polling.
    Blocked = 1 << 0,
    /// It was not brought up yet, or was brought down.
    Down = 1 << 1,
}

/// Where a vCPU is, as the run queues see it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// In no queue: it can't run.
    Off,
    /// In its home's queue, ready.
    Ready,
    /// In its home's list of those that wait for their domain's next budget.
    Parked,
    /// On its home pCPU.
    Running,
}

/// A vCPU's place and home, read together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Position {
    pub place: Place,
    pub home: CpuId,
}

impl Position {
    const fn pack(self) -> u32 {
        let place = match self.place {
            Place::Off => 0,
            Place::Ready => 1,
            Place::Parked => 2,
            Place::Running => 3,
        };
        (self.home.0 << 2) | place
    }

    const fn unpack(word: u32) -> Self {
        let place = match word & 3 {
            0 => Place::Off,
            1 => Place::Ready,
            2 => Place::Parked,
            _ => Place::Running,
        };
        Self { place, home: CpuId(word >> 2) }
    }
}

/// The pCPUs that a vCPU may and would rather run on.
#[derive(Clone, Copy, Debug)]
pub struct Affinity {
    /// Where it may run.
    pub hard: CpuSet,
    /// Where it would rather run.
    pub soft: CpuSet,
    /// What `hard` was before `SCHEDOP_pin_override` replaced it.
    pub overridden: Option<CpuSet>,
}

/// The scheduler's part of a vCPU.
pub struct VcpuSched {
    pub(super) share: Arc<DomainShare>,
    /// Reasons of [`BlockReason`], as bits.
    blocks: AtomicU32,
    pauses: AtomicU32,
    position: AtomicU32,
    pub(super) vruntime: AtomicU64,
    affinity: Mutex<Affinity>,
}

impl VcpuSched {
    /// A vCPU that is down, on pCPU 0, allowed anywhere.
    pub(crate) fn new(share: Arc<DomainShare>) -> Self {
        Self {
            share,
            blocks: AtomicU32::new(BlockReason::Down as u32),
            pauses: AtomicU32::new(0),
            position: AtomicU32::new(Position { place: Place::Off, home: CpuId(0) }.pack()),
            vruntime: AtomicU64::new(0),
            affinity: Mutex::new(Affinity {
                hard: CpuSet::ALL,
                soft: CpuSet::ALL,
                overridden: None,
            }),
        }
    }

    /// Whether nothing keeps it from running.
    pub fn is_runnable(&self) -> bool {
        self.blocks.load(Ordering::SeqCst) == 0
            && self.pauses.load(Ordering::SeqCst) == 0
            && !self.share.is_paused()
    }

    /// Whether it waits for an event.
    pub fn is_blocked(&self) -> bool {
        self.blocks.load(Ordering::SeqCst) & BlockReason::Blocked as u32 != 0
    }

    /// Whether it was brought up.
    pub fn is_up(&self) -> bool {
        self.blocks.load(Ordering::SeqCst) & BlockReason::Down as u32 == 0
    }

    /// The pCPU that it runs on now.
    pub fn running_on(&self) -> Option<CpuId> {
        let position = self.position();
        (position.place == Place::Running).then_some(position.home)
    }

    /// The pCPU that it runs on, or ran on last, or will run on next.
    pub fn cpu(&self) -> CpuId {
        self.position().home
    }

    /// Where it may and would rather run.
    pub fn affinity(&self) -> Affinity {
        *self.affinity.lock()
    }

    pub(super) fn change_affinity<R>(&self, change: impl FnOnce(&mut Affinity) -> R) -> R {
        change(&mut self.affinity.lock())
    }

    /// Whether it may run on `cpu`.
    pub(super) fn may_run_on(&self, cpu: CpuId) -> bool {
        self.affinity.lock().hard.contains(cpu)
    }

    pub(super) fn position(&self) -> Position {
        Position::unpack(self.position.load(Ordering::SeqCst))
    }

    /// Only under the lock of the home's queue, the old one's if the home changes.
    pub(super) fn set_position(&self, place: Place, home: CpuId) {
        self.position.swap(Position { place, home }.pack(), Ordering::SeqCst);
    }

    /// Sets a reason not to run. Whether it is new.
    pub(super) fn set_block(&self, reason: BlockReason) -> bool {
        self.blocks.fetch_or(reason as u32, Ordering::SeqCst) & reason as u32 == 0
    }

    /// Takes a reason away. Whether it was there.
    pub(super) fn clear_block(&self, reason: BlockReason) -> bool {
        let bit = reason as u32;
        // The plain load keeps the common case, an event for a vCPU that isn't waiting, free of
        // a locked write. It can't miss a wait that began before the event was made pending:
        // that wait's own check comes after it set the bit.
        self.blocks.load(Ordering::SeqCst) & bit != 0
            && self.blocks.fetch_and(!bit, Ordering::SeqCst) & bit != 0
    }

    pub(super) fn add_pause(&self) {
        self.pauses.fetch_add(1, Ordering::SeqCst);
    }

    pub(super) fn take_pause(&self) {
        let before = self.pauses.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "a vCPU was unpaused more often than it was paused");
    }
}
