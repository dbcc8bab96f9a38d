//! Bringing vCPUs up.

use alloc::sync::Arc;

use hv_boot::options::Level;
use hv_core::sched::entity::BlockReason;
use hv_x86::state::{Impossible, start};
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;

use super::backend::Backend;
use super::{reset, state};
use crate::platform::{Hypervisor, Vcpu};

/// A start-up message with `vector` has reached `vcpu`. Only one that is down takes it, or will
/// be after the INIT that it has yet to act on.
pub fn start_up(hv: &Hypervisor, vcpu: &Arc<Vcpu>, vector: u8) {
    let mut context = loop {
        match state::of_down(vcpu) {
            Some(context) => break context,
            None if vcpu.arch.signals.start_up(vector) => return hv.notify(vcpu),
            None if vcpu.sched.is_up() => return,
            None => {}
        }
    };
    // INIT and start-up messages that came together: this does for both.
    vcpu.arch.signals.take();
    reset::start_up(&mut context.hw, vector);
    drop(context);
    vcpu.set_initialised();
    hv.resume(vcpu, BlockReason::Down);
}

/// Gives a vCPU that is down the registers of `VCPUOP_initialise`.
///
/// # Errors
/// `EINVAL` if there are no such registers; `EEXIST` if it isn't down.
pub fn initialise(vcpu: &Arc<Vcpu>, registers: &VcpuHvmContext) -> Result<(), Errno> {
    let refused = |Impossible(why)| {
        guest_log!(Level::Debug, "{}v{} can't be initialised: {why}", vcpu.domid, vcpu.id.0);
        Errno::EINVAL
    };
    let domain = vcpu.domain().ok_or(Errno::ESRCH)?;
    let start = start::state(registers).map_err(refused)?;
    start.check(&domain.arch.cpuid.read().control_limits()).map_err(refused)?;
    let mut context = state::of_down(vcpu).ok_or(Errno::EEXIST)?;
    context.hw.regs_mut().xmm = Default::default();
    context.fpu.reset();
    state::put(&mut context, &start);
    Ok(())
}
