//! A vCPU: one thread of execution of a domain.

use alloc::sync::{Arc, Weak};
use core::sync::atomic::{AtomicBool, Ordering};

use spin::Mutex;
use xen_abi::vcpu::{Runstate, RunstateInfo};

use crate::domain::Domain;
use crate::event_channel::VcpuEvents;
use crate::perf::VcpuCounters;
use crate::platform::Platform;
use crate::sched::entity::VcpuSched;
use crate::time::guest::VcpuTime;
use crate::time::runstate::VcpuRunstate;
use crate::timer::VcpuTimers;
use crate::types::{DomId, Mfn, Nanos, VcpuId};

/// A vCPU. Always held in an `Arc`; its domain holds it, it doesn't hold its domain.
pub struct Vcpu<P: Platform> {
    /// Its index in its domain.
    pub id: VcpuId,
    /// Its domain's number.
    pub domid: DomId,
    domain: Weak<Domain<P>>,
    /// The architecture's part.
    pub arch: P::VcpuArch,
    /// The scheduler's part.
    pub sched: VcpuSched,
    /// Its timers.
    pub timers: VcpuTimers,
    /// The event channels' part.
    pub events: VcpuEvents,
    /// How often it left guest mode, and what for.
    pub counters: VcpuCounters,
    pub(crate) runstate: Mutex<VcpuRunstate>,
    pub(crate) time: Mutex<VcpuTime>,
    /// Whether its registers have been given values to start with.
    initialised: AtomicBool,
}

impl<P: Platform> Vcpu<P> {
    /// A vCPU that is down, with its `vcpu_info` at `info`.
    pub(crate) fn new(
        domain: &Arc<Domain<P>>,
        id: VcpuId,
        arch: P::VcpuArch,
        info: Option<(Mfn, usize)>,
        now: Nanos,
    ) -> Arc<Self> {
        Arc::new(Self {
            id,
            domid: domain.id,
            domain: Arc::downgrade(domain),
            arch,
            sched: VcpuSched::new(domain.share.clone()),
            timers: VcpuTimers::new(),
            events: VcpuEvents::new(info),
            counters: VcpuCounters::new(P::EXIT_REASONS.len()),
            runstate: Mutex::new(VcpuRunstate::new(now)),
            time: Mutex::new(VcpuTime::new()),
            initialised: AtomicBool::new(false),
        })
    }

    /// The vCPU's domain; `None` while that is being dropped.
    pub fn domain(&self) -> Option<Arc<Domain<P>>> {
        self.domain.upgrade()
    }

    /// Whether its registers have been given values to start with.
    pub fn is_initialised(&self) -> bool {
        self.initialised.load(Ordering::Acquire)
    }

    /// Notes that its registers have been given values to start with.
    pub fn set_initialised(&self) {
        self.initialised.store(true, Ordering::Release);
    }

    /// Its runstate, and the times spent in each up to `now`.
    pub fn runstate(&self, now: Nanos) -> RunstateInfo {
        self.runstate.lock().clock.info(Some(now))
    }

    /// Nanoseconds that it has run up to `now`.
    pub fn running_ns(&self, now: Nanos) -> u64 {
        self.runstate.lock().clock.running_ns(now)
    }

    pub(crate) fn set_runstate(&self, state: Runstate, now: Nanos) {
        self.runstate.lock().clock.enter(state, now);
    }

    /// Writes the runstate where the guest wants it.
    pub(crate) fn publish_runstate(&self, memory: &P) {
        self.runstate.lock().publish(memory);
    }

    /// Enters the runstate of a vCPU that is in no queue.
    pub(crate) fn note_stopped(&self, now: Nanos) {
        let state = if self.sched.is_blocked() {
            Runstate::BLOCKED
        } else if self.sched.is_runnable() {
            Runstate::RUNNABLE
        } else {
            Runstate::OFFLINE
        };
        self.set_runstate(state, now);
    }
}
