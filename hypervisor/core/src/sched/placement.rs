//! Where a vCPU goes: which pCPU a waking one is put on, what an idle pCPU takes from others,
//! and what follows from a change of affinity.

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use crate::errno::Errno;
use crate::hypervisor::Hypervisor;
use crate::platform::Platform;
use crate::sched::cpu_set::CpuSet;
use crate::sched::entity::{Affinity, Place};
use crate::sched::run_queue::Inner;
use crate::types::CpuId;
use crate::vcpu::Vcpu;

/// How many more vCPUs a pCPU must have than another for it to be better that one moves.
const WORTH_MOVING: u32 = 2;

impl<P: Platform> Hypervisor<P> {
    /// Gives a vCPU that is in no queue the best home. Whether that is a new one. Only under the
    /// lock of the old home's queue.
    pub(super) fn find_home(&self, vcpu: &Arc<Vcpu<P>>, home: CpuId) -> bool {
        let best = self.best_cpu(vcpu, home);
        if best != home {
            self.move_home(vcpu, home, best);
        }
        best != home
    }

    /// Moves a vCPU that is in no queue to another home, keeping its lead or lag in virtual
    /// runtime. Only under the lock of the old home's queue.
    fn move_home(&self, vcpu: &Arc<Vcpu<P>>, from: CpuId, to: CpuId) {
        let old = self.scheduler.queue(from).min_vruntime();
        let new = self.scheduler.queue(to).min_vruntime();
        let lead = vcpu.sched.vruntime.load(Ordering::Relaxed).wrapping_sub(old);
        vcpu.sched.vruntime.store(new.wrapping_add(lead), Ordering::Relaxed);
        vcpu.sched.set_position(Place::Off, to);
    }

    /// The pCPU that suits a vCPU best: an idle one of its soft affinity, an idle one at all,
    /// the least loaded of its soft affinity; and its last one among equals.
    fn best_cpu(&self, vcpu: &Vcpu<P>, home: CpuId) -> CpuId {
        let affinity = vcpu.sched.affinity();
        let online = self.scheduler.online();
        let allowed = affinity.hard.intersection(&online);
        // An affinity without any online pCPU can't be obeyed.
        let allowed = if allowed.is_empty() { online } else { allowed };
        let liked = affinity.soft.intersection(&allowed);
        let liked = if liked.is_empty() { allowed } else { liked };

        let load = |cpu: CpuId| self.scheduler.queue(cpu).load();
        let idle = |set: &CpuSet| {
            if set.contains(home) && load(home) == 0 {
                return Some(home);
            }
            set.iter().take_while(|cpu| self.has_queue(*cpu)).find(|cpu| load(*cpu) == 0)
        };
        idle(&liked).or_else(|| idle(&allowed)).unwrap_or_else(|| {
            liked
                .iter()
                .take_while(|cpu| self.has_queue(*cpu))
                .min_by_key(|cpu| (load(*cpu), *cpu != home))
                .unwrap_or(home)
        })
    }

    /// The pCPUs that have so much less to do than one with this queue that they should take one
    /// of those that wait there. All of them, as one may have found other work meanwhile.
    pub(super) fn helpers(&self, inner: &Inner<P>) -> CpuSet {
        if inner.ready.is_empty() {
            return CpuSet::EMPTY;
        }
        let load = inner.load();
        let online = self.scheduler.online();
        online
            .iter()
            .take_while(|cpu| self.has_queue(*cpu))
            .filter(|cpu| self.scheduler.queue(*cpu).load() + WORTH_MOVING <= load)
            .filter(|cpu| inner.ready.any(|vcpu| vcpu.sched.may_run_on(*cpu)))
            .collect()
    }

    /// Takes one waiting vCPU from the pCPU that has most to do, if that is so much more than
    /// the caller has that it is worth it. No run queue may be locked.
    pub(super) fn even_out(&self, cpu: CpuId) {
        let load = self.scheduler.queue(cpu).load();
        let queues = self.scheduler.queues.iter().enumerate();
        let busiest = queues.max_by_key(|(_, queue)| queue.load());
        if let Some((index, queue)) = busiest
            && queue.load() >= load + WORTH_MOVING
        {
            self.steal_from(CpuId(index as u32), cpu);
        }
    }

    fn has_queue(&self, cpu: CpuId) -> bool {
        (cpu.0 as usize) < self.scheduler.queues.len()
    }

    /// Takes one waiting vCPU from another pCPU, for an idle one. No run queue may
    /// be locked. Whether there was one.
    pub(super) fn steal_work(&self, cpu: CpuId) -> bool {
        let count = self.scheduler.queues.len() as u32;
        // Starting behind the caller, so that not all idle pCPUs turn to the same one.
        let mut others = (1..count).map(|step| CpuId((cpu.0 + step) % count));
        // One that runs alone isn't waiting: two are the least that leave something to take.
        others.any(|victim| self.scheduler.queue(victim).load() > 1 && self.steal_from(victim, cpu))
    }

    fn steal_from(&self, victim: CpuId, cpu: CpuId) -> bool {
        let queue = self.scheduler.queue(victim);
        let mut inner = queue.inner.lock();
        let Some(vcpu) = inner.ready.take(|vcpu| vcpu.sched.may_run_on(cpu)) else { return false };
        self.move_home(&vcpu, victim, cpu);
        queue.publish(&inner);
        drop(inner);
        self.settle_at(&vcpu, false);
        true
    }

    /// Changes where a vCPU may and would rather run, and moves it if it waits, or is where it
    /// may not be.
    ///
    /// # Errors
    /// What `change` fails with; nothing is changed then.
    pub fn set_affinity(
        &self,
        vcpu: &Arc<Vcpu<P>>,
        change: impl FnOnce(&mut Affinity) -> Result<(), Errno>,
    ) -> Result<(), Errno> {
        vcpu.sched.change_affinity(|affinity| {
            let mut changed = *affinity;
            change(&mut changed)?;
            *affinity = changed;
            Ok::<(), Errno>(())
        })?;
        let (cpu, mut inner) = self.scheduler.lock_home(vcpu);
        let queue = self.scheduler.queue(cpu);
        match vcpu.sched.position().place {
            Place::Running if vcpu.sched.may_run_on(cpu) => {}
            Place::Running => {
                drop(inner);
                self.ask_to_schedule(cpu);
            }
            Place::Ready | Place::Parked => {
                inner.remove(vcpu);
                vcpu.sched.set_position(Place::Off, cpu);
                queue.publish(&inner);
                drop(inner);
                self.settle(vcpu);
            }
            Place::Off => {}
        }
        Ok(())
    }
}
