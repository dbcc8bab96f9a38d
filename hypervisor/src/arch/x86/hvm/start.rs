//! Bringing vCPUs up.

use alloc::sync::Arc;

use hv_core::sched::entity::BlockReason;
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;

use super::reset;
use crate::platform::{Hypervisor, Vcpu};

/// A start-up message with `vector` has reached `vcpu`. Only one that is down takes it.
pub fn start_up(hv: &Hypervisor, vcpu: &Arc<Vcpu>, vector: u8) {
    if vcpu.sched.is_up() {
        return;
    }
    // It may be on its way out of its last run: that it is down comes first, the lock is given up last.
    hv.wait_stopped(vcpu);
    let mut context = vcpu.arch.context.lock();
    // INIT and start-up messages that came together: this does for both.
    vcpu.arch.signals.take();
    reset::start_up(&mut context.hw, vector);
    drop(context);
    hv.resume(vcpu, BlockReason::Down);
}

/// Gives a vCPU that is down the registers of `VCPUOP_initialise`.
///
/// # Errors
/// `EINVAL` if there are no such registers.
pub fn initialise(_vcpu: &Vcpu, _registers: &VcpuHvmContext) -> Result<(), Errno> {
    Err(Errno::EINVAL)
}
