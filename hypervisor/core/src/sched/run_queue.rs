//! One pCPU's run queue: who runs here, who waits, and the rules for choosing among them.
//!
//! Everything here happens under the queue's lock and calls nobody.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};

use spin::Mutex;
use xen_abi::vcpu::Runstate;

use crate::platform::Platform;
use crate::sched::entity::Place;
use crate::sched::queue::{ReadyQueue, before, later};
use crate::sched::share::Allowance;
use crate::types::{CpuId, Nanos};
use crate::vcpu::Vcpu;

/// Virtual runtime counts this much per ns at a weight of 1.
const VRUNTIME_SCALE: u64 = 1 << 16;
/// The turn that each of a few busy vCPUs gets.
const SLICE_NS: u64 = 10_000_000;
/// The turn that each of many gets.
const MIN_SLICE_NS: u64 = 2_000_000;
/// The time in which each should have had a turn, while that leaves slices of the minimum.
const ROUND_NS: u64 = 40_000_000;
/// The advantage over those that ran meanwhile that a vCPU gets for having slept, at weight 256.
const SLEEPER_BONUS: u64 = 5_000_000 * (VRUNTIME_SCALE / 256);

/// A pCPU's run queue, with what others may read of it without its lock.
pub(super) struct RunQueue<P: Platform> {
    pub inner: Mutex<Inner<P>>,
    /// How many vCPUs are ready or running here.
    load: AtomicU32,
    /// Whether the pCPU should call the scheduler.
    pub resched: AtomicBool,
    /// No ready vCPU here has a virtual runtime that is much before this.
    min_vruntime: AtomicU64,
}

/// What the lock protects.
pub(super) struct Inner<P: Platform> {
    pub ready: ReadyQueue<Arc<Vcpu<P>>>,
    /// Those whose domain's budget is spent, and when it is refilled.
    pub parked: Vec<(Nanos, Arc<Vcpu<P>>)>,
    pub current: Option<Arc<Vcpu<P>>>,
    /// When the running one's turn began.
    pub started: Nanos,
    /// Up to when the running one's time has been accounted for.
    accounted: Nanos,
    /// How long nobody ran here, up to the last change.
    idle_ns: u64,
    /// Whether the running one gives the rest of its turn away.
    pub yielding: bool,
}

impl<P: Platform> RunQueue<P> {
    pub fn new() -> Self {
        Self {
            inner: Mutex::new(Inner {
                ready: ReadyQueue::new(),
                parked: Vec::new(),
                current: None,
                started: Nanos(0),
                accounted: Nanos(0),
                idle_ns: 0,
                yielding: false,
            }),
            load: AtomicU32::new(0),
            resched: AtomicBool::new(false),
            min_vruntime: AtomicU64::new(0),
        }
    }

    /// How many vCPUs are ready or running here, as of a moment ago.
    pub fn load(&self) -> u32 {
        self.load.load(Ordering::Relaxed)
    }

    pub fn min_vruntime(&self) -> u64 {
        self.min_vruntime.load(Ordering::Relaxed)
    }

    /// Publishes what others may read. To be called before the lock is given back.
    pub fn publish(&self, inner: &Inner<P>) {
        self.load.store(inner.load(), Ordering::Relaxed);
        let current = inner.current.as_ref().map(|vcpu| vruntime(vcpu));
        let first = match (current, inner.ready.first_vruntime()) {
            (Some(a), Some(b)) if before(b, a) => Some(b),
            (Some(a), _) => Some(a),
            (None, b) => b,
        };
        if let Some(first) = first {
            self.min_vruntime.store(later(self.min_vruntime(), first), Ordering::Relaxed);
        }
    }

    /// Puts a runnable vCPU into the queue. Whether the pCPU should look at its queue for it.
    pub fn enqueue(
        &self,
        inner: &mut Inner<P>,
        cpu: CpuId,
        vcpu: &Arc<Vcpu<P>>,
        now: Nanos,
    ) -> bool {
        // Who runs alone may not have been accounted for in a long time.
        inner.account(now);
        self.publish(inner);
        if let Allowance::From(refill) = vcpu.sched.share.allowance(now) {
            vcpu.sched.set_position(Place::Parked, cpu);
            vcpu.set_runstate(Runstate::RUNNABLE, now);
            inner.parked.push((refill, vcpu.clone()));
            // An idle pCPU must learn when to wake up.
            return true;
        }
        let placed = later(vruntime(vcpu), self.min_vruntime().wrapping_sub(SLEEPER_BONUS));
        vcpu.sched.vruntime.store(placed, Ordering::Relaxed);
        vcpu.sched.set_position(Place::Ready, cpu);
        vcpu.set_runstate(Runstate::RUNNABLE, now);
        let was_empty = inner.ready.is_empty();
        inner.ready.push(placed, vcpu.clone());
        match &inner.current {
            None => true,
            // A vCPU that ran alone has no end to its turn: now it needs one.
            Some(current) => was_empty || before(placed, inner.projected(current, now)),
        }
    }

    /// Puts the vCPU that just stopped running back in line.
    pub fn requeue(&self, inner: &mut Inner<P>, cpu: CpuId, vcpu: &Arc<Vcpu<P>>, now: Nanos) {
        if inner.yielding
            && let Some(first) = inner.ready.first_vruntime()
        {
            // Whoever yields goes behind the first one, at least.
            let behind = later(vruntime(vcpu), first.wrapping_add(1));
            vcpu.sched.vruntime.store(behind, Ordering::Relaxed);
        }
        self.enqueue(inner, cpu, vcpu, now);
    }

