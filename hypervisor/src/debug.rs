//! The debug keys that need no domain: the machine's state, and its end.

use crate::arch::{self, cpu, interrupts, ioapic, time};
use crate::console::debug_keys::{register, register_report};
use crate::drivers::iommu;
use crate::mm;

/// Registers the keys.
pub fn init() {
    register_report(b'd', "print every CPU's registers and backtrace", |_| cpu::print_all());
    register_report(b'i', "print interrupts and IO-APICs", |_| interrupts_report());
    register_report(b'm', "print memory and time", |_| memory_report());
    register_report(b'o', "print what the IOMMU refused to devices", |_| iommu::report());
    register(b'%', "print this CPU's backtrace", |_| cpu::print_backtrace());
    register(b'C', "panic, to test what happens then", panic_on_purpose);
    register(b'R', "restart the machine", |_| arch::reset::reboot());
}

fn panic_on_purpose(_: u8) {
    panic!("debug key 'C'");
}

fn interrupts_report() {
    for vector in 0..=u8::MAX {
        let count = interrupts::count(vector);
        if count != 0 {
            say!("  vector {vector:#04x}: {count}");
        }
    }
    for io_apic in ioapic::all() {
        say!("  IO-APIC {} (GSI: entry):", io_apic.id);
        for gsi in io_apic.gsi_base..io_apic.gsi_base + io_apic.pins {
            let entry = ioapic::get(gsi).unwrap_or_default();
            if entry.0 != x86defs::ioapic::RedirectionEntry::MASKED.0 {
                say!("  {gsi:4}: {:016x}", entry.0);
            }
        }
    }
}

fn memory_report() {
    say!("  hypervisor: {} KiB", mm::frames::used_bytes() >> 10);
    say!("  {} ms after the start, TSC {} kHz", time::now().0 / 1_000_000, time::tsc_hz() / 1000);
}
