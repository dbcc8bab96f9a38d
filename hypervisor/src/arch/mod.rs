//! What an architecture supplies to the rest of the binary, by name.

mod x86;

pub use x86::apic::{ioapic, local as local_apic};
pub use x86::{cpu, hvm, interrupts, port, reset, time};
