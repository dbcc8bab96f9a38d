//! Counters of what makes vCPUs leave guest mode: exits by reason, hypercalls by number.
//!
//! One pCPU at a time runs a vCPU, so counting is a plain load and store. Readers and a reset
//! on another pCPU may miss a count, no more.

use alloc::boxed::Box;
use core::sync::atomic::{AtomicU64, Ordering};

/// Hypercall numbers below this are counted, each on its own.
pub const HYPERCALLS: usize = 64;

/// The counters of one vCPU.
pub struct VcpuCounters {
    exits: Box<[AtomicU64]>,
    hypercalls: [AtomicU64; HYPERCALLS],
}

impl VcpuCounters {
    /// Counters for `reasons` exit reasons, all zero.
    pub(crate) fn new(reasons: usize) -> Self {
        Self {
            exits: (0..reasons).map(|_| AtomicU64::new(0)).collect(),
            hypercalls: [const { AtomicU64::new(0) }; HYPERCALLS],
        }
    }

    /// Counts an exit. `reason` is an index into
    /// [`EXIT_REASONS`](crate::platform::Platform::EXIT_REASONS).
    #[inline]
    pub fn count_exit(&self, reason: usize) {
        if let Some(counter) = self.exits.get(reason) {
            count(counter);
        }
    }

    /// Counts a hypercall.
    #[inline]
    pub(crate) fn count_hypercall(&self, number: u32) {
        if let Some(counter) = self.hypercalls.get(number as usize) {
            count(counter);
        }
    }

    /// How often the vCPU left guest mode for this reason.
    pub fn exits(&self, reason: usize) -> u64 {
        self.exits.get(reason).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// How often the vCPU made this hypercall.
    pub fn hypercalls(&self, number: usize) -> u64 {
        self.hypercalls.get(number).map_or(0, |counter| counter.load(Ordering::Relaxed))
    }

    /// Starts all of them from zero.
    pub fn reset(&self) {
        for counter in self.exits.iter().chain(&self.hypercalls) {
            counter.store(0, Ordering::Relaxed);
        }
    }
}

fn count(counter: &AtomicU64) {
    counter.store(counter.load(Ordering::Relaxed).wrapping_add(1), Ordering::Relaxed);
}
