//! Registering a vCPU's own `vcpu_info`.
#![cfg_attr(freestanding, no_std, no_main)]

use core::mem::offset_of;
use guest::clock::Clock;
use guest::events::{self, Shared};
use guest::hypercall;
use guest::memory::Page;
use guest::{ensure, ensure_eq};
use xen_abi::vcpu::{RegisterVcpuInfo, VcpuCmd};
use xen_abi::xen::VcpuInfo;

guest::guest!("vcpu_info", test);

const OFFSET: usize = 0x140;

fn register(vcpu: u32, page: Page, offset: u32) -> i64 {
    let mut arg = RegisterVcpuInfo { mfn: page.gfn(), offset, rsvd: 0 };
    hypercall::vcpu(VcpuCmd::REGISTER_VCPU_INFO, vcpu, &mut arg)
}

fn test() {
    let shared = Shared::map();
    let page = Page::new();
    ensure!(register(0, page, 4096 - 32) < 0, "an area that leaves its page was accepted");
    ensure!(register(0, page, 0x141) < 0, "an unaligned area was accepted");
    ensure!(register(9999, page, 0) < 0, "a vCPU that doesn't exist was accepted");

    let port = events::bind_ipi(0).unwrap_or(0);
    ensure!(port != 0, "bind_ipi failed");
    ensure_eq!(register(0, page, OFFSET as u32), 0, "register_vcpu_info");
    let pending: u8 = page.read(OFFSET + offset_of!(VcpuInfo, evtchn_upcall_pending));
    ensure!(pending != 0, "no upcall is pending after registration: events could be lost");
    let selector: u64 = page.read(OFFSET + offset_of!(VcpuInfo, evtchn_pending_sel));
    ensure_eq!(selector, u64::MAX, "selector after registration");
    ensure!(register(0, Page::new(), 0) < 0, "a second registration was accepted");

    let clock = Clock::in_vcpu_info(page, OFFSET);
    let now = clock.now();
    ensure!(now > 0 && clock.now() >= now, "the clock at the new place doesn't run");
    let old = shared.clock().parameters().tsc_to_system_mul;
    ensure_eq!(clock.parameters().tsc_to_system_mul, old, "multiplier at the new place");

    page.write(OFFSET + offset_of!(VcpuInfo, evtchn_upcall_pending), 0_u8);
    page.write(OFFSET + offset_of!(VcpuInfo, evtchn_pending_sel), 0_u64);
    shared.set_masked(port, false);
    ensure_eq!(events::send(port), 0, "send");
    let selector: u64 = page.read(OFFSET + offset_of!(VcpuInfo, evtchn_pending_sel));
    ensure_eq!(selector, 1 << (port / 64), "selector after an event");
    ensure!(shared.take(port), "the event isn't pending");
}
