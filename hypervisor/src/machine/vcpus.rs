//! The registers of vCPUs.

use alloc::boxed::Box;
use alloc::sync::Arc;

use hv_core::machine::VcpuControl;
use xen_abi::arch_x86::context::VcpuGuestContext;
use xen_abi::errno::Errno;
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;

use crate::arch::hvm;
use crate::platform::{Hypervisor, Machine, Vcpu};

impl VcpuControl for Machine {
    fn initialise_vcpu(&self, vcpu: &Arc<Vcpu>, context: &VcpuHvmContext) -> Result<(), Errno> {
        hvm::initialise(vcpu, context)
    }

    fn vcpu_context(&self, vcpu: &Vcpu) -> Box<VcpuGuestContext> {
        hvm::debug_context(vcpu)
    }

    fn inject_nmi(&self, hv: &Hypervisor, vcpu: &Arc<Vcpu>) {
        vcpu.arch.signals.nmi();
        hv.notify(vcpu);
    }
}