    /// Chooses the vCPU that runs next, and takes it out of the queue.
    pub fn take_next(&self, inner: &mut Inner<P>, cpu: CpuId, now: Nanos) -> Option<Arc<Vcpu<P>>> {
        loop {
            let vcpu = inner.ready.pop()?;
            match vcpu.sched.share.allowance(now) {
                Allowance::From(refill) => {
                    vcpu.sched.set_position(Place::Parked, cpu);
                    inner.parked.push((refill, vcpu));
                }
                Allowance::Unlimited | Allowance::For(_) => return Some(vcpu),
            }
        }
    }

    /// Puts those whose budget has been refilled back in line.
    pub fn unpark(&self, inner: &mut Inner<P>, cpu: CpuId, now: Nanos) {
        while let Some(at) = inner.parked.iter().position(|(refill, _)| *refill <= now) {
            let (_, vcpu) = inner.parked.swap_remove(at);
            self.enqueue(inner, cpu, &vcpu, now);
        }
    }
}

impl<P: Platform> Inner<P> {
    /// Accounts for the time that the running vCPU has used.
    pub fn account(&mut self, now: Nanos) {
        let Some(current) = &self.current else { return };
        let ran_ns = now.0.saturating_sub(self.accounted.0);
        current.sched.share.charge(ran_ns);
        current.sched.vruntime.store(self.projected(current, now), Ordering::Relaxed);
        self.accounted = Nanos(now.0.max(self.accounted.0));
    }

    /// How many vCPUs are ready or running here.
    pub fn load(&self) -> u32 {
        let running = u32::from(self.current.is_some());
        u32::try_from(self.ready.len()).unwrap_or(u32::MAX).saturating_add(running)
    }

    /// How long nobody ran here, up to `now`.
    pub fn idle_ns(&self, now: Nanos) -> u64 {
        let idling = if self.current.is_none() { self.turn_ns(now) } else { 0 };
        self.idle_ns.saturating_add(idling)
    }

    /// Makes `next` the running one, from `now` on. `was_idle` says that nobody ran since the
    /// last call.
    pub fn begin(&mut self, next: Option<Arc<Vcpu<P>>>, was_idle: bool, now: Nanos) {
        if was_idle {
            self.idle_ns = self.idle_ns.saturating_add(self.turn_ns(now));
        }
        self.current = next;
        self.started = now;
        self.accounted = now;
        self.yielding = false;
    }

    /// Whether the running vCPU, which could run on, should.
    pub fn keeps_turn(&self, current: &Vcpu<P>, now: Nanos, ratelimit_ns: u64) -> bool {
        let Some(first) = self.ready.first_vruntime() else { return true };
        if self.yielding {
            return false;
        }
        self.turn_ns(now) < ratelimit_ns || before(vruntime(current), first)
    }

    /// When the scheduler must be called again, if nothing happens before.
    pub fn turn_end(&self, now: Nanos, ratelimit_ns: u64) -> Option<Nanos> {
        let mut end = self.parked.iter().map(|(refill, _)| *refill).min();
        let mut sooner = |at: u64| end = Some(end.map_or(Nanos(at), |end| Nanos(end.0.min(at))));
        let Some(current) = &self.current else { return end };
        if let Allowance::For(left) = current.sched.share.allowance(now) {
            sooner(now.0.saturating_add(left));
        }
        if let Some(first) = self.ready.first_vruntime() {
            let left = ratelimit_ns.saturating_sub(self.turn_ns(now));
            if left != 0 && before(first, vruntime(current)) {
                // Someone is more entitled, and only waits for the rate limit.
                sooner(now.0.saturating_add(left));
            } else {
                sooner(now.0.saturating_add(self.slice_ns()));
            }
        }
        end
    }

    /// Takes a vCPU that waits here out of its queue.
    pub fn remove(&mut self, vcpu: &Arc<Vcpu<P>>) {
        if self.ready.take(|waiting| Arc::ptr_eq(waiting, vcpu)).is_none() {
            self.parked.retain(|(_, waiting)| !Arc::ptr_eq(waiting, vcpu));
        }
    }

    /// The running vCPU's virtual runtime, if it is accounted for until `now`.
    fn projected(&self, current: &Vcpu<P>, now: Nanos) -> u64 {
        let ran_ns = u128::from(now.0.saturating_sub(self.accounted.0));
        let weight = u128::from(current.sched.share.weight());
        // The quotient is taken modulo 2^64, as virtual runtimes are.
        let progress = (ran_ns * u128::from(VRUNTIME_SCALE) / weight) as u64;
        vruntime(current).wrapping_add(progress)
    }

    fn turn_ns(&self, now: Nanos) -> u64 {
        now.0.saturating_sub(self.started.0)
    }

    fn slice_ns(&self) -> u64 {
        let runnable = self.ready.len() as u64 + 1;
        (ROUND_NS / runnable).clamp(MIN_SLICE_NS, SLICE_NS)
    }
}

fn vruntime<P: Platform>(vcpu: &Vcpu<P>) -> u64 {
    vcpu.sched.vruntime.load(Ordering::Relaxed)
}
