//! The scheduler: which vCPU runs on which pCPU, and for how long.
//!
//! It is preemptive and fair by weight. Each pCPU has a [`RunQueue`] ordered by virtual runtime;
//! a waking vCPU is placed on a pCPU that its affinity allows, an idle one if there is one; an
//! idle pCPU takes waiting vCPUs from the others. Weight and cap are the domain's
//! ([`share`]); what is kept per vCPU is [`entity`].
//!
//! The binary's loop on each pCPU calls [`Hypervisor::schedule`] when
//! [`Hypervisor::needs_schedule`] says so or the time that the last call gave is over, and runs
//! what it got. All that must not be lost of the vCPU that ran before has to be in memory by
//! then: it may continue on another pCPU at once.
//!
//! Consistency: whoever changes a reason to run or not to (a block, a pause) changes it first,
//! and then calls [`Hypervisor::settle`], which looks at the reasons under the lock of the
//! vCPU's run queue. Locks: a run queue's, and under it only those of a vCPU's affinity,
//! runstate and its domain's budget. Two run queues are never locked at once.

pub mod cpu_set;
pub mod entity;
mod placement;
pub mod queue;
mod run_queue;
pub mod share;
#[cfg(test)]
mod tests;

use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spin::{Mutex, MutexGuard};
use xen_abi::vcpu::Runstate;

use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::sched::cpu_set::{CpuSet, MAX_CPUS};
use crate::sched::entity::{BlockReason, Place};
use crate::sched::run_queue::{Inner, RunQueue};
use crate::types::{CpuId, Nanos};
use crate::vcpu::Vcpu;

/// The rate limit that the scheduler starts with: `ratelimit_us` of the ABI, in ns.
const DEFAULT_RATELIMIT_NS: u64 = 1_000_000;

/// The scheduler's state.
pub struct Scheduler<P: Platform> {
    queues: Box<[RunQueue<P>]>,
    online: Mutex<CpuSet>,
    online_count: AtomicU32,
    vcpu_count: AtomicU32,
    /// A vCPU is not preempted by another one before it ran for this long.
    ratelimit_ns: AtomicU64,
}

/// What a pCPU is to do now.
pub struct Next<P: Platform> {
    /// The vCPU to run; `None` to idle.
    pub vcpu: Option<Arc<Vcpu<P>>>,
    /// When to call the scheduler again, if nothing asks for it earlier.
    pub until: Option<Nanos>,
    /// Whether this is another vCPU (or idleness) than before the call.
    pub switched: bool,
}

impl<P: Platform> Scheduler<P> {
    /// A scheduler for up to `cpus` pCPUs, none of them online yet.
    pub fn new(cpus: u32) -> Self {
        Self {
            queues: (0..cpus.min(MAX_CPUS)).map(|_| RunQueue::new()).collect(),
            online: Mutex::new(CpuSet::EMPTY),
            online_count: AtomicU32::new(0),
            vcpu_count: AtomicU32::new(0),
            ratelimit_ns: AtomicU64::new(DEFAULT_RATELIMIT_NS),
        }
    }

    /// Lets vCPUs be placed on a pCPU, which must call [`Hypervisor::schedule`] from now on or soon.
    pub fn set_online(&self, cpu: CpuId) {
        let mut online = self.online.lock();
        online.insert(cpu);
        self.online_count.store(online.count(), Ordering::Relaxed);
    }

    /// The pCPUs that vCPUs may be placed on.
    pub fn online(&self) -> CpuSet {
        *self.online.lock()
    }

    /// How long a vCPU runs before another may preempt it, in ns.
    pub fn ratelimit_ns(&self) -> u64 {
        self.ratelimit_ns.load(Ordering::Relaxed)
    }

    /// Sets how long a vCPU runs before another may preempt it; 0 for no limit.
    pub fn set_ratelimit_ns(&self, ns: u64) {
        self.ratelimit_ns.store(ns, Ordering::Relaxed);
    }

    /// How long a pCPU has been idle, up to `now`.
    pub fn idle_ns(&self, cpu: CpuId, now: Nanos) -> u64 {
        self.queue(cpu).inner.lock().idle_ns(now)
    }

    fn queue(&self, cpu: CpuId) -> &RunQueue<P> {
        &self.queues[cpu.0 as usize]
    }

    /// Locks the run queue of the vCPU's home.
    fn lock_home(&self, vcpu: &Vcpu<P>) -> (CpuId, MutexGuard<'_, Inner<P>>) {
        loop {
            let cpu = vcpu.sched.cpu();
            let inner = self.queue(cpu).inner.lock();
            if vcpu.sched.cpu() == cpu {
                return (cpu, inner);
            }
        }
    }
}

