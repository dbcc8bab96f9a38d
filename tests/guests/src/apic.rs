//! The local APIC, in x2APIC mode once [`enable`]d and by its page before.

use crate::cpu::{read_msr, write_msr};
use crate::report;
use core::sync::atomic::{AtomicBool, Ordering};
use x86defs::apic::{DeliveryMode, Icr, Register, Shorthand, Svr};
use x86defs::msr::{ApicBase, Msr};

/// The spurious vector.
pub const SPURIOUS: u8 = 0xff;

static X2APIC: AtomicBool = AtomicBool::new(false);

/// Switches this CPU's local APIC on, in x2APIC mode.
pub fn enable() {
    let base = read_msr(Msr::APIC_BASE.0).unwrap_or_else(|fault| {
        report::failure(format_args!("reading APIC_BASE raised {fault:?}"));
    });
    // x2APIC mode is entered from xAPIC mode.
    for bits in [ApicBase::ENABLE, ApicBase::ENABLE | ApicBase::X2APIC] {
        if let Err(fault) = write_msr(Msr::APIC_BASE.0, base | bits.0) {
            report::failure(format_args!("switching to x2APIC mode raised {fault:?}"));
        }
    }
    X2APIC.store(true, Ordering::SeqCst);
    write(Register::SVR, u64::from(Svr::ENABLE.0) | u64::from(SPURIOUS));
    write(Register::TPR, 0);
}

/// Reads a register.
#[must_use]
pub fn read(register: Register) -> u64 {
    read_msr(register.x2apic_msr()).unwrap_or_else(|fault| {
        report::failure(format_args!("reading APIC register {register:x?} raised {fault:?}"));
    })
}

/// Writes a register.
pub fn write(register: Register, value: u64) {
    if let Err(fault) = write_msr(register.x2apic_msr(), value) {
        report::failure(format_args!(
            "writing {value:#x} to APIC register {register:x?} raised {fault:?}"
        ));
    }
}

/// Ends the interrupt with the highest priority.
pub(crate) fn end_of_interrupt() {
    if X2APIC.load(Ordering::SeqCst) {
        write(Register::EOI, 0);
    }
}

/// This CPU's id.
#[must_use]
pub fn id() -> u32 {
    read(Register::ID) as u32
}

/// Sends a command to a CPU, or to the shorthand's.
pub fn send(mode: DeliveryMode, vector: u8, shorthand: Shorthand, destination: u32) {
    let command = Icr::new(mode, vector, shorthand).0;
    write(Register::ICR_LOW, u64::from(destination) << 32 | u64::from(command));
}
