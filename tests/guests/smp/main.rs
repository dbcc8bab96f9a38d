//! Other CPUs: started by INIT and startup IPIs, notified by APIC and by event channel.
#![cfg_attr(freestanding, no_std, no_main)]

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use guest::acpi::{self, Cpu};
use guest::apic;
use guest::clock::{Clock, MILLISECOND};
use guest::cpu::{self, cpuid};
use guest::events::{self, Shared};
use guest::hypercall::{set_upcall_vector, vcpu_plain};
use guest::{ensure, ensure_eq, interrupts, note, report, smp};
use x86defs::apic::{DeliveryMode, Shorthand};
use xen_abi::arch_x86::cpuid::{FIRST_LEAF, LEAF_HVM};
use xen_abi::event_channel::PortStatus;
use xen_abi::vcpu::VcpuCmd;

guest::guest!("smp", test);

const UPCALL: u8 = 0x44;
const IPI: u8 = 0x54;

static VCPU_IDS: [AtomicU32; 16] = [const { AtomicU32::new(u32::MAX) }; 16];
static APIC_IDS: [AtomicU32; 16] = [const { AtomicU32::new(u32::MAX) }; 16];
static TICKS: [AtomicU64; 16] = [const { AtomicU64::new(0) }; 16];
static STOP: AtomicU32 = AtomicU32::new(0);

/// What an AP does: says who it is, takes interrupts, counts.
fn ap(index: u64) {
    let index = index as usize;
    VCPU_IDS[index].store(cpuid(FIRST_LEAF + LEAF_HVM, 0).ebx, Ordering::SeqCst);
    APIC_IDS[index].store(apic::id(), Ordering::SeqCst);
    cpu::enable_interrupts();
    while STOP.load(Ordering::SeqCst) == 0 {
        TICKS[index].fetch_add(1, Ordering::SeqCst);
        core::hint::spin_loop();
    }
    cpu::disable_interrupts();
}

fn test() {
    let shared = Shared::map();
    let clock = shared.clock();
    let Some((madt, length)) = acpi::table(b"APIC") else {
        report::failure(format_args!("there is no MADT"));
    };
    ensure!(acpi::checksum(madt, length), "the MADT's checksum is wrong");
    ensure!(guest::memory::peek::<u32>(madt + 40) & 1 == 0, "the MADT claims an 8259");
    let cpus = acpi::cpus(madt, length).count();
    note!("{cpus} CPUs");
    apic::enable();
    let first = acpi::cpus(madt, length).next();
    ensure_eq!(first, Some(Cpu { uid: 0, apic_id: 0 }), "the first CPU");
    if cpus == 1 {
        report::skip(format_args!("there is one CPU only"));
    }
    start_all(madt, length, clock);
    all_run_at_once(cpus, clock);
    apic_ipis(cpus, clock);
    for cpu in acpi::cpus(madt, length).skip(1) {
        event_to(cpu.uid, shared);
    }
    STOP.store(1, Ordering::SeqCst);
}

fn start_all(madt: u64, length: u64, clock: Clock) {
    for (index, cpu) in acpi::cpus(madt, length).enumerate().skip(1) {
        ensure!(vcpu_plain(VcpuCmd::IS_UP, cpu.uid) == 0, "vCPU {} is up already", cpu.uid);
        let started = smp::start(cpu.apic_id, index as u64, ap, clock);
        ensure!(started, "the CPU with APIC id {} didn't start", cpu.apic_id);
        let seen = || APIC_IDS[index].load(Ordering::SeqCst) != u32::MAX;
        ensure!(clock.wait_until(5000, seen), "the CPU {index} doesn't run on");
        clock.spin(MILLISECOND);
        ensure_eq!(VCPU_IDS[index].load(Ordering::SeqCst), cpu.uid, "vCPU id of CPU {index}");
        ensure_eq!(APIC_IDS[index].load(Ordering::SeqCst), cpu.apic_id, "its APIC id");
        ensure_eq!(vcpu_plain(VcpuCmd::IS_UP, cpu.uid), 1, "is_up of vCPU {}", cpu.uid);
    }
}

fn all_run_at_once(cpus: usize, clock: Clock) {
    let ticks = |index: usize| TICKS[index].load(Ordering::SeqCst);
    for index in 1..cpus {
        let before = ticks(index);
        ensure!(clock.wait_until(5000, || ticks(index) > before), "CPU {index} stands still");
    }
}

fn apic_ipis(cpus: usize, clock: Clock) {
    for (index, id) in APIC_IDS.iter().enumerate().take(cpus).skip(1) {
        let before = interrupts::count(IPI);
        let id = id.load(Ordering::SeqCst);
        apic::send(DeliveryMode::FIXED, IPI, Shorthand::NONE, id);
        let came = clock.wait_until(5000, || interrupts::count(IPI) > before);
        ensure!(came, "no IPI came to CPU {index}");
    }
    let before = interrupts::count(IPI);
    let others = cpus as u64 - 1;
    apic::send(DeliveryMode::FIXED, IPI, Shorthand::OTHERS, 0);
    let came = clock.wait_until(5000, || interrupts::count(IPI) >= before + others);
    ensure!(came, "{} of {others} CPUs got it", interrupts::count(IPI) - before);
}

/// An IPI event channel interrupts the vCPU that it is bound to.
fn event_to(vcpu: u32, shared: Shared) {
    ensure_eq!(set_upcall_vector(vcpu, UPCALL), 0, "set_evtchn_upcall_vector");
    let port = events::bind_ipi(vcpu).unwrap_or(0);
    ensure!(port != 0, "bind_ipi to vCPU {vcpu} failed");
    let status = events::status(port);
    ensure_eq!((status.status, status.vcpu), (PortStatus::IPI, vcpu), "the port");
    shared.set_masked(port, false);
    let before = interrupts::count(UPCALL);
    ensure_eq!(events::send(port), 0, "send");
    let came = shared.clock().wait_until(5000, || interrupts::count(UPCALL) > before);
    ensure!(came, "no upcall came to vCPU {vcpu}");
    ensure!(shared.take(port), "the event isn't pending");
    ensure_eq!(events::close(port), 0, "close");
}
