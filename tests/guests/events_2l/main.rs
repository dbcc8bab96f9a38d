//! Event channels with the 2-level delivery interface: every kind of port, masks, and upcalls.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::events::{self, Shared, alloc_unbound, bind_ipi, bind_loopback, bind_virq, send};
use guest::hypercall::set_upcall_vector;
use guest::{Errno, apic, cpu, ensure, ensure_eq, interrupts};
use xen_abi::event_channel::PortStatus;
use xen_abi::xen::{DOMID_SELF, Virq};

guest::guest!("events_2l", test);

const UPCALL: u8 = 0x41;

fn test() {
    let shared = Shared::map();
    interdomain(shared);
    ipi_and_masks(shared);
    virqs();
    wrong_ports();
    upcalls(shared);
    many_ports();
}

fn interdomain(shared: Shared) {
    let unbound = alloc_unbound(DOMID_SELF);
    let status = events::status(unbound);
    ensure_eq!(status.status, PortStatus::UNBOUND, "a new port");
    ensure_eq!(status.u[0] as u16, 0, "who may bind to it");

    let bound = bind_loopback(unbound);
    ensure!(bound != unbound, "both ends are port {bound}");
    let status = events::status(unbound);
    ensure_eq!(status.status, PortStatus::INTERDOMAIN, "a bound port");
    ensure_eq!((status.u[0] as u16, status.u[1]), (0, bound), "its other end");
    let _ = (shared.take(bound), shared.take(unbound));

    ensure_eq!(send(unbound), 0, "send");
    ensure!(shared.take(bound), "the event didn't reach the other end");
    ensure!(!shared.take(unbound), "the event came back to the sender");
    ensure_eq!(send(bound), 0, "send");
    ensure!(shared.take(unbound), "the event didn't reach the first end");

    ensure_eq!(events::close(bound), 0, "close");
    ensure_eq!(events::status(unbound).status, PortStatus::UNBOUND, "the end that is left");
    ensure_eq!(events::status(bound).status, PortStatus::CLOSED, "the closed port");
    ensure_eq!(events::close(unbound), 0, "close");
}

fn ipi_and_masks(shared: Shared) {
    let port = bind_ipi(0).unwrap_or(0);
    ensure!(port != 0, "bind_ipi failed");
    let status = events::status(port);
    ensure_eq!((status.status, status.vcpu), (PortStatus::IPI, 0), "an IPI port");

    shared.set_masked(port, true);
    let _ = (shared.take(port), shared.take_upcall());
    ensure_eq!(send(port), 0, "send");
    ensure!(shared.is_pending(port), "a masked port isn't pending");
    ensure_eq!(shared.take_upcall(), (false, 0), "upcall for a masked port");
    ensure_eq!(events::unmask(port), 0, "unmask");
    ensure_eq!(shared.take_upcall(), (true, 1 << (port / 64)), "upcall after unmasking");
    ensure!(shared.take(port), "the event got lost");

    ensure_eq!(send(port), 0, "send");
    ensure_eq!(shared.take_upcall(), (true, 1 << (port / 64)), "upcall of an unmasked port");
    ensure_eq!(send(port), 0, "sending again");
    ensure_eq!(shared.take_upcall(), (false, 0), "upcall for an event that is pending already");
    ensure!(shared.take(port) && !shared.take(port), "the events weren't merged");
    ensure!(bind_ipi(9999).is_err(), "an IPI to a vCPU that doesn't exist");
    ensure_eq!(events::close(port), 0, "close");
}

fn virqs() {
    let debug = bind_virq(Virq::DEBUG, 0).unwrap_or(0);
    ensure!(debug != 0, "binding VIRQ_DEBUG failed");
    let status = events::status(debug);
    ensure_eq!((status.status, status.u[0]), (PortStatus::VIRQ, Virq::DEBUG.0), "a VIRQ port");
    ensure_eq!(bind_virq(Virq::DEBUG, 0), Err(Errno::EEXIST.negated()), "binding it again");
    ensure!(bind_virq(Virq(24), 0).is_err(), "VIRQ 24 doesn't exist");
    ensure!(bind_virq(Virq::DEBUG, 9999).is_err(), "vCPU 9999 doesn't exist");
    ensure!(send(debug) < 0, "a VIRQ port can't be sent to");
    ensure_eq!(events::close(debug), 0, "close");
    let again = bind_virq(Virq::DEBUG, 0);
    ensure!(again.is_ok(), "after close: {again:?}");
}

fn wrong_ports() {
    for port in [0, 4095, 4096, 1 << 17, u32::MAX] {
        ensure!(send(port) < 0, "send to port {port}");
        ensure!(events::close(port) < 0, "close of port {port}");
        ensure!(events::bind_vcpu(port, 0) < 0, "bind_vcpu of port {port}");
    }
    let port = alloc_unbound(DOMID_SELF);
    ensure!(events::bind_vcpu(port, 9999) < 0, "bind_vcpu to a vCPU that doesn't exist");
    ensure_eq!(events::bind_vcpu(port, 0), 0, "bind_vcpu");
    ensure_eq!(events::close(port), 0, "close");
}

/// An event interrupts through the local APIC at the vector that the guest chose.
fn upcalls(shared: Shared) {
    apic::enable();
    ensure!(set_upcall_vector(0, 5) < 0, "a vector below 16 was accepted");
    ensure_eq!(set_upcall_vector(0, UPCALL), 0, "set_evtchn_upcall_vector");
    let port = bind_ipi(0).unwrap_or(0);
    shared.set_masked(port, false);
    let _ = (shared.take(port), shared.take_upcall());
    for round in 0..10 {
        let before = interrupts::count(UPCALL);
        ensure_eq!(send(port), 0, "send");
        let came = events::wait_for_vector(shared.clock(), UPCALL, before, 1000);
        ensure!(came, "no upcall in round {round}");
        ensure!(shared.take_upcall().0, "the upcall wasn't pending");
        ensure!(shared.take(port), "the event isn't pending");
    }
    // HLT ends when an event comes, even one that came just before.
    let before = interrupts::count(UPCALL);
    ensure_eq!(send(port), 0, "send");
    cpu::wait_for_interrupt();
    ensure_eq!(interrupts::count(UPCALL), before + 1, "upcalls that ended HLT");
    let _ = (shared.take_upcall(), shared.take(port));
    ensure_eq!(events::close(port), 0, "close");
}

/// Ports are used again, and many can be open.
fn many_ports() {
    let mut ports = [0_u32; 200];
    for port in &mut ports {
        *port = alloc_unbound(DOMID_SELF);
        ensure!(*port != 0 && *port < 4096, "port {port}");
    }
    for (index, port) in ports.iter().enumerate() {
        ensure!(!ports[..index].contains(port), "port {port} was given twice");
    }
    for port in ports {
        ensure_eq!(events::close(port), 0, "close of port {port}");
    }
}
