//! Timers of vCPUs: one queue per pCPU, a heap whose entries know their place.
//!
//! A vCPU has a fixed set of timers ([`TimerKind`]), so arming one allocates nothing; arming and
//! cancelling cost the logarithm of the queue's length. A timer waits on the pCPU where it was
//! armed last, which is where its vCPU ran then.
//!
//! Lock: a queue's, and nothing is called under it. Two queues are never locked at once.

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use spin::Mutex;
use xen_abi::sched::ShutdownReason;
use xen_abi::xen::Virq;

use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::types::{CpuId, Nanos};
use crate::vcpu::Vcpu;

#[cfg(test)]
mod tests;

/// How many timers a vCPU has for its architecture's use.
pub const ARCH_TIMERS: u8 = 4;
/// How many watchdogs a domain has; they are timers of its vCPU 0.
pub const WATCHDOGS: u8 = 2;

const FIRST_WATCHDOG: usize = 3;
const FIRST_ARCH: usize = FIRST_WATCHDOG + WATCHDOGS as usize;
const TIMERS: usize = FIRST_ARCH + ARCH_TIMERS as usize;
/// In [`Timer::queue`]: not armed.
const NOT_QUEUED: u32 = u32::MAX;
/// In the published deadline of a queue: it is empty.
const NEVER: u64 = u64::MAX;

/// One of a vCPU's timers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerKind {
    /// `VCPUOP_set_singleshot_timer`.
    Singleshot,
    /// `VCPUOP_set_periodic_timer`.
    Periodic,
    /// The timeout of `SCHEDOP_poll`.
    Poll,
    /// A watchdog of the domain, below [`WATCHDOGS`]; only of vCPU 0.
    Watchdog(u8),
    /// The architecture's, below [`ARCH_TIMERS`].
    Arch(u8),
}

impl TimerKind {
    fn index(self) -> usize {
        match self {
            Self::Singleshot => 0,
            Self::Periodic => 1,
            Self::Poll => 2,
            Self::Watchdog(number) => {
                assert!(number < WATCHDOGS, "no such watchdog");
                FIRST_WATCHDOG + usize::from(number)
            }
            Self::Arch(number) => {
                assert!(number < ARCH_TIMERS, "no such timer");
                FIRST_ARCH + usize::from(number)
            }
        }
    }
}

/// A vCPU's timers.
pub struct VcpuTimers {
    timers: [Timer; TIMERS],
    /// In ns; 0 if the periodic timer is stopped.
    pub(crate) period_ns: AtomicU64,
}

/// Where a timer is. Written only under the lock of the queue that it is in, or goes into.
struct Timer {
    /// The pCPU in whose queue it is, or [`NOT_QUEUED`].
    queue: AtomicU32,
    /// Its index in that queue's heap.
    slot: AtomicU32,
}

impl VcpuTimers {
    pub(crate) fn new() -> Self {
        let timer = || Timer { queue: AtomicU32::new(NOT_QUEUED), slot: AtomicU32::new(0) };
        Self { timers: core::array::from_fn(|_| timer()), period_ns: AtomicU64::new(0) }
    }

    fn timer(&self, kind: TimerKind) -> &Timer {
        &self.timers[kind.index()]
    }

    /// Whether a timer is armed.
    pub fn is_armed(&self, kind: TimerKind) -> bool {
        self.timer(kind).queue.load(Ordering::Acquire) != NOT_QUEUED
    }
}

/// The timer queues of all pCPUs.
pub struct Timers<P: Platform> {
    queues: Box<[TimerQueue<P>]>,
}

struct TimerQueue<P: Platform> {
    heap: Mutex<Vec<Entry<P>>>,
    /// The earliest deadline, to be read without the lock.
    earliest: AtomicU64,
}

struct Entry<P: Platform> {
    deadline: Nanos,
    vcpu: Arc<Vcpu<P>>,
    kind: TimerKind,
}

