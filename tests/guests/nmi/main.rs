//! Non-maskable interrupts: to itself, while interrupts are off, one after the other.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::events::Shared;
use guest::hypercall::vcpu_plain;
use guest::{apic, ensure, ensure_eq, interrupts};
use x86defs::apic::{DeliveryMode, Shorthand};
use x86defs::exception::Exception;
use xen_abi::vcpu::VcpuCmd;

guest::guest!("nmi", test);

const NMI: u8 = Exception::NMI.0;

fn test() {
    let clock = Shared::map().clock();
    apic::enable();
    for round in 0..3 {
        let before = interrupts::count(NMI);
        apic::send(DeliveryMode::NMI, 0, Shorthand::NONE, apic::id());
        let came = clock.wait_until(5000, || interrupts::count(NMI) > before);
        ensure!(came, "no NMI came by the local APIC in round {round}");
    }
    let before = interrupts::count(NMI);
    ensure_eq!(vcpu_plain(VcpuCmd::SEND_NMI, 0), 0, "send_nmi");
    let came = clock.wait_until(5000, || interrupts::count(NMI) > before);
    ensure!(came, "no NMI came by hypercall");
}
