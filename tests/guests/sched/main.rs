//! Scheduling operations: yield, poll, block, and wrong ones.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::clock::MILLISECOND;
use guest::events::{self, Shared};
use guest::hypercall::{self, sched, sched_plain, set_upcall_vector};
use guest::memory::Page;
use guest::{Errno, apic, ensure, ensure_eq, report};
use xen_abi::sched::{Poll, SchedCmd};
use xen_abi::vcpu::{SetSingleshotTimer, VcpuCmd};
use xen_abi::xen::Virq;

guest::guest!("sched", test);

const UPCALL: u8 = 0x43;

fn poll(list: Page, ports: &[u32], timeout: u64) -> i64 {
    for (index, port) in ports.iter().enumerate() {
        list.write(index * 4, *port);
    }
    let nr_ports = ports.len() as u32;
    let mut arg = Poll { ports: list.handle(0), nr_ports, timeout, ..Poll::default() };
    sched(SchedCmd::POLL, &mut arg)
}

fn test() {
    let shared = Shared::map();
    let clock = shared.clock();
    for _ in 0..100 {
        ensure_eq!(sched_plain(SchedCmd::YIELD), 0, "yield");
    }
    let list = Page::new();
    let port = events::bind_ipi(0).unwrap_or(0);
    let other = events::bind_ipi(0).unwrap_or(0);
    ensure!(port != 0 && other != 0, "bind_ipi failed");

    ensure_eq!(events::send(port), 0, "send");
    ensure_eq!(poll(list, &[other, port], 0), 0, "poll with a pending port");
    ensure!(shared.take(port), "poll took the event");

    let due = clock.now() + 20 * MILLISECOND;
    ensure_eq!(poll(list, &[port, other], due), 0, "poll with a timeout");
    ensure!(clock.now() >= due, "poll came back {} ns early", due - clock.now().min(due));
    ensure_eq!(poll(list, &[port], 1), 0, "poll with a timeout in the past");
    ensure!(poll(list, &[u32::MAX], due) < 0, "poll of a port that doesn't exist");
    let mut many = Poll { ports: list.handle(0), nr_ports: 129, timeout: 1, ..Poll::default() };
    ensure_eq!(sched(SchedCmd::POLL, &mut many), Errno::EINVAL.negated(), "poll of 129 ports");

    wakes(shared, list);
    let unknown = sched_plain(SchedCmd(99));
    ensure_eq!(unknown, Errno::ENOSYS.negated(), "unknown operation");
}

/// A timer's event ends a poll, and a block.
fn wakes(shared: Shared, list: Page) {
    let clock = shared.clock();
    let timer = events::bind_virq(Virq::TIMER, 0).unwrap_or_else(|error| {
        report::failure(format_args!("binding VIRQ_TIMER returned {error}"));
    });
    let arm = |milliseconds: u64| {
        let timeout_abs_ns = clock.now() + milliseconds * MILLISECOND;
        let mut arg = SetSingleshotTimer { timeout_abs_ns, ..SetSingleshotTimer::default() };
        let result = hypercall::vcpu(VcpuCmd::SET_SINGLESHOT_TIMER, 0, &mut arg);
        ensure_eq!(result, 0, "set_singleshot_timer");
        timeout_abs_ns
    };
    shared.set_masked(timer, true);
    let _ = shared.take(timer);
    let due = arm(10);
    ensure_eq!(poll(list, &[timer], clock.now() + 60_000 * MILLISECOND), 0, "poll for a timer");
    let now = clock.now();
    ensure!(shared.take(timer), "poll ended without the timer's event");
    ensure!(now >= due && now < due + 30_000 * MILLISECOND, "poll ended {} ns late", now - due);

    apic::enable();
    ensure_eq!(set_upcall_vector(0, UPCALL), 0, "set_evtchn_upcall_vector");
    let _ = shared.take_upcall();
    shared.set_masked(timer, false);
    guest::cpu::enable_interrupts();
    // An event that comes before, because the machine stands still, is none to wait for.
    let due = arm(500);
    ensure_eq!(sched_plain(SchedCmd::BLOCK), 0, "block");
    let now = clock.now();
    guest::cpu::disable_interrupts();
    ensure!(now >= due, "block ended {} ns early", due - now);
    ensure!(shared.take(timer), "block ended without the timer's event");
}
