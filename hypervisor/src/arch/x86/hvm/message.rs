//! Interrupt messages on their way to a domain's vCPUs.

use alloc::sync::Arc;

use hv_core::types::{CpuId, VcpuId};
use hv_x86::interrupt::{Delivery, Message, route};

use crate::platform::{Domain, Vcpu, hypervisor};

/// Delivers `message` to the vCPUs of `domain` that it is for. `sender` is the vCPU whose ICR
/// write it comes from.
pub fn deliver(domain: &Arc<Domain>, sender: Option<VcpuId>, message: &Message) {
    let identity = |id| domain.vcpu(id).map(|vcpu| vcpu.arch.lapic.identity());
    route(message, sender, domain.config.max_vcpus, identity, |id| {
        if let Some(vcpu) = domain.vcpu(id) {
            arrive(vcpu, message);
        }
    });
}

/// The pCPU of a vCPU of `domain` that `message` is for: where it runs, ran last, or will run.
pub fn pcpu(domain: &Domain, message: &Message) -> Option<CpuId> {
    let identity = |id| domain.vcpu(id).map(|vcpu| vcpu.arch.lapic.identity());
    let mut found = None;
    route(message, None, domain.config.max_vcpus, identity, |id| {
        found = found.or_else(|| domain.vcpu(id).map(|vcpu| vcpu.sched.cpu()));
    });
    found
}

/// `message` has reached `vcpu`.
fn arrive(vcpu: &Arc<Vcpu>, message: &Message) {
    let hv = hypervisor();
    match message.delivery {
        Delivery::Fixed | Delivery::LowestPriority => {
            if vcpu.arch.lapic.post(message.vector, message.trigger) {
                hv.notify(vcpu);
            }
        }
        Delivery::Nmi => {
            vcpu.arch.signals.nmi();
            hv.notify(vcpu);
        }
        Delivery::Init => {
            vcpu.arch.signals.init();
            hv.notify(vcpu);
        }
        Delivery::StartUp => super::start::start_up(hv, vcpu, message.vector),
        Delivery::Smi | Delivery::ExtInt | Delivery::Reserved => {}
    }
}
