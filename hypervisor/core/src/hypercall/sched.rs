//! `sched_op`: vCPUs that wait, domains that stop (public header `sched.h`).

use xen_abi::sched::{
    PinOverride, Poll, RemoteShutdown, SchedCmd, Shutdown, ShutdownReason, Watchdog,
};

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::platform::Platform;
use crate::sched::cpu_set::CpuSet;
use crate::timer::{TimerKind, WATCHDOGS};
use crate::types::{CpuId, DomId, Gva, Nanos, Port, VcpuId};

/// The most ports that can be polled at once.
const MAX_POLLED: usize = 128;
const NS_PER_SECOND: u64 = 1_000_000_000;

/// `sched_op(cmd, arg)`.
pub fn sched_op<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, arg, ..] = call.args;
    let arg = Gva(arg);
    match SchedCmd(cmd as u32) {
        SchedCmd::YIELD => call.hv.yield_now(),
        SchedCmd::BLOCK => block(call),
        SchedCmd::SHUTDOWN => {
            let shutdown: Shutdown = call.read(arg)?;
            call.hv.shut_down(call.domain, reason(shutdown.reason));
        }
        SchedCmd::SHUTDOWN_CODE => {
            let shutdown: Shutdown = call.read(arg)?;
            call.domain.latch_shutdown_code(reason(shutdown.reason))?;
        }
        SchedCmd::POLL => poll(call, call.read(arg)?)?,
        SchedCmd::REMOTE_SHUTDOWN => {
            let remote: RemoteShutdown = call.read(arg)?;
            let target = call.hv.domain(DomId(remote.domain_id)).ok_or(Errno::ESRCH)?;
            if !call.domain.is_privileged_for(&target) {
                return Err(Errno::EPERM);
            }
            call.hv.shut_down(&target, reason(remote.reason));
        }
        SchedCmd::WATCHDOG => return watchdog(call, call.read(arg)?),
        SchedCmd::PIN_OVERRIDE => pin_override(call, call.read(arg)?)?,
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Outcome::OK)
}

/// `sched_op_compat(cmd, arg)`: as guests called it before interface version 0x00030101.
pub fn sched_op_compat<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [cmd, arg, ..] = call.args;
    match SchedCmd(cmd as u32) {
        SchedCmd::YIELD => call.hv.yield_now(),
        SchedCmd::BLOCK => block(call),
        SchedCmd::SHUTDOWN => {
            call.hv.shut_down(call.domain, reason(ShutdownReason(arg as u32)));
        }
        _ => return Err(Errno::ENOSYS),
    }
    Ok(Outcome::OK)
}

fn block<P: Platform>(call: &Call<'_, P>) {
    if call.guest.takes_interrupts() {
        call.hv.block_unless_interrupted(call.vcpu);
    } else {
        call.hv.block(call.vcpu);
    }
}

/// A shutdown code has 8 bits.
fn reason(given: ShutdownReason) -> ShutdownReason {
    ShutdownReason(given.0 & 0xFF)
}

fn poll<P: Platform>(call: &Call<'_, P>, poll: Poll) -> Result<(), Errno> {
    let mut ports = [Port(0); MAX_POLLED];
    let count = poll.nr_ports as usize;
    let ports = ports.get_mut(..count).ok_or(Errno::EINVAL)?;
    for (index, port) in ports.iter_mut().enumerate() {
        let at = call.element::<u32>(Gva(poll.ports.0), index as u64)?;
        *port = Port(call.read(at)?);
    }
    let timeout = (poll.timeout != 0).then_some(Nanos(poll.timeout));
    call.hv.poll_events(call.domain, call.vcpu, ports, timeout)?;
    if call.guest.takes_interrupts() && call.hv.platform.has_interrupt(call.vcpu) {
        call.hv.wake(call.vcpu);
    }
    Ok(())
}

/// Sets up, restarts or stops one of the domain's watchdogs. The result of setting one up is its
/// number, from 1 on.
fn watchdog<P: Platform>(call: &Call<'_, P>, request: Watchdog) -> HypercallResult {
    let owner = call.domain.vcpu(VcpuId(0)).ok_or(Errno::EINVAL)?;
    let after_ns = u64::from(request.timeout).saturating_mul(NS_PER_SECOND);
    let deadline = Nanos(call.hv.platform.now().0.saturating_add(after_ns));
    let _one_at_a_time = call.domain.lock_watchdogs();

    if request.id == 0 {
        if request.timeout == 0 {
            return Err(Errno::EINVAL);
        }
        let free = (0..WATCHDOGS).find(|id| !owner.timers.is_armed(TimerKind::Watchdog(*id)));
        let id = free.ok_or(Errno::ENOSPC)?;
        call.hv.arm_timer(owner, TimerKind::Watchdog(id), deadline);
        return Ok(Outcome::Done(u64::from(id).saturating_add(1)));
    }
    let id = u8::try_from(request.id.saturating_sub(1)).map_err(|_| Errno::EINVAL)?;
    if id >= WATCHDOGS || !owner.timers.is_armed(TimerKind::Watchdog(id)) {
        return Err(Errno::EINVAL);
    }
    if request.timeout == 0 {
        call.hv.cancel_timer(owner, TimerKind::Watchdog(id));
    } else {
        call.hv.arm_timer(owner, TimerKind::Watchdog(id), deadline);
    }
    Ok(Outcome::OK)
}

fn pin_override<P: Platform>(call: &Call<'_, P>, pin: PinOverride) -> Result<(), Errno> {
    if !call.domain.config.hardware {
        return Err(Errno::EPERM);
    }
    let Ok(cpu) = u32::try_from(pin.pcpu).map(CpuId) else {
        return call.hv.set_affinity(call.vcpu, |affinity| {
            affinity.hard = affinity.overridden.take().ok_or(Errno::EINVAL)?;
            Ok(())
        });
    };
    if !call.hv.scheduler.online().contains(cpu) {
        return Err(Errno::EINVAL);
    }
    call.hv.set_affinity(call.vcpu, |affinity| {
        if affinity.overridden.is_some() {
            return Err(Errno::EBUSY);
        }
        affinity.overridden = Some(affinity.hard);
        affinity.hard = CpuSet::single(cpu);
        Ok(())
    })
}
