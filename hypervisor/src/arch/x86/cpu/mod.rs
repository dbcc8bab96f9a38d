//! The processors: their tables, their exceptions, their own data, their sleep.

mod backtrace;
mod control;
mod descriptors;
mod features;
mod fixup;
mod idt;
pub mod msr;
mod percpu;
mod smp;
mod spare;
mod stop;
mod trap;

use hv_core::types::CpuId;

use super::apic::{local, pic};
use super::interrupts;

pub use backtrace::{print_from as print_backtrace_from, print_here as print_backtrace};
pub use control::{Protections, enable};
pub use features::{cpuid, features, require};
pub use percpu::{all, boot_cpu, this_cpu};
pub use smp::init as start_others;
pub use spare::spare;
pub use stop::{print_all, stop, stop_others};
pub use trap::{ControlRegisters, TrapFrame};
pub use x86_64::instructions::interrupts::disable as disable_interrupts;

/// Gives the boot CPU what Rust code and error messages need. Called first of all.
pub fn init_boot_cpu() {
    descriptors::load_early();
    percpu::boot_cpu().install();
    idt::init();
    idt::load();
    pic::disable();
    local::reset_others();
}

/// Makes all other CPUs leave guest mode or their sleep.
pub fn kick_others() {
    for cpu in all().iter().filter(|cpu| cpu.id() != this_cpu().id()) {
        kick(cpu.id());
    }
}

/// Makes another CPU leave guest mode or its sleep.
pub fn kick(cpu: CpuId) {
    if let Some(cpu) = all().get(cpu.0 as usize) {
        local::send(cpu.apic_id(), interrupts::KICK);
    }
}
