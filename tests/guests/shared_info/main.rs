//! The shared info page and paravirtual time.
#![cfg_attr(freestanding, no_std, no_main)]

use core::mem::offset_of;
use guest::clock::{Clock, MICROSECOND, MILLISECOND, tsc_khz};
use guest::cpu::cpuid;
use guest::events::Shared;
use guest::hypercall::{add_to_physmap, hvm};
use guest::memory::Page;
use guest::{cpu, ensure, ensure_eq, note};
use xen_abi::arch_x86::cpuid::{FIRST_LEAF, LEAF_TIME};
use xen_abi::hvm::hvm_op::{GetTime, HvmCmd};
use xen_abi::memory::MapSpace;
use xen_abi::xen::SharedInfo;

guest::guest!("shared_info", test);

fn test() {
    let shared = Shared::map();
    clock(shared.clock());
    wall_clock(shared.0);
    moves(shared.0);
}

fn clock(clock: Clock) {
    let info = clock.parameters();
    note!("{info:?}");
    ensure!(info.tsc_to_system_mul != 0, "the TSC multiplier is zero");
    ensure!(info.tsc_timestamp <= cpu::tsc(), "the timestamp lies in the future");
    let leaf = u64::from(cpuid(FIRST_LEAF + LEAF_TIME, 0).ecx);
    let khz = tsc_khz(&info);
    ensure!(khz.abs_diff(leaf) * 100 < leaf, "{khz} kHz by the clock, {leaf} kHz by CPUID");

    let mut last = clock.now();
    let start = last;
    for _ in 0..100_000 {
        let now = clock.now();
        ensure!(now >= last, "time goes back from {last} to {now}");
        last = now;
    }
    ensure!(last > start, "time stands still at {start}");

    let mut time = GetTime::default();
    let before = clock.now();
    ensure_eq!(hvm(HvmCmd::GET_TIME, &mut time), 0, "get_time");
    let (time, after) = (time.now, clock.now());
    // The same clock, but for rounding.
    let possible = before - MICROSECOND..=after + MICROSECOND;
    ensure!(possible.contains(&time), "get_time {time}, clock before {before}, after {after}");

    let before = cpu::tsc();
    clock.spin(20 * MILLISECOND);
    let ticks = cpu::tsc() - before;
    ensure!(ticks >= leaf * 19, "20 ms took {ticks} ticks at {leaf} kHz");
}

fn wall_clock(page: Page) {
    const YEAR_2024: u64 = 1_704_067_200;
    const YEAR_2100: u64 = 4_102_444_800;
    let version: u32 = page.read(offset_of!(SharedInfo, wc_version));
    ensure!(version.is_multiple_of(2), "the wall clock is being written");
    let low: u32 = page.read(offset_of!(SharedInfo, wc_sec));
    let high: u32 = page.read(offset_of!(SharedInfo, wc_sec_hi));
    let nanoseconds: u32 = page.read(offset_of!(SharedInfo, wc_nsec));
    let seconds = u64::from(high) << 32 | u64::from(low);
    note!("wall clock at time 0: {seconds}.{nanoseconds:09}");
    ensure!((YEAR_2024..YEAR_2100).contains(&seconds), "the wall clock says {seconds}");
    ensure!(nanoseconds < 1_000_000_000, "{nanoseconds} nanoseconds");
}

/// Mapped at another place, it is the same page and is gone from the first one.
fn moves(first: Page) {
    let second = Page::new();
    first.write(offset_of!(SharedInfo, evtchn_mask), 0x1234_5678_u64);
    ensure_eq!(add_to_physmap(MapSpace::SHARED_INFO, 0, second.gfn()), 0, "mapping it again");
    let mask: u64 = second.read(offset_of!(SharedInfo, evtchn_mask));
    ensure_eq!(mask, 0x1234_5678, "the mask at the new place");
    second.write(offset_of!(SharedInfo, evtchn_mask), 0x8765_u64);
    let stale: u64 = first.read(offset_of!(SharedInfo, evtchn_mask));
    ensure!(stale != 0x8765, "the page is in two places");
    ensure!(Clock::in_shared_info(second, 0).now() > 0, "the clock stopped");
}
