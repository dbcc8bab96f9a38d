//! Runstate: the states' times, by call and by a registered area.
#![cfg_attr(freestanding, no_std, no_main)]

use core::mem::offset_of;
use guest::clock::MILLISECOND;
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

fn test() {
    let shared = Shared::map();
    let clock = shared.clock();
    let first = query();
    let start = clock.now();
    ensure_eq!(first.state, Runstate::RUNNING, "state");

    let port = events::bind_ipi(0).unwrap_or(0);
    let list = Page::new();
    list.write(0, port);
    let timeout = clock.now() + 50 * MILLISECOND;
    let mut arg = Poll { ports: list.handle(0), nr_ports: 1, timeout, ..Poll::default() };
    ensure_eq!(sched(SchedCmd::POLL, &mut arg), 0, "poll");
    clock.spin(20 * MILLISECOND);

    let second = query();
    let elapsed = clock.now() - start;
    let grown = sum(&second) - sum(&first);
    note!("{elapsed} ns passed, times grew by {grown} ns: {:?}", second.time);
    ensure!(grown <= elapsed + 10 * MILLISECOND, "times grew by {grown} ns in {elapsed} ns");
    ensure!(grown + 10 * MILLISECOND >= elapsed, "times grew by {grown} ns in {elapsed} ns");
    let blocked = second.time[Runstate::BLOCKED.0 as usize] - first.time[2];
    ensure!(blocked >= 40 * MILLISECOND, "blocked for {blocked} ns of 50 ms");
    let running = second.time[Runstate::RUNNING.0 as usize] - first.time[0];
    ensure!(running >= 10 * MILLISECOND, "running for {running} ns of 20 ms");
    registered(shared);
}

fn registered(shared: Shared) {
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

    let list = Page::new();
    list.write(0, events::bind_ipi(0).unwrap_or(0));
    let timeout = shared.clock().now() + 20 * MILLISECOND;
    let mut poll = Poll { ports: list.handle(0), nr_ports: 1, timeout, ..Poll::default() };
    ensure_eq!(sched(SchedCmd::POLL, &mut poll), 0, "poll");
    let second = read();
    ensure!(second.time[2] >= first.time[2] + 15 * MILLISECOND, "the area isn't kept up");
    let entry: u64 = page.read(OFFSET + offset_of!(RunstateInfo, state_entry_time));
    ensure!(entry & RUNSTATE_UPDATE == 0, "the update flag stays set");
    ensure!(page.is_filled(0, OFFSET, 0), "bytes before the area were written");
    ensure!(page.is_filled(OFFSET + 48, 4096, 0), "bytes behind the area were written");
}
