//! `sysctl`: the machine and the hypervisor as the toolstack sees them (public header
//! `sysctl.h`).

mod cpu;
mod info;
mod perfc;
mod pool;
#[cfg(test)]
mod tests;

use xen_abi::sysctl::{INTERFACE_VERSION, Sysctl, SysctlCmd};

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::machine::Machine;
use crate::types::Gva;

/// `sysctl(op)`.
pub fn sysctl<P: Machine>(call: &Call<'_, P>) -> HypercallResult {
    let [arg, ..] = call.args;
    let mut op: Sysctl = call.read(Gva(arg))?;
    if op.interface_version != INTERFACE_VERSION {
        return Err(Errno::EACCES);
    }
    if !call.domain.is_privileged() {
        return Err(Errno::EPERM);
    }
    match op.cmd {
        SysctlCmd::READCONSOLE => info::read_console(call, &mut op)?,
        SysctlCmd::DEBUG_KEYS => info::debug_keys(call, &op)?,
        SysctlCmd::PHYSINFO => info::phys_info(call, &mut op),
        SysctlCmd::GETDOMAININFOLIST => info::domain_list(call, &mut op)?,
        SysctlCmd::GETCPUINFO => info::cpu_info(call, &mut op)?,
        SysctlCmd::AVAILHEAP => info::available(call, &mut op),
        SysctlCmd::CPUTOPOINFO => info::cpu_topology(call, &mut op)?,
        SysctlCmd::NUMAINFO => info::numa(call, &mut op)?,
        SysctlCmd::PCITOPOINFO => info::pci_topology(call, &mut op)?,
        SysctlCmd::PERFC_OP => perfc::perfc_op(call, &mut op)?,
        SysctlCmd::SCHED_ID => pool::sched_id(&mut op),
        SysctlCmd::CPUPOOL_OP => pool::cpupool_op(call, &mut op)?,
        SysctlCmd::SCHEDULER_OP => pool::scheduler_op(call, &mut op)?,
        SysctlCmd::GET_CPU_LEVELLING_CAPS => cpu::levelling_caps(&mut op),
        SysctlCmd::GET_CPU_FEATURESET => cpu::featureset(call, &mut op)?,
        SysctlCmd::GET_CPU_POLICY => cpu::policy(call, &mut op)?,
        // Neither frequencies nor idle states are the hypervisor's business.
        SysctlCmd::GET_PMSTAT | SysctlCmd::PM_OP => return Err(Errno::ENODEV),
        cmd if cmd.name().is_some() => return Err(Errno::EOPNOTSUPP),
        _ => return Err(Errno::ENOSYS),
    }
    call.write(Gva(arg), &op)?;
    Ok(Outcome::OK)
}
