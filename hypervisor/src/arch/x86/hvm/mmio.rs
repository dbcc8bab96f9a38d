//! Devices that a guest reaches by memory addresses: local APIC, IO-APICs, PCI configuration
//! space, MSI-X tables. What nobody claims reads as ones.

use alloc::sync::Arc;

use hv_core::types::Gpa;

use super::{lapic, vpci};
use crate::arch::time;
use crate::irq;
use crate::platform::{Domain, Vcpu, hypervisor};

/// Reads from a device.
pub fn read(domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, gpa: Gpa, into: &mut [u8]) {
    let value = load(domain, vcpu, gpa, into.len() as u8);
    for (to, from) in into.iter_mut().zip(value.to_le_bytes()) {
        *to = from;
    }
}

/// Writes to a device.
pub fn write(domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, gpa: Gpa, from: &[u8]) {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(from) {
        *to = *from;
    }
    store(domain, vcpu, gpa, from.len() as u8, u64::from_le_bytes(bytes));
}

fn load(domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, gpa: Gpa, len: u8) -> u64 {
    if let Some(offset) = lapic_offset(vcpu, gpa) {
        return vcpu.arch.lapic.with(|lapic| lapic.mmio_read(offset, len, time::now));
    }
    if let Some(io_apics) = &domain.arch.io_apics
        && let Some((io_apic, offset)) = io_apics.lock().at(gpa)
    {
        return io_apic.read(offset, len);
    }
    vpci::mmio_read(domain, gpa, len).unwrap_or(u64::MAX)
}

fn store(domain: &Arc<Domain>, vcpu: &Arc<Vcpu>, gpa: Gpa, len: u8, value: u64) {
    if let Some(offset) = lapic_offset(vcpu, gpa) {
        let write =
            |lapic: &mut hv_x86::vlapic::Vlapic| lapic.mmio_write(offset, len, value, time::now);
        let effect = vcpu.arch.lapic.with(write);
        return lapic::apply(hypervisor(), domain, vcpu, effect);
    }
    if irq::io_apic_write(domain, gpa, len, value) {
        return;
    }
    vpci::mmio_write(domain, gpa, len, value);
}

/// The offset of `gpa` in the register page of the local APIC, where it has one.
fn lapic_offset(vcpu: &Vcpu, gpa: Gpa) -> Option<u16> {
    let base = vcpu.arch.lapic.with(|lapic| lapic.mmio_base())?;
    (gpa.gfn() == base.gfn()).then_some(gpa.offset() as u16)
}
