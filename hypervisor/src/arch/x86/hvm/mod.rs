//! Guests: entering guest mode, and acting on what makes them leave it.
//!
//! [`run`] is each pCPU's loop; [`handle`] is the table of what an exit leads to. [`backend`] is
//! the seam to the hardware's extension ([`svm`]).

mod backend;
mod bus;
mod cpuid;
mod domain;
mod dump;
pub mod exit;
mod fpu;
mod guest;
mod handle;
mod hidden;
mod lapic;
mod length_cache;
pub mod message;
mod mmio;
mod msrs;
mod ports;
mod regs;
pub mod reset;
mod run;
mod saved;
mod second_stage;
mod start;
mod state;
mod svm;
mod vcpu;
pub mod vpci;

pub use cpuid::{guest_max as guest_max_policy, host as host_cpu_policy};
pub use domain::DomainArch;
pub use dump::log as log_registers;
pub use lapic::timer_expired as lapic_timer_expired;
pub use run::{flush_second_stage, preemption_pending, run, serve, timer_fired};
pub use saved::{debug_context, load as load_state, save as save_state};
pub use start::initialise;
pub use svm::SvmCpu;
pub use vcpu::VcpuArch;

use crate::platform::{Vcpu, hypervisor};

/// Whether an interrupt waits that the vCPU would take if it ran with interrupts on.
pub fn has_interrupt(vcpu: &Vcpu) -> bool {
    let lapic = &vcpu.arch.lapic;
    if vcpu.arch.upcall.is_pending() {
        return true;
    }
    if lapic.may_have_pending() && lapic.with(|lapic| lapic.highest_deliverable()).is_some() {
        return true;
    }
    let hv = hypervisor();
    vcpu.domain().is_some_and(|domain| hv.callback_pending(&domain, vcpu).is_some())
}