impl<P: Platform> Timers<P> {
    /// Queues for up to `cpus` pCPUs.
    pub fn new(cpus: u32) -> Self {
        let queue =
            |_| TimerQueue { heap: Mutex::new(Vec::new()), earliest: AtomicU64::new(NEVER) };
        Self { queues: (0..cpus).map(queue).collect() }
    }

    /// The earliest deadline of the timers on a pCPU.
    pub fn earliest(&self, cpu: CpuId) -> Option<Nanos> {
        let at = self.queues[cpu.0 as usize].earliest.load(Ordering::Acquire);
        (at != NEVER).then_some(Nanos(at))
    }

    /// Makes room for the timers of this many vCPUs, so that arming never allocates.
    pub(crate) fn reserve(&self, vcpus: u32) {
        for queue in &self.queues {
            let mut heap = queue.heap.lock();
            let len = heap.len();
            heap.reserve((vcpus as usize * TIMERS).saturating_sub(len));
        }
    }

    /// Arms a vCPU's timer on the calling pCPU, `cpu`; if it is armed already, changes when it
    /// expires.
    pub fn arm(&self, cpu: CpuId, vcpu: &Arc<Vcpu<P>>, kind: TimerKind, deadline: Nanos) {
        let timer = vcpu.timers.timer(kind);
        loop {
            let at = timer.queue.load(Ordering::Acquire);
            if at != NOT_QUEUED && at != cpu.0 {
                self.cancel(vcpu, kind);
            }
            let queue = &self.queues[cpu.0 as usize];
            let mut heap = queue.heap.lock();
            match timer.queue.load(Ordering::Acquire) {
                NOT_QUEUED => {
                    timer.queue.store(cpu.0, Ordering::Release);
                    heap.push(Entry { deadline, vcpu: vcpu.clone(), kind });
                    let last = heap.len() - 1;
                    sift_up(&mut heap, last);
                }
                at if at == cpu.0 => {
                    let slot = timer.slot.load(Ordering::Relaxed) as usize;
                    heap[slot].deadline = deadline;
                    let slot = sift_up(&mut heap, slot);
                    sift_down(&mut heap, slot);
                }
                // Someone armed it elsewhere meanwhile.
                _ => continue,
            }
            queue.publish(&heap);
            return;
        }
    }

    /// Disarms a vCPU's timer. Whether it was armed.
    pub fn cancel(&self, vcpu: &Vcpu<P>, kind: TimerKind) -> bool {
        let timer = vcpu.timers.timer(kind);
        loop {
            let at = timer.queue.load(Ordering::Acquire);
            if at == NOT_QUEUED {
                return false;
            }
            let queue = &self.queues[at as usize];
            let mut heap = queue.heap.lock();
            if timer.queue.load(Ordering::Acquire) == at {
                let slot = timer.slot.load(Ordering::Relaxed) as usize;
                remove(&mut heap, slot);
                queue.publish(&heap);
                return true;
            }
        }
    }

    /// Disarms all timers of a vCPU.
    pub fn cancel_all(&self, vcpu: &Vcpu<P>) {
        for kind in [TimerKind::Singleshot, TimerKind::Periodic, TimerKind::Poll] {
            self.cancel(vcpu, kind);
        }
        for number in 0..WATCHDOGS {
            self.cancel(vcpu, TimerKind::Watchdog(number));
        }
        for number in 0..ARCH_TIMERS {
            self.cancel(vcpu, TimerKind::Arch(number));
        }
    }

    /// Takes the earliest timer that has expired.
    fn pop_expired(&self, cpu: CpuId, now: Nanos) -> Option<Entry<P>> {
        let queue = &self.queues[cpu.0 as usize];
        if queue.earliest.load(Ordering::Acquire) > now.0 {
            return None;
        }
        let mut heap = queue.heap.lock();
        if heap.first()?.deadline > now {
            return None;
        }
        let entry = remove(&mut heap, 0);
        queue.publish(&heap);
        Some(entry)
    }
}

impl<P: Platform> TimerQueue<P> {
    fn publish(&self, heap: &[Entry<P>]) {
        let earliest = heap.first().map_or(NEVER, |entry| entry.deadline.0);
        self.earliest.store(earliest, Ordering::Release);
    }
}

