//! A vCPU's timers: single-shot, periodic, and the older `set_timer_op`.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::clock::MILLISECOND;
use guest::events::{self, Shared};
use guest::hypercall::{self, set_timer, vcpu_plain};
use guest::{Errno, ensure, ensure_eq, report};
use xen_abi::vcpu::{SSHOTTMR_FUTURE, SetPeriodicTimer, SetSingleshotTimer, VcpuCmd};
use xen_abi::xen::Virq;

guest::guest!("timer", test);

fn singleshot(timeout_abs_ns: u64, flags: u32) -> i64 {
    let mut arg = SetSingleshotTimer { timeout_abs_ns, flags, ..Default::default() };
    hypercall::vcpu(VcpuCmd::SET_SINGLESHOT_TIMER, 0, &mut arg)
}

fn test() {
    let shared = Shared::map();
    let clock = shared.clock();
    let port = events::bind_virq(Virq::TIMER, 0).unwrap_or_else(|error| {
        report::failure(format_args!("binding VIRQ_TIMER returned {error}"));
    });
    ensure!(events::bind_virq(Virq::TIMER, 0).is_err(), "VIRQ_TIMER was bound twice");
    shared.set_masked(port, false);
    ensure_eq!(vcpu_plain(VcpuCmd::STOP_PERIODIC_TIMER, 0), 0, "stop_periodic_timer");
    let _ = shared.take(port);

    let due = clock.now() + 50 * MILLISECOND;
    ensure_eq!(singleshot(due, 0), 0, "set_singleshot_timer");
    ensure!(shared.wait(port, 5000), "the single-shot timer didn't fire");
    let now = clock.now();
    ensure!(now >= due, "the timer fired {} ns early", due - now);
    clock.spin(20 * MILLISECOND);
    ensure!(!shared.take(port), "the single-shot timer fired twice");

    ensure_eq!(singleshot(clock.now().saturating_sub(MILLISECOND), 0), 0, "a time in the past");
    ensure!(shared.wait(port, 5000), "a timer in the past didn't fire");
    let past = singleshot(1, SSHOTTMR_FUTURE);
    ensure!(past == Errno::ETIME.negated() || past == 0, "a past time with FUTURE: {past}");
    let _ = shared.wait(port, 20);

    ensure_eq!(singleshot(clock.now() + 500 * MILLISECOND, 0), 0, "set_singleshot_timer");
    ensure_eq!(vcpu_plain(VcpuCmd::STOP_SINGLESHOT_TIMER, 0), 0, "stop_singleshot_timer");
    ensure!(!shared.wait(port, 600), "a stopped timer fired");

    ensure_eq!(set_timer(clock.now() + 5 * MILLISECOND), 0, "set_timer_op");
    ensure!(shared.wait(port, 5000), "set_timer_op's timer didn't fire");

    periodic(shared, port);
    ensure!(singleshot(due, 0) == 0, "the timer still works");
    let other = hypercall::vcpu_plain(VcpuCmd::STOP_SINGLESHOT_TIMER, 9999);
    ensure!(other < 0, "a vCPU that doesn't exist was accepted");
}

fn periodic(shared: Shared, port: u32) {
    let clock = shared.clock();
    let start = clock.now();
    let mut arg = SetPeriodicTimer { period_ns: 10 * MILLISECOND };
    let result = hypercall::vcpu(VcpuCmd::SET_PERIODIC_TIMER, 0, &mut arg);
    if result == Errno::ENOSYS.negated() {
        guest::note!("there are no periodic timers");
        return;
    }
    ensure_eq!(result, 0, "set_periodic_timer");
    for tick in 0..5 {
        ensure!(shared.wait(port, 5000), "tick {tick} of the periodic timer didn't come");
    }
    let elapsed = clock.now() - start;
    ensure!(elapsed >= 49 * MILLISECOND, "5 ticks of 10 ms took {elapsed} ns");
    ensure_eq!(vcpu_plain(VcpuCmd::STOP_PERIODIC_TIMER, 0), 0, "stop_periodic_timer");
    let _ = shared.take(port);
    ensure!(!shared.wait(port, 50), "the stopped periodic timer fired");
    let mut arg = SetPeriodicTimer { period_ns: 1000 };
    let result = hypercall::vcpu(VcpuCmd::SET_PERIODIC_TIMER, 0, &mut arg);
    ensure_eq!(result, Errno::EINVAL.negated(), "a period of 1 microsecond");
}
