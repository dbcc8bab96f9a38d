//! `vcpu_op` and `set_timer_op`: vCPUs, their timers, and where they look for what the hypervisor
//! tells them (public header `vcpu.h`).

use alloc::sync::Arc;
use core::sync::atomic::Ordering;

use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use xen_abi::vcpu::{
    RegisterArea, RegisterVcpuInfo, SSHOTTMR_FUTURE, SetPeriodicTimer, SetSingleshotTimer, VcpuCmd,
};

use super::{Call, HypercallResult, Outcome, Width};
use crate::errno::Errno;
use crate::machine::Machine;
use crate::platform::Platform;
use crate::sched::entity::BlockReason;
use crate::time::area::AreaAddress;
use crate::timer::TimerKind;
use crate::types::{Gfn, Gpa, Gva, Nanos, VcpuId};
use crate::vcpu::Vcpu;

/// The shortest period of a periodic timer.
const MIN_PERIOD_NS: u64 = 1_000_000;
/// The longest: within it, nothing overflows.
const MAX_PERIOD_NS: u64 = 1 << 62;

/// `vcpu_op(cmd, vcpu, arg)`.
pub fn vcpu_op<P: Machine>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, vcpu, arg, ..] = call.args;
    let arg = Gva(arg);
    let vcpu = call.domain.vcpu(VcpuId(vcpu as u32)).ok_or(Errno::ENOENT)?;
    match VcpuCmd(cmd as u32) {
        VcpuCmd::INITIALISE => initialise(call, vcpu, arg)?,
        VcpuCmd::UP => up(call, vcpu)?,
        VcpuCmd::DOWN => call.hv.bring_down(call.domain, vcpu),
        VcpuCmd::IS_UP => return Ok(Outcome::Done(u64::from(vcpu.sched.is_up()))),
        VcpuCmd::GET_RUNSTATE_INFO => {
            call.write(arg, &vcpu.runstate(call.hv.platform.now()))?;
        }
        VcpuCmd::SET_PERIODIC_TIMER => set_periodic(call, vcpu, call.read(arg)?)?,
        VcpuCmd::STOP_PERIODIC_TIMER => {
            vcpu.timers.period_ns.store(0, Ordering::Relaxed);
            call.hv.cancel_timer(vcpu, TimerKind::Periodic);
        }
        VcpuCmd::SET_SINGLESHOT_TIMER => set_singleshot(call, vcpu, call.read(arg)?)?,
        VcpuCmd::STOP_SINGLESHOT_TIMER => {
            own_only(call, vcpu)?;
            call.hv.cancel_timer(vcpu, TimerKind::Singleshot);
        }
        VcpuCmd::REGISTER_VCPU_INFO => {
            let info: RegisterVcpuInfo = call.read(arg)?;
            call.hv.register_vcpu_info(call.domain, vcpu, Gfn(info.mfn), info.offset)?;
        }
        VcpuCmd::REGISTER_RUNSTATE_MEMORY_AREA => {
            let address = virtual_area(call, arg)?;
            call.hv.register_runstate(call.domain, vcpu, &address, call.width)?;
        }
        VcpuCmd::REGISTER_RUNSTATE_PHYS_AREA => {
            let address = physical_area(call, arg)?;
            call.hv.register_runstate(call.domain, vcpu, &address, call.width)?;
        }
        VcpuCmd::REGISTER_VCPU_TIME_MEMORY_AREA => {
            let address = virtual_area(call, arg)?;
            call.hv.register_time(call.domain, vcpu, &address)?;
        }
        VcpuCmd::REGISTER_VCPU_TIME_PHYS_AREA => {
            let address = physical_area(call, arg)?;
            call.hv.register_time(call.domain, vcpu, &address)?;
        }
        VcpuCmd::SEND_NMI => call.hv.platform.inject_nmi(call.hv, vcpu),
        // Only for vCPUs that are pinned one to one, which no container's are.
        VcpuCmd::GET_PHYSID => return Err(Errno::EINVAL),
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Outcome::OK)
}

/// `set_timer_op(timeout)`: the calling vCPU's single-shot timer; 0 stops it.
pub fn set_timer_op<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [first, second, ..] = call.args;
    let timeout = match call.width {
        // In two halves.
        Width::Narrow => first | second << u32::BITS,
        Width::Wide => first,
    };
    if timeout == 0 {
        call.hv.cancel_timer(call.vcpu, TimerKind::Singleshot);
    } else {
        call.hv.arm_timer(call.vcpu, TimerKind::Singleshot, Nanos(timeout));
    }
    Ok(Outcome::OK)
}

fn virtual_area<'a, P: Platform>(call: &Call<'a, P>, arg: Gva) -> Result<AreaAddress<'a>, Errno> {
    let area: RegisterArea = call.read(arg)?;
    Ok(AreaAddress::Virtual(Gva(call.width.truncate(area.addr)), call.guest))
}

fn physical_area<P: Platform>(call: &Call<'_, P>, arg: Gva) -> Result<AreaAddress<'static>, Errno> {
    let area: RegisterArea = call.read(arg)?;
    Ok(AreaAddress::Physical(Gpa(area.addr)))
}

fn own_only<P: Platform>(call: &Call<'_, P>, vcpu: &Arc<Vcpu<P>>) -> Result<(), Errno> {
    if Arc::ptr_eq(call.vcpu, vcpu) { Ok(()) } else { Err(Errno::EINVAL) }
}

fn initialise<P: Machine>(call: &Call<'_, P>, vcpu: &Arc<Vcpu<P>>, arg: Gva) -> Result<(), Errno> {
    if vcpu.sched.is_up() || vcpu.is_initialised() {
        return Err(Errno::EEXIST);
    }
    let context: VcpuHvmContext = call.read(arg)?;
    call.hv.platform.initialise_vcpu(vcpu, &context)?;
    vcpu.set_initialised();
    Ok(())
}

fn up<P: Platform>(call: &Call<'_, P>, vcpu: &Arc<Vcpu<P>>) -> Result<(), Errno> {
    if !vcpu.is_initialised() {
        return Err(Errno::EINVAL);
    }
    call.hv.resume(vcpu, BlockReason::Down);
    Ok(())
}

fn set_periodic<P: Platform>(
    call: &Call<'_, P>,
    vcpu: &Arc<Vcpu<P>>,
    set: SetPeriodicTimer,
) -> Result<(), Errno> {
    if !(MIN_PERIOD_NS..=MAX_PERIOD_NS).contains(&set.period_ns) {
        return Err(Errno::EINVAL);
    }
    vcpu.timers.period_ns.store(set.period_ns, Ordering::Relaxed);
    let first = call.hv.platform.now().0.saturating_add(set.period_ns);
    call.hv.arm_timer(vcpu, TimerKind::Periodic, Nanos(first));
    Ok(())
}

fn set_singleshot<P: Platform>(
    call: &Call<'_, P>,
    vcpu: &Arc<Vcpu<P>>,
    set: SetSingleshotTimer,
) -> Result<(), Errno> {
    own_only(call, vcpu)?;
    let deadline = Nanos(set.timeout_abs_ns);
    if set.flags & SSHOTTMR_FUTURE != 0 && deadline < call.hv.platform.now() {
        return Err(Errno::ETIME);
    }
    call.hv.arm_timer(vcpu, TimerKind::Singleshot, deadline);
    Ok(())
}