impl<P: Platform> Hypervisor<P> {
    /// Chooses what pCPU `cpu`, the calling one, does from `now` on.
    pub fn schedule(&self, cpu: CpuId, now: Nanos) -> Next<P> {
        let scheduler = &self.scheduler;
        let queue = scheduler.queue(cpu);
        let ratelimit = scheduler.ratelimit_ns();
        self.even_out(cpu);
        let mut inner = queue.inner.lock();
        queue.resched.store(false, Ordering::SeqCst);
        inner.account(now);
        queue.unpark(&mut inner, cpu, now);

        let previous = inner.current.take();
        let mut homeless = None;
        if let Some(vcpu) = &previous {
            let runnable = vcpu.sched.is_runnable();
            let allowed = vcpu.sched.may_run_on(cpu);
            if runnable && allowed {
                if inner.keeps_turn(vcpu, now, ratelimit) && vcpu.sched.share.may_run(now) {
                    inner.current = previous.clone();
                    inner.yielding = false;
                    let until = inner.turn_end(now, ratelimit);
                    queue.publish(&inner);
                    self.share_load(inner);
                    self.stop_polling(vcpu);
                    return Next { vcpu: previous, until, switched: false };
                }
                queue.requeue(&mut inner, cpu, vcpu, now);
            } else {
                vcpu.sched.set_position(Place::Off, cpu);
                vcpu.note_stopped(now);
                homeless = (runnable && !allowed).then(|| vcpu.clone());
            }
        }

        let mut next = queue.take_next(&mut inner, cpu, now);
        while next.is_none() {
            queue.publish(&inner);
            drop(inner);
            let found = self.steal_work(cpu);
            inner = queue.inner.lock();
            // What was found may have spent its budget, or be stopped already.
            next = queue.take_next(&mut inner, cpu, now);
            if !found {
                break;
            }
        }
        if let Some(vcpu) = &next {
            vcpu.sched.set_position(Place::Running, cpu);
            vcpu.set_runstate(Runstate::RUNNING, now);
        }
        inner.begin(next.clone(), previous.is_none(), now);
        let until = inner.turn_end(now, ratelimit);
        queue.publish(&inner);
        self.share_load(inner);

        if let Some(vcpu) = homeless {
            self.settle(&vcpu);
        }
        if let Some(vcpu) = &next {
            self.stop_polling(vcpu);
        }
        let switched = previous.as_ref().map(Arc::as_ptr) != next.as_ref().map(Arc::as_ptr);
        if switched {
            for vcpu in previous.iter().chain(&next) {
                vcpu.publish_runstate(&self.platform);
            }
            if let Some(vcpu) = &previous
                && vcpu.sched.share.is_stopping()
                && let Some(domain) = vcpu.domain()
            {
                self.finish_shutdown(&domain);
            }
        }
        Next { vcpu: next, until, switched }
    }

    /// Whether `cpu` should call [`Self::schedule`]: someone else may be entitled to run.
    pub fn needs_schedule(&self, cpu: CpuId) -> bool {
        self.scheduler.queue(cpu).resched.load(Ordering::SeqCst)
    }

    /// Gives the rest of the calling vCPU's turn to others that wait on this pCPU.
    pub fn yield_now(&self) {
        let queue = self.scheduler.queue(self.platform.this_cpu());
        let mut inner = queue.inner.lock();
        if !inner.ready.is_empty() {
            inner.yielding = true;
            queue.resched.store(true, Ordering::SeqCst);
        }
    }

    /// Makes a vCPU wait for an event. The caller checks after this whether one is there
    /// already, and wakes the vCPU then.
    pub fn block(&self, vcpu: &Arc<Vcpu<P>>) {
        self.suspend(vcpu, BlockReason::Blocked);
    }

    /// Ends a vCPU's wait for an event, if it is in one.
    pub fn wake(&self, vcpu: &Arc<Vcpu<P>>) {
        self.resume(vcpu, BlockReason::Blocked);
    }

    /// Makes a vCPU wait for an interrupt, unless there is one that it would take at once.
    pub fn block_unless_interrupted(&self, vcpu: &Arc<Vcpu<P>>) {
        self.block(vcpu);
        if self.platform.has_interrupt(vcpu) {
            self.wake(vcpu);
        }
    }

    /// Gives a vCPU a reason not to run. It may still run until it next leaves guest mode.
    /// Whether the reason is new.
    pub fn suspend(&self, vcpu: &Arc<Vcpu<P>>, reason: BlockReason) -> bool {
        let new = vcpu.sched.set_block(reason);
        if new {
            self.settle(vcpu);
        }
        new
    }

    /// Takes a reason not to run away. Whether it was there.
    pub fn resume(&self, vcpu: &Arc<Vcpu<P>>, reason: BlockReason) -> bool {
        let was = vcpu.sched.clear_block(reason);
        if was {
            self.settle(vcpu);
            if reason == BlockReason::Down {
                // What was raised before its local APIC was reset for the start is lost there.
                self.repeat_upcall(vcpu);
            }
        }
        was
    }

    /// Makes a vCPU look for interrupts: wakes it if it waits, makes it leave guest mode if it
    /// runs on another pCPU. What it is to find must be in place before.
    pub fn notify(&self, vcpu: &Arc<Vcpu<P>>) {
        self.wake(vcpu);
        if let Some(cpu) = vcpu.sched.running_on()
            && cpu != self.platform.this_cpu()
        {
            self.platform.kick(cpu);
        }
    }

