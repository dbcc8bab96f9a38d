//! The scheduler and the one pool of pCPUs that it serves.

use xen_abi::domctl::Scheduler;
use xen_abi::sysctl::{
    CPUPOOL_PAR_ANY, CpupoolCmd, CpupoolOp, Credit2Schedule, SCHED_RATELIMIT_MAX,
    SCHED_RATELIMIT_MIN, SchedId, SchedulerCmd, SchedulerOp, Sysctl,
};

use crate::errno::Errno;
use crate::hypercall::Call;
use crate::machine::Machine;
use crate::sched::cpu_set::CpuSet;
use crate::types::{CpuId, DomId};

const NS_PER_US: u64 = 1000;
/// The default pool's number.
const POOL: u32 = 0;

/// Weights and caps are those of the second credit scheduler, so that is what it is called.
pub(super) fn sched_id(op: &mut Sysctl) {
    op.u.write(&SchedId { sched_id: Scheduler::CREDIT2 });
}

pub(super) fn cpupool_op<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut pool: CpupoolOp = op.u.read();
    match pool.op {
        CpupoolCmd::INFO => {
            // The first pool from this number on is asked for.
            if pool.cpupool_id != POOL && pool.cpupool_id != CPUPOOL_PAR_ANY {
                return Err(Errno::ENOENT);
            }
            pool.cpupool_id = POOL;
            pool.sched_id = Scheduler::CREDIT2;
            pool.n_dom = u32::try_from(call.hv.domains().len()).unwrap_or(u32::MAX);
            call.write_cpus(&pool.cpumap, &call.hv.scheduler.online())?;
        }
        CpupoolCmd::FREEINFO => {
            let (all, used) = (call.hv.platform.cpu_count(), call.hv.scheduler.online());
            let free: CpuSet = (0..all).map(CpuId).filter(|cpu| !used.contains(*cpu)).collect();
            call.write_cpus(&pool.cpumap, &free)?;
        }
        CpupoolCmd::MOVEDOMAIN => {
            let id = u16::try_from(pool.domid).map_err(|_| Errno::ESRCH)?;
            call.hv.domain(DomId(id)).ok_or(Errno::ESRCH)?;
            if pool.cpupool_id != POOL {
                return Err(Errno::ENOENT);
            }
        }
        CpupoolCmd::CREATE | CpupoolCmd::DESTROY | CpupoolCmd::ADDCPU | CpupoolCmd::RMCPU => {
            return Err(Errno::EOPNOTSUPP);
        }
        _ => return Err(Errno::ENOSYS),
    }
    op.u.write(&pool);
    Ok(())
}

pub(super) fn scheduler_op<P: Machine>(call: &Call<'_, P>, op: &mut Sysctl) -> Result<(), Errno> {
    let mut schedule: SchedulerOp = op.u.read();
    if schedule.cpupool_id != POOL {
        return Err(Errno::ESRCH);
    }
    if schedule.sched_id != Scheduler::CREDIT2 {
        return Err(Errno::EINVAL);
    }
    let scheduler = &call.hv.scheduler;
    match schedule.cmd {
        SchedulerCmd::PUTINFO => {
            let Credit2Schedule { ratelimit_us } = schedule.u.read();
            let allowed = SCHED_RATELIMIT_MIN..=SCHED_RATELIMIT_MAX;
            if ratelimit_us != 0 && !allowed.contains(&ratelimit_us) {
                return Err(Errno::EINVAL);
            }
            scheduler.set_ratelimit_ns(u64::from(ratelimit_us).saturating_mul(NS_PER_US));
        }
        SchedulerCmd::GETINFO => {}
        _ => return Err(Errno::EINVAL),
    }
    let ratelimit_us = u32::try_from(scheduler.ratelimit_ns() / NS_PER_US).unwrap_or(u32::MAX);
    schedule.u.write(&Credit2Schedule { ratelimit_us });
    op.u.write(&schedule);
    Ok(())
}