impl<P: Platform> Entry<P> {
    fn moved_to(&self, slot: usize) {
        let slot = u32::try_from(slot).expect("there are fewer than 2^32 timers");
        self.vcpu.timers.timer(self.kind).slot.store(slot, Ordering::Relaxed);
    }
}

fn remove<P: Platform>(heap: &mut Vec<Entry<P>>, slot: usize) -> Entry<P> {
    let entry = heap.swap_remove(slot);
    entry.vcpu.timers.timer(entry.kind).queue.store(NOT_QUEUED, Ordering::Release);
    if slot < heap.len() {
        let slot = sift_up(heap, slot);
        sift_down(heap, slot);
    }
    entry
}

/// Moves an entry towards the root until it is in order. Gives its place.
fn sift_up<P: Platform>(heap: &mut [Entry<P>], mut slot: usize) -> usize {
    while slot > 0 {
        let parent = (slot - 1) / 2;
        if heap[parent].deadline <= heap[slot].deadline {
            break;
        }
        heap.swap(parent, slot);
        heap[slot].moved_to(slot);
        slot = parent;
    }
    heap[slot].moved_to(slot);
    slot
}

/// Moves an entry towards the leaves until it is in order.
fn sift_down<P: Platform>(heap: &mut [Entry<P>], mut slot: usize) {
    loop {
        let left = 2 * slot + 1;
        let child = match (heap.get(left), heap.get(left + 1)) {
            (Some(a), Some(b)) if b.deadline < a.deadline => left + 1,
            (Some(_), _) => left,
            (None, _) => break,
        };
        if heap[slot].deadline <= heap[child].deadline {
            break;
        }
        heap.swap(slot, child);
        heap[slot].moved_to(slot);
        slot = child;
    }
    heap[slot].moved_to(slot);
}

impl<P: Platform> Hypervisor<P> {
    /// Arms one of a vCPU's timers, on the calling pCPU.
    pub fn arm_timer(&self, vcpu: &Arc<Vcpu<P>>, kind: TimerKind, deadline: Nanos) {
        self.timers.arm(self.platform.this_cpu(), vcpu, kind, deadline);
    }

    /// Disarms one of a vCPU's timers. Whether it was armed.
    pub fn cancel_timer(&self, vcpu: &Vcpu<P>, kind: TimerKind) -> bool {
        self.timers.cancel(vcpu, kind)
    }

    /// Does what the expired timers of the calling pCPU, `cpu`, are for. After it,
    /// [`Timers::earliest`] says when to call it again.
    pub fn expire_timers(&self, cpu: CpuId, now: Nanos) {
        while let Some(Entry { deadline, vcpu, kind }) = self.timers.pop_expired(cpu, now) {
            match kind {
                TimerKind::Singleshot => self.raise_vcpu_virq(&vcpu, Virq::TIMER),
                TimerKind::Periodic => self.periodic_tick(cpu, &vcpu, deadline, now),
                TimerKind::Poll => self.wake(&vcpu),
                TimerKind::Watchdog(_) => {
                    if let Some(domain) = vcpu.domain() {
                        self.shut_down(&domain, ShutdownReason::WATCHDOG);
                    }
                }
                TimerKind::Arch(number) => self.platform.timer_expired(self, &vcpu, number),
            }
        }
    }

    fn periodic_tick(&self, cpu: CpuId, vcpu: &Arc<Vcpu<P>>, deadline: Nanos, now: Nanos) {
        let period = vcpu.timers.period_ns.load(Ordering::Relaxed);
        if period == 0 {
            return;
        }
        // Ticks that were missed are not made up for.
        let late = now.0.saturating_sub(deadline.0);
        let next = now.0.saturating_add(period - late % period);
        self.timers.arm(cpu, vcpu, TimerKind::Periodic, Nanos(next));
        self.raise_vcpu_virq(vcpu, Virq::TIMER);
    }
}
