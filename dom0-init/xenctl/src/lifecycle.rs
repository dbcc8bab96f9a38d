//! A domain's life: made, limited, run, paused, taken away.
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::domctl::{
    CreateDomain, DomctlCmd, GetDomainInfo, MaxMem, MaxVcpus, PagingMempool, SchedCredit2, SchedOp,
    Scheduler, SchedulerOp, SendTrigger, SetDomainHandle, Trigger, VCPUAFFINITY_HARD, VcpuAffinity,
};
use xen_abi::xen::CtlBitmap;

use crate::Xen;
use crate::error::{Error, Result};

/// `EAGAIN` and Xen's `ERESTART`: more is to be done, call again.
const AGAIN: [i32; 2] = [11, 85];
const ESRCH: i32 = 3;

impl Xen {
    /// Makes a domain, which is paused and has neither vCPUs nor memory; gives its number.
    ///
    /// # Errors
    /// When the hypervisor refuses the description, or has no memory left.
    pub fn create_domain(&self, description: &CreateDomain) -> Result<u16> {
        // SAFETY: the structure holds no address.
        let whole = unsafe { self.domctl_whole(DomctlCmd::CREATEDOMAIN, 0, description, &mut []) }?;
        Ok(whole.domain)
    }

    /// Takes a domain away. Its memory comes back as far as nobody maps it.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn destroy_domain(&self, domain: u16) -> Result<()> {
        loop {
            match self.plain(DomctlCmd::DESTROYDOMAIN, domain) {
                Err(error) if error.errno().is_some_and(|errno| AGAIN.contains(&errno)) => {}
                other => return other,
            }
        }
    }

    /// Keeps a domain's vCPUs from running.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn pause_domain(&self, domain: u16) -> Result<()> {
        self.plain(DomctlCmd::PAUSEDOMAIN, domain)
    }

    /// Lets a domain's vCPUs run.
    ///
    /// # Errors
    /// When there is no such domain, or it isn't paused.
    pub fn unpause_domain(&self, domain: u16) -> Result<()> {
        self.plain(DomctlCmd::UNPAUSEDOMAIN, domain)
    }

    /// One domain; `None` if there is none of this number.
    ///
    /// # Errors
    /// When the hypercall fails.
    pub fn domain(&self, domain: u16) -> Result<Option<GetDomainInfo>> {
        let question = GetDomainInfo::default();
        // SAFETY: the structure holds no address.
        match unsafe { self.domctl(DomctlCmd::GETDOMAININFO, domain, &question, &mut []) } {
            // Before 4.20 the next one was told instead.
            Ok(info) => Ok(Some(info).filter(|info| info.domain == domain)),
            Err(Error::Hypercall { errno: ESRCH, .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Makes a domain's vCPUs; all are down.
    ///
    /// # Errors
    /// When the hypervisor refuses.
    pub fn set_max_vcpus(&self, domain: u16, max: u32) -> Result<()> {
        self.set(DomctlCmd::MAX_VCPUS, domain, MaxVcpus { max })
    }

    /// Limits a domain's memory.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn set_max_memory(&self, domain: u16, max_memkb: u64) -> Result<()> {
        self.set(DomctlCmd::MAX_MEM, domain, MaxMem { max_memkb })
    }

    /// Sets memory aside for a domain's second-stage tables.
    ///
    /// # Errors
    /// When there isn't as much.
    pub fn set_paging_memory(&self, domain: u16, size: u64) -> Result<()> {
        self.set(DomctlCmd::SET_PAGING_MEMPOOL_SIZE, domain, PagingMempool { size })
    }

    /// Sets a domain's UUID.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn set_uuid(&self, domain: u16, handle: [u8; 16]) -> Result<()> {
        self.set(DomctlCmd::SETDOMAINHANDLE, domain, SetDomainHandle { handle })
    }

    /// Raises an NMI, a reset or a button in a domain.
    ///
    /// # Errors
    /// When there is no such domain or vCPU, or it can't be raised in such a domain.
    pub fn trigger(&self, domain: u16, trigger: Trigger, vcpu: u32) -> Result<()> {
        self.set(DomctlCmd::SENDTRIGGER, domain, SendTrigger { trigger, vcpu })
    }

    /// Says on which CPUs a vCPU may run.
    ///
    /// # Errors
    /// When there is no such domain or vCPU, or none of the CPUs is there.
    pub fn set_affinity(&self, domain: u16, vcpu: u32, cpus: &[u32]) -> Result<()> {
        let most = cpus.iter().copied().max().unwrap_or(0).saturating_add(1);
        let mut bits = self.privcmd.buffer(usize::try_from(most.div_ceil(8)).unwrap_or(0))?;
        for cpu in cpus {
            let byte = usize::try_from(cpu / 8).ok().and_then(|at| bits.bytes_mut().get_mut(at));
            if let Some(byte) = byte {
                *byte |= 1 << (cpu % 8);
            }
        }
        let bitmap = CtlBitmap { bitmap: bits.handle(), nr_bits: most, ..CtlBitmap::default() };
        let question = VcpuAffinity {
            vcpu,
            flags: VCPUAFFINITY_HARD,
            cpumap_hard: bitmap,
            ..VcpuAffinity::default()
        };
        let buffers = &mut [&mut bits];
        // SAFETY: the bitmap's handle is the buffer's, which has that many bits.
        unsafe { self.domctl(DomctlCmd::SETVCPUAFFINITY, domain, &question, buffers) }?;
        Ok(())
    }

    /// A domain's weight and cap.
    ///
    /// # Errors
    /// When there is no such domain, or another scheduler.
    pub fn credit2(&self, domain: u16) -> Result<SchedCredit2> {
        let question = credit2_op(SchedOp::GETINFO, SchedCredit2::default());
        // SAFETY: the structure holds no address with these operations.
        let answer = unsafe { self.domctl(DomctlCmd::SCHEDULER_OP, domain, &question, &mut []) }?;
        Ok(answer.u.read())
    }

    /// Sets a domain's weight and cap.
    ///
    /// # Errors
    /// As for [`Self::credit2`].
    pub fn set_credit2(&self, domain: u16, parameters: SchedCredit2) -> Result<()> {
        self.set(DomctlCmd::SCHEDULER_OP, domain, credit2_op(SchedOp::PUTINFO, parameters))
    }

    fn plain(&self, cmd: DomctlCmd, domain: u16) -> Result<()> {
        self.set(cmd, domain, 0_u64)
    }

    /// A command that only takes in a structure without addresses.
    fn set<T>(&self, cmd: DomctlCmd, domain: u16, value: T) -> Result<()>
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        // SAFETY: none of the structures that this is called with holds an address.
        unsafe { self.domctl_whole(cmd, domain, &value, &mut []) }.map(|_whole| ())
    }
}

fn credit2_op(cmd: SchedOp, parameters: SchedCredit2) -> SchedulerOp {
    SchedulerOp { sched_id: Scheduler::CREDIT2, cmd, u: xen_abi::Payload::new(&parameters) }
}