    /// Keeps a vCPU from running until the matching [`Self::unpause_vcpu`].
    pub fn pause_vcpu(&self, vcpu: &Arc<Vcpu<P>>) {
        vcpu.sched.add_pause();
        self.settle(vcpu);
    }

    /// As [`Self::pause_vcpu`], and waits until it doesn't run, unless it is the one that this
    /// pCPU is acting for.
    ///
    /// Only under the domctl lock: two pCPUs that wait for each other's vCPU wait forever.
    pub fn pause_vcpu_sync(&self, vcpu: &Arc<Vcpu<P>>) {
        self.pause_vcpu(vcpu);
        self.wait_stopped(vcpu);
    }

    /// Takes back one pause.
    pub fn unpause_vcpu(&self, vcpu: &Arc<Vcpu<P>>) {
        vcpu.sched.take_pause();
        self.settle(vcpu);
    }

    /// Waits until another pCPU has stopped running the vCPU, which must have a reason to.
    pub fn wait_stopped(&self, vcpu: &Vcpu<P>) {
        let this_cpu = self.platform.this_cpu();
        while vcpu.sched.running_on().is_some_and(|cpu| cpu != this_cpu) {
            core::hint::spin_loop();
        }
    }

    /// Changes a domain's weight and cap (in percent of one pCPU; 0 for none), each if given.
    pub fn set_share(&self, domain: &Domain<P>, weight: Option<u16>, cap: Option<u16>) {
        if let Some(weight) = weight {
            domain.share.set_weight(weight);
        }
        if let Some(cap) = cap {
            domain.share.set_cap(cap);
        }
        for cpu in domain.vcpus().filter_map(|vcpu| vcpu.sched.running_on()) {
            self.ask_to_schedule(cpu);
        }
    }

    /// Makes a new vCPU known to the scheduler.
    pub(crate) fn adopt(&self, vcpu: &Arc<Vcpu<P>>) {
        let count = self.scheduler.vcpu_count.fetch_add(1, Ordering::Relaxed) + 1;
        for queue in &self.scheduler.queues {
            let mut inner = queue.inner.lock();
            inner.ready.reserve(count as usize);
            let parked = inner.parked.len();
            inner.parked.reserve((count as usize).saturating_sub(parked));
        }
        self.timers.reserve(count);
        self.settle(vcpu);
    }

    /// Forgets a vCPU that will never run again.
    pub(crate) fn disown(&self, vcpu: &Vcpu<P>) {
        debug_assert!(!matches!(vcpu.sched.position().place, Place::Ready | Place::Parked));
        self.scheduler.vcpu_count.fetch_sub(1, Ordering::Relaxed);
    }

    /// Brings the run queues into line with whether a vCPU can run.
    pub(crate) fn settle(&self, vcpu: &Arc<Vcpu<P>>) {
        self.settle_at(vcpu, true);
    }

    /// As [`Self::settle`]; `may_move` if another home may be looked for.
    fn settle_at(&self, vcpu: &Arc<Vcpu<P>>, mut may_move: bool) {
        let scheduler = &self.scheduler;
        let now = self.platform.now();
        let (cpu, look) = loop {
            let (cpu, mut inner) = scheduler.lock_home(vcpu);
            let queue = scheduler.queue(cpu);
            let look = match (vcpu.sched.position().place, vcpu.sched.is_runnable()) {
                (Place::Off, true) => {
                    if may_move && self.find_home(vcpu, cpu) {
                        may_move = false;
                        continue;
                    }
                    queue.enqueue(&mut inner, cpu, vcpu, now)
                }
                (Place::Ready | Place::Parked, false) => {
                    inner.remove(vcpu);
                    vcpu.sched.set_position(Place::Off, cpu);
                    vcpu.note_stopped(now);
                    false
                }
                (Place::Off, false) => {
                    vcpu.note_stopped(now);
                    false
                }
                (Place::Running, false) => true,
                (Place::Ready | Place::Parked | Place::Running, true) => false,
            };
            queue.publish(&inner);
            if look {
                queue.resched.store(true, Ordering::SeqCst);
            }
            break (cpu, look);
        };
        if look && cpu != self.platform.this_cpu() {
            self.platform.kick(cpu);
        }
    }

    /// Lets pCPUs with less to do come for those that wait in a queue, and unlocks that.
    fn share_load(&self, inner: MutexGuard<'_, Inner<P>>) {
        let helpers = self.helpers(&inner);
        drop(inner);
        for helper in helpers.iter() {
            self.ask_to_schedule(helper);
        }
    }

    /// Makes a pCPU call the scheduler soon. No run queue may be locked.
    fn ask_to_schedule(&self, cpu: CpuId) {
        self.scheduler.queue(cpu).resched.store(true, Ordering::SeqCst);
        if cpu != self.platform.this_cpu() {
            self.platform.kick(cpu);
        }
    }
}
