//! Runstate: the states' times, by call and by a registered area.
#![cfg_attr(freestanding, no_std, no_main)]

use core::mem::offset_of;
use guest::clock::{Clock, MICROSECOND, MILLISECOND};
use guest::events::{self, Shared};
use guest::hypercall::{self, sched};
use guest::memory::Page;
use guest::{ensure, ensure_eq, note};
use xen_abi::sched::{Poll, SchedCmd};
use xen_abi::vcpu::{RUNSTATE_UPDATE, RegisterArea, Runstate, RunstateInfo, VcpuCmd};
use xen_abi::xen::{VmAssistCmd, VmAssistType};

guest::guest!("runstate", test);

const OFFSET: usize = 0x80;

fn query() -> RunstateInfo {
    let mut info = RunstateInfo::default();
    let result = hypercall::vcpu(VcpuCmd::GET_RUNSTATE_INFO, 0, &mut info);
    ensure_eq!(result, 0, "get_runstate_info");
    info
}

fn sum(info: &RunstateInfo) -> u64 {
    info.time.iter().sum()
}

/// Sleeps until the time in state "blocked" has grown by most of that. A busy machine may stand
/// still for so long that the timeout is over before the hypervisor is asked to wait for it: then
/// nothing is said about the hypervisor, and it is asked again.
fn block(clock: Clock, blocked: impl Fn() -> u64, what: &str) {
    const SLEEP: u64 = 20 * MILLISECOND;
    let list = Page::new();
    list.write(0, events::bind_ipi(0).unwrap_or(0));
    for _attempt in 0..50 {
        let before = blocked();
        let timeout = clock.now() + SLEEP;
        let mut poll = Poll { ports: list.handle(0), nr_ports: 1, timeout, ..Poll::default() };
        ensure_eq!(sched(SchedCmd::POLL, &mut poll), 0, "poll");
        if blocked() - before >= SLEEP * 3 / 4 {
            return;
        }
    }
    ensure!(false, "{what}: blocked doesn't grow by sleeping");
}

fn test() {
    let shared = Shared::map();
    let clock = shared.clock();
    let before_first = clock.now();
    let first = query();
    let after_first = clock.now();
    ensure_eq!(first.state, Runstate::RUNNING, "state");

    block(clock, || query().time[Runstate::BLOCKED.0 as usize], "by call");
    let running = query().time[Runstate::RUNNING.0 as usize];
    clock.spin(20 * MILLISECOND);

    let before_second = clock.now();
    let second = query();
    let after_second = clock.now();
    let running = second.time[Runstate::RUNNING.0 as usize] - running;
    ensure!(running >= 10 * MILLISECOND, "running for {running} ns of 20 ms");
    let grown = sum(&second) - sum(&first);
    let (least, most) = (before_second - after_first, after_second - before_first);
    note!("{least} to {most} ns passed, times grew by {grown} ns: {:?}", second.time);
    // The clock that guests read is that of the times, but for rounding.
    ensure!(grown + MICROSECOND >= least, "times grew by {grown} ns in at least {least} ns");
    ensure!(grown <= most + MICROSECOND, "times grew by {grown} ns in at most {most} ns");
    registered(clock);
}

fn registered(clock: Clock) {
    let page = Page::new();
    let assist = VmAssistType::RUNSTATE_UPDATE_FLAG.0;
    let flag = hypercall::vm_assist(VmAssistCmd::ENABLE.0, assist);
    ensure_eq!(flag, 0, "vm_assist");
    let mut arg = RegisterArea { addr: page.handle(OFFSET).0 };
    let result = hypercall::vcpu(VcpuCmd::REGISTER_RUNSTATE_MEMORY_AREA, 0, &mut arg);
    ensure_eq!(result, 0, "register_runstate_memory_area");
    let read = || page.read::<RunstateInfo>(OFFSET);
    let first = read();
    ensure_eq!(first.state, Runstate::RUNNING, "state in the area");
    ensure!(sum(&first) > 0, "the area is empty");

    block(clock, || read().time[Runstate::BLOCKED.0 as usize], "the area");
    let entry: u64 = page.read(OFFSET + offset_of!(RunstateInfo, state_entry_time));
    ensure!(entry & RUNSTATE_UPDATE == 0, "the update flag stays set");
    ensure!(page.is_filled(0, OFFSET, 0), "bytes before the area were written");
    ensure!(page.is_filled(OFFSET + 48, 4096, 0), "bytes behind the area were written");
}
