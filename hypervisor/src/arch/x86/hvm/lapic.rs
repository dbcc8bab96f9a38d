//! The local APIC's dealings with the rest: messages, timer, ends of interrupts.

use alloc::sync::Arc;

use hv_core::timer::TimerKind;
use hv_core::types::Nanos;
use hv_x86::vlapic::{Effect, timer::Deadline};

use super::message;
use crate::arch::time;
use crate::irq;
use crate::platform::{Domain, Hypervisor, Vcpu};

/// The architecture's only timer of a vCPU.
const LAPIC_TIMER: TimerKind = TimerKind::Arch(0);

/// Does what a write to the local APIC of `vcpu` asked for.
pub fn apply(hv: &Hypervisor, domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, effect: Effect) {
    match effect {
        Effect::None => {}
        Effect::Eoi(vector) => irq::end_of_interrupt(domain, vector),
        Effect::Ipi(ipi) => message::deliver(domain, Some(vcpu.id), &ipi),
        Effect::Timer(Some(deadline)) => hv.arm_timer(vcpu, LAPIC_TIMER, system_time(deadline)),
        Effect::Timer(None) => {
            hv.cancel_timer(vcpu, LAPIC_TIMER);
        }
    }
}

/// The timer's deadline has come.
pub fn timer_expired(hv: &Hypervisor, vcpu: &Arc<Vcpu>) {
    let next = vcpu.arch.lapic.with(|lapic| lapic.expire_timer(time::now(), time::read_tsc()));
    if let Some(deadline) = next {
        hv.arm_timer(vcpu, LAPIC_TIMER, system_time(deadline));
    }
    hv.notify(vcpu);
}

/// Programs the timer as the local APIC has it, after that was restored.
pub fn arm_timer(hv: &Hypervisor, vcpu: &Arc<Vcpu>) {
    match vcpu.arch.lapic.with(|lapic| lapic.deadline()) {
        Some(deadline) => hv.arm_timer(vcpu, LAPIC_TIMER, system_time(deadline)),
        None => {
            hv.cancel_timer(vcpu, LAPIC_TIMER);
        }
    }
}

/// Guests have the host's TSC.
fn system_time(deadline: Deadline) -> Nanos {
    match deadline {
        Deadline::At(at) => at,
        Deadline::Tsc(tsc) => time::nanos_at(tsc),
    }
}
