//! `domctl`: what the toolstack does to domains (public header `domctl.h`).
//!
//! One such call at a time runs, under the domctl lock; others are told to try again. Errors
//! that have their own place in a structure are written back with it.

mod create;
mod hvm;
mod memory;
#[cfg(test)]
mod tests;
mod vcpu;

use alloc::sync::Arc;

use xen_abi::domctl::{
    Domctl, DomctlCmd, INTERFACE_VERSION, SetDomainHandle, SetTimeOffset, SetVirqHandler, Subscribe,
};

use super::{Call, HypercallResult, Outcome};
use crate::domain::{Domain, Progress};
use crate::errno::Errno;
use crate::machine::Machine;
use crate::types::{DomId, Gva, Port};

/// `domctl(op)`.
pub fn domctl<P: Machine>(call: &Call<'_, P>) -> HypercallResult {
    let [arg, ..] = call.args;
    let mut op: Domctl = call.read(Gva(arg))?;
    if op.interface_version != INTERFACE_VERSION {
        return Err(Errno::EACCES);
    }
    if !call.domain.is_privileged() {
        return Err(Errno::EPERM);
    }
    let Some(_one_at_a_time) = call.hv.domctl_lock.try_lock() else {
        return Ok(Outcome::Continue(call.args));
    };
    let progress = if op.cmd == DomctlCmd::CREATEDOMAIN {
        create::create(call, &mut op)?;
        Progress::Done
    } else {
        let target = call.resolve(DomId(op.domain))?;
        Request { call, domain: &target, op: &mut op }.run()?
    };
    call.write(Gva(arg), &op)?;
    match progress {
        Progress::Done => Ok(Outcome::OK),
        Progress::Again => Ok(Outcome::Continue(call.args)),
    }
}

/// A request about a domain that exists.
struct Request<'a, P: Machine> {
    call: &'a Call<'a, P>,
    domain: &'a Arc<Domain<P>>,
    op: &'a mut Domctl,
}

impl<P: Machine> Request<'_, P> {
    /// The table of contents.
    fn run(self) -> Result<Progress, Errno> {
        let mut request = self;
        match request.op.cmd {
            DomctlCmd::DESTROYDOMAIN => return request.destroy(),
            DomctlCmd::PAUSEDOMAIN => request.pause()?,
            DomctlCmd::UNPAUSEDOMAIN => request.call.hv.unpause_domain(request.domain)?,
            DomctlCmd::RESUMEDOMAIN => request.resume()?,
            DomctlCmd::GETDOMAININFO => request.info(),
            DomctlCmd::SETDOMAINHANDLE => {
                request.domain.set_handle(request.op.u.read::<SetDomainHandle>().handle);
            }
            DomctlCmd::SUBSCRIBE => {
                request.domain.subscribe(Port(request.op.u.read::<Subscribe>().port));
            }
            DomctlCmd::SET_TARGET => request.set_target()?,
            DomctlCmd::SET_VIRQ_HANDLER => {
                let virq = request.op.u.read::<SetVirqHandler>().virq;
                request.call.hv.set_virq_handler(virq, request.domain)?;
            }

            DomctlCmd::MAX_VCPUS => request.max_vcpus()?,
            DomctlCmd::GETVCPUINFO => request.vcpu_info()?,
            DomctlCmd::GETVCPUCONTEXT => request.vcpu_context()?,
            DomctlCmd::SETVCPUAFFINITY => request.set_affinity()?,
            DomctlCmd::GETVCPUAFFINITY => request.affinity()?,
            DomctlCmd::SETNODEAFFINITY => {}
            DomctlCmd::GETNODEAFFINITY => request.node_affinity()?,
            DomctlCmd::SCHEDULER_OP => request.scheduler_op()?,

            DomctlCmd::MAX_MEM => request.max_mem(),
            DomctlCmd::GET_PAGING_MEMPOOL_SIZE => request.paging_pool(),
            DomctlCmd::SET_PAGING_MEMPOOL_SIZE => request.set_paging_pool()?,
            DomctlCmd::SHADOW_OP => request.shadow_op()?,
            DomctlCmd::GETPAGEFRAMEINFO3 => return request.page_frame_info(),
            DomctlCmd::SET_LLC_COLORS => request.set_llc_colors()?,

            DomctlCmd::GETHVMCONTEXT => request.save_context()?,
            DomctlCmd::GETHVMCONTEXT_PARTIAL => request.save_record()?,
            DomctlCmd::SETHVMCONTEXT => request.load_context()?,
            DomctlCmd::SENDTRIGGER => request.send_trigger()?,
            DomctlCmd::SETTIMEOFFSET => {
                let seconds = request.op.u.read::<SetTimeOffset>().time_offset_seconds;
                request.call.hv.set_wallclock_offset(request.domain, seconds);
            }
            DomctlCmd::GETTSCINFO => request.tsc_info(),
            DomctlCmd::SETTSCINFO => request.set_tsc_info()?,
            DomctlCmd::GET_CPU_POLICY => request.cpu_policy()?,
            DomctlCmd::SET_CPU_POLICY => request.set_cpu_policy()?,

            cmd if is_unsupported(cmd) => return Err(Errno::EOPNOTSUPP),
            _ => return Err(Errno::ENOSYS),
        }
        Ok(Progress::Done)
    }

    /// A domain can't do this to itself.
    fn not_self(&self) -> Result<(), Errno> {
        if Arc::ptr_eq(self.domain, self.call.domain) { Err(Errno::EINVAL) } else { Ok(()) }
    }
}

/// What exists in the ABI, but not in these containers: paravirtualisation, passthrough,
/// introspection, cache allocation.
const fn is_unsupported(cmd: DomctlCmd) -> bool {
    matches!(
        cmd,
        DomctlCmd::SETVCPUCONTEXT
            | DomctlCmd::SET_ADDRESS_SIZE
            | DomctlCmd::GET_ADDRESS_SIZE
            | DomctlCmd::SET_EXT_VCPUCONTEXT
            | DomctlCmd::GET_EXT_VCPUCONTEXT
            | DomctlCmd::SETVCPUEXTSTATE
            | DomctlCmd::GETVCPUEXTSTATE
            | DomctlCmd::GET_VCPU_MSRS
            | DomctlCmd::SET_VCPU_MSRS
            | DomctlCmd::IRQ_PERMISSION
            | DomctlCmd::GSI_PERMISSION
            | DomctlCmd::IOMEM_PERMISSION
            | DomctlCmd::IOPORT_PERMISSION
            | DomctlCmd::MEMORY_MAPPING
            | DomctlCmd::IOPORT_MAPPING
            | DomctlCmd::ASSIGN_DEVICE
            | DomctlCmd::TEST_ASSIGN_DEVICE
            | DomctlCmd::DEASSIGN_DEVICE
            | DomctlCmd::BIND_PT_IRQ
            | DomctlCmd::UNBIND_PT_IRQ
            | DomctlCmd::GET_DEVICE_GROUP
            | DomctlCmd::SETDEBUGGING
            | DomctlCmd::DEBUG_OP
            | DomctlCmd::VM_EVENT_OP
            | DomctlCmd::MEM_SHARING_OP
            | DomctlCmd::MONITOR_OP
            | DomctlCmd::VMTRACE_OP
            | DomctlCmd::PSR_CMT_OP
            | DomctlCmd::PSR_ALLOC
            | DomctlCmd::SETVNUMAINFO
            | DomctlCmd::SOFT_RESET
    )
}
