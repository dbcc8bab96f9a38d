//! The debug keys that tell about domains.

use hv_core::event_channel::WaitingEvent;
use hv_core::platform::Platform;

use crate::arch::hvm;
use crate::console::debug_keys::register_report;
use crate::platform::{Domain, Machine, Vcpu, hypervisor};

/// Registers the keys.
pub fn init() {
    register_report(b'q', "print domains and their vCPUs", |_| for_each(domain));
    register_report(b'e', "print why vCPUs left guest mode, and how often", |_| for_each(exits));
    register_report(b'n', "print the events that guests haven't taken", |_| for_each(events));
    register_report(b'v', "print vCPUs' registers", |_| for_each(registers));
}

fn for_each(report: fn(&Domain)) {
    for domain in hypervisor().domains() {
        report(&domain);
    }
}

fn domain(domain: &Domain) {
    let memory = &domain.memory;
    let (tables, _) = memory.tables();
    let state = domain.shutdown_state();
    say!("  {}: {} frames, {tables} table frames, {state:?}", domain.id, memory.pages());
    let now = hypervisor().platform.now();
    for vcpu in domain.vcpus() {
        let sched = &vcpu.sched;
        let state = match (sched.is_up(), sched.running_on(), sched.is_blocked()) {
            (false, ..) => "down",
            (_, Some(_), _) => "running",
            (_, _, true) => "blocked",
            _ => "ready",
        };
        let ran_ms = vcpu.running_ns(now) / 1_000_000;
        say!("    v{}: {state}, CPU {}, ran {ran_ms} ms", vcpu.id.0, sched.cpu().0);
    }
}

fn exits(domain: &Domain) {
    for (reason, name) in Machine::EXIT_REASONS.iter().enumerate() {
        let total: u64 = domain.vcpus().map(|vcpu| vcpu.counters.exits(reason)).sum();
        if total != 0 {
            say!("  {}: {name} {total}", domain.id);
        }
    }
    for number in 0..hv_core::perf::HYPERCALLS {
        let total: u64 = domain.vcpus().map(|vcpu| vcpu.counters.hypercalls(number)).sum();
        if total != 0 {
            say!("  {}: hypercall {number} {total}", domain.id);
        }
    }
}

fn events(domain: &Domain) {
    let hypervisor = hypervisor();
    for vcpu in domain.vcpus().filter(|vcpu| hypervisor.upcall_is_pending(vcpu)) {
        say!("  {}v{}: an upcall is pending", domain.id, vcpu.id.0);
    }
    for WaitingEvent { port, info, masked } in hypervisor.waiting_events(domain) {
        let masked = if masked { ", masked" } else { "" };
        let (status, vcpu) = (info.status, info.vcpu.0);
        say!("  {}v{vcpu}: port {} is pending{masked}: {status:?}", domain.id, port.0);
    }
}

fn registers(domain: &Domain) {
    for vcpu in domain.vcpus() {
        vcpu_registers(domain, vcpu);
    }
}

fn vcpu_registers(domain: &Domain, vcpu: &Vcpu) {
    // The pCPU that runs it holds the lock: what it has now is not in memory.
    match vcpu.arch.context.try_lock() {
        Some(context) => hvm::log_registers(domain, vcpu, &context),
        None => say!(
            "{}v{} runs: its registers are in CPU {}",
            domain.id,
            vcpu.id.0,
            vcpu.sched.cpu().0
        ),
    }
}
