//! A local APIC as its vCPU owns it: shared with the pCPUs that send it interrupts.

use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use spin::Mutex;

use super::{Posted, Vlapic};
use crate::interrupt::{Identity, Trigger};

/// A [`Vlapic`] behind a lock, with lock-free doors for senders.
///
/// Locking: [`with`](Self::with) takes the lock (last in the hypervisor's order); everything
/// else takes none. The lock is taken by the pCPU that runs the vCPU, and seldom by others
/// (INIT, save and restore), so it is hardly ever contended.
#[derive(Debug)]
pub struct SharedVlapic {
    posted: Posted,
    identity: AtomicU64,
    /// A vector was pending when the lock was last given back.
    pending: AtomicBool,
    state: Mutex<Vlapic>,
}

impl SharedVlapic {
    /// Shares a local APIC.
    pub fn new(state: Vlapic) -> Self {
        Self {
            posted: Posted::default(),
            identity: AtomicU64::new(state.identity().0),
            pending: AtomicBool::new(state.has_pending()),
            state: Mutex::new(state),
        }
    }

    /// Makes `vector` pending, from any pCPU. Whether it was not on its way yet: only then the
    /// caller has to wake or kick the vCPU.
    pub fn post(&self, vector: u8, trigger: Trigger) -> bool {
        self.posted.post(vector, trigger)
    }

    /// Whether the entry path has to look for a vector to inject. Never false when there is
    /// one; it may be true although the vector has to wait.
    pub fn may_have_pending(&self) -> bool {
        self.posted.any() || self.pending.load(Ordering::Acquire)
    }

    /// What routing must know of the APIC.
    pub fn identity(&self) -> Identity {
        Identity(self.identity.load(Ordering::Acquire))
    }

    /// Works on the state, with what was posted taken in, and publishes the outcome.
    pub fn with<R>(&self, work: impl FnOnce(&mut Vlapic) -> R) -> R {
        let mut state = self.state.lock();
        state.take_posted(&self.posted);
        let result = work(&mut state);
        let identity = state.identity().0;
        if self.identity.load(Ordering::Relaxed) != identity {
            self.identity.store(identity, Ordering::Release);
        }
        let pending = state.has_pending();
        if self.pending.load(Ordering::Relaxed) != pending {
            self.pending.store(pending, Ordering::Release);
        }
        result
    }

    /// Resets the APIC as INIT does, with all that was posted.
    pub fn reset(&self) {
        self.with(Vlapic::reset);
    }
}
