//! vCPUs: their state, affinity and share of the pCPUs.

use alloc::sync::Arc;

use xen_abi::domctl::{
    GetVcpuInfo, NodeAffinity, SchedCredit2, SchedOp, Scheduler, SchedulerOp, VCPUAFFINITY_FORCE,
    VCPUAFFINITY_HARD, VCPUAFFINITY_SOFT, VcpuAffinity, VcpuContext,
};

use super::Request;
use crate::errno::Errno;
use crate::machine::Machine;
use crate::sched::cpu_set::CpuSet;
use crate::sched::entity::Affinity;
use crate::types::{Gva, VcpuId};
use crate::vcpu::Vcpu;

/// A value of the cap in `XEN_DOMCTL_SCHEDOP_putinfo` that leaves it as it is.
const KEEP_CAP: u16 = u16::MAX;

impl<P: Machine> Request<'_, P> {
    fn vcpu(&self, id: u32) -> Result<&Arc<Vcpu<P>>, Errno> {
        if id >= self.domain.config.max_vcpus {
            return Err(Errno::EINVAL);
        }
        self.domain.vcpu(VcpuId(id)).ok_or(Errno::ESRCH)
    }

    pub(super) fn vcpu_info(&mut self) -> Result<(), Errno> {
        let mut info: GetVcpuInfo = self.op.u.read();
        let vcpu = self.vcpu(info.vcpu)?;
        info.online = u8::from(vcpu.sched.is_up());
        info.blocked = u8::from(vcpu.sched.is_blocked());
        info.running = u8::from(vcpu.sched.running_on().is_some());
        info.cpu_time = vcpu.running_ns(self.call.hv.platform.now());
        info.cpu = vcpu.sched.cpu().0;
        self.op.u.write(&info);
        Ok(())
    }

    /// For debuggers and core dumps.
    pub(super) fn vcpu_context(&self) -> Result<(), Errno> {
        self.not_self()?;
        let get: VcpuContext = self.op.u.read();
        let vcpu = self.vcpu(get.vcpu)?;
        if !vcpu.is_initialised() {
            return Err(Errno::ENODATA);
        }
        let context = self.while_paused(|request| request.call.hv.platform.vcpu_context(vcpu));
        self.call.write(Gva(get.ctxt.0), &*context)
    }

    pub(super) fn set_affinity(&mut self) -> Result<(), Errno> {
        let set: VcpuAffinity = self.op.u.read();
        let vcpu = self.vcpu(set.vcpu)?;
        let wanted = |flag: u32, bitmap| {
            (set.flags & flag != 0).then(|| self.call.read_cpus(bitmap)).transpose()
        };
        let hard = wanted(VCPUAFFINITY_HARD, &set.cpumap_hard)?;
        let soft = wanted(VCPUAFFINITY_SOFT, &set.cpumap_soft)?;
        if hard.is_none() && soft.is_none() {
            return Err(Errno::EINVAL);
        }
        let online = self.call.hv.scheduler.online();
        let force = set.flags & VCPUAFFINITY_FORCE != 0;
        self.call.hv.set_affinity(vcpu, |affinity| change(affinity, hard, soft, &online, force))?;

        let now = vcpu.sched.affinity();
        if hard.is_some() {
            self.call.write_cpus(&set.cpumap_hard, &now.hard.intersection(&online))?;
        }
        if soft.is_some() {
            let effective = now.soft.intersection(&now.hard).intersection(&online);
            self.call.write_cpus(&set.cpumap_soft, &effective)?;
        }
        Ok(())
    }

    pub(super) fn affinity(&self) -> Result<(), Errno> {
        let get: VcpuAffinity = self.op.u.read();
        let affinity = self.vcpu(get.vcpu)?.sched.affinity();
        if get.flags & (VCPUAFFINITY_HARD | VCPUAFFINITY_SOFT) == 0 {
            return Err(Errno::EINVAL);
        }
        if get.flags & VCPUAFFINITY_HARD != 0 {
            self.call.write_cpus(&get.cpumap_hard, &affinity.hard)?;
        }
        if get.flags & VCPUAFFINITY_SOFT != 0 {
            self.call.write_cpus(&get.cpumap_soft, &affinity.soft)?;
        }
        Ok(())
    }

    /// There is one node, with which every domain has affinity.
    pub(super) fn node_affinity(&self) -> Result<(), Errno> {
        let get: NodeAffinity = self.op.u.read();
        if get.nodemap.nr_bits == 0 {
            return Ok(());
        }
        self.call.write(Gva(get.nodemap.bitmap.0), &1_u8)
    }

    pub(super) fn scheduler_op(&mut self) -> Result<(), Errno> {
        let mut op: SchedulerOp = self.op.u.read();
        if op.sched_id != Scheduler::CREDIT2 {
            return Err(Errno::EINVAL);
        }
        match op.cmd {
            SchedOp::PUTINFO => {
                let SchedCredit2 { weight, cap } = op.u.read();
                let weight = (weight != 0).then_some(weight);
                let cap = (cap != KEEP_CAP).then_some(cap);
                self.call.hv.set_share(self.domain, weight, cap);
            }
            SchedOp::GETINFO => {
                let share = &self.domain.share;
                op.u.write(&SchedCredit2 { weight: share.weight(), cap: share.cap() });
                self.op.u.write(&op);
            }
            _ => return Err(Errno::EINVAL),
        }
        Ok(())
    }
}

fn change(
    affinity: &mut Affinity,
    hard: Option<CpuSet>,
    soft: Option<CpuSet>,
    online: &CpuSet,
    force: bool,
) -> Result<(), Errno> {
    if force && let Some(before) = affinity.overridden.take() {
        affinity.hard = before;
    }
    if let Some(hard) = hard {
        if affinity.overridden.is_some() {
            return Err(Errno::EBUSY);
        }
        if hard.intersection(online).is_empty() {
            return Err(Errno::EINVAL);
        }
        affinity.hard = hard;
    }
    if let Some(soft) = soft {
        affinity.soft = soft;
    }
    Ok(())
}
