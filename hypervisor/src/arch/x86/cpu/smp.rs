//! Starting the other CPUs (APM volume 2, 15.27.8 and 16.5: INIT, then startup IPIs).
#![expect(unsafe_code, reason = "starts CPUs in code of ours")]

use alloc::boxed::Box;
use alloc::vec;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use hv_boot::page_table::MapError;
use hv_boot::ranges::Range;
use hv_core::types::{CpuId, FRAME_BYTES, Hpa};
use hv_loader::acpi::Madt;
use spin::Once;

use super::descriptors::{INTERRUPT_STACKS, Tables};
use super::percpu::{self, PerCpu, State};
use super::{control, idt};
use crate::arch::x86::apic::local;
use crate::arch::x86::time;
use crate::mm::{self, Stack, Trampoline, phys};

/// 64 KiB of stack for each CPU's normal work.
const STACK_ORDER: u32 = 4;
/// 16 KiB for each interrupt stack.
const INTERRUPT_STACK_ORDER: u32 = 2;
/// From INIT to the first startup IPI. 64-bit CPUs need no pause here; virtual ones are happier
/// with a short one.
const AFTER_INIT_NANOS: u64 = 200_000;
/// From one startup IPI to the next one.
const AFTER_STARTUP_NANOS: u64 = 200_000;
/// A CPU that has not reached our code by then is left alone.
const PATIENCE_NANOS: u64 = 3_000_000_000;

/// What the code at the trampoline's end reads; `trampoline.S` has the same order.
#[repr(C)]
struct Parameters {
    gdt_base: u32,
    cr3: u32,
    far_offset: u32,
    far_selector: u32,
    stack: u64,
    cpu: u64,
    entry: u64,
}

unsafe extern "C" {
    static trampoline_start: u8;
    static trampoline_long_mode: u8;
    static trampoline_gdt: u8;
    static trampoline_parameters: u8;
    static trampoline_end: u8;
}

static PROTECTIONS: Once<control::Protections> = Once::new();

/// Why a CPU was not started.
#[derive(Clone, Copy, Debug)]
enum StartError {
    NoMemory,
    NoAnswer,
}

/// Gives the boot CPU its final stacks for interrupts, and starts all others that the firmware
/// lists, up to `max` in all. `protections` are set on each.
pub fn init(madt: &Madt, max: Option<u32>, protections: control::Protections) {
    PROTECTIONS.call_once(|| protections);
    percpu::set_boot_apic_id(local::id());
    if load_tables(percpu::boot_cpu()).is_none() {
        fatal!("no memory for the boot CPU's stacks");
    }
    let boot = percpu::boot_cpu();
    let mut cpus = vec![boot];
    let others = madt.cpus.iter().filter(|cpu| cpu.enabled && cpu.apic_id != boot.apic_id());
    let others: Vec<u32> = others.map(|cpu| cpu.apic_id).collect();
    let max = max.unwrap_or(u32::MAX).max(1) as usize;
    if !others.is_empty() && max > 1 {
        start_all(&mut cpus, &others, max);
    }
    let milliseconds = time::now().0 / 1_000_000;
    info!("{} of {} CPUs run, {milliseconds} ms after the start", cpus.len(), others.len() + 1);
    percpu::set_all(cpus);
}

fn start_all(cpus: &mut Vec<&'static PerCpu>, others: &[u32], max: usize) {
    let Ok(page) = Trampolined::place() else {
        warning!("no memory below 1 MiB to start other CPUs in");
        return;
    };
    let reachable = |apic_id: u32| local::is_x2apic() || apic_id < 0xFF;
    for &apic_id in others.iter().filter(|&&apic_id| !reachable(apic_id)) {
        warning!("CPU with APIC id {apic_id:#x} left out: it needs x2APIC mode");
    }
    let reachable = || others.iter().copied().filter(|&apic_id| reachable(apic_id));
    // All of them at once, those that won't be used too: firmware may have left them spinning,
    // in memory that will be dom0's.
    reachable().for_each(local::send_init);
    time::delay(AFTER_INIT_NANOS);
    for apic_id in reachable() {
        if cpus.len() == max {
            break;
        }
        match start(&page, CpuId(cpus.len() as u32), apic_id) {
            Ok(cpu) => cpus.push(cpu),
            Err(StartError::NoMemory) => warning!("no memory to start CPU {apic_id:#x}"),
            Err(StartError::NoAnswer) => warning!("CPU {apic_id:#x} does not start"),
        }
    }
    page.remove();
}

/// The trampoline in its low frame.
struct Trampolined {
    frame: Hpa,
    cr3: Hpa,
}

impl Trampolined {
    fn place() -> Result<Self, MapError> {
        let frame = mm::frames::take_low().ok_or(MapError::NoMemory)?;
        let tables = Trampoline::new(frame)?;
        let start = &raw const trampoline_start;
        let len = &raw const trampoline_end as usize - start as usize;
        assert!(len <= FRAME_BYTES, "the trampoline fits a page");
        // SAFETY: the symbols are around read-only data of the image.
        let code = unsafe { core::slice::from_raw_parts(start, len) };
        phys::write(frame, code);
        Ok(Self { frame, cr3: tables.root })
    }

    fn set_parameters(&self, cpu: &'static PerCpu, stack: Stack) {
        let start = &raw const trampoline_start as u64;
        let low = |symbol: *const u8| (self.frame.0 + (symbol as u64 - start)) as u32;
        let parameters = Parameters {
            gdt_base: low(&raw const trampoline_gdt),
            cr3: self.cr3.0 as u32,
            far_offset: low(&raw const trampoline_long_mode),
            far_selector: 0x08,
            stack: stack.top(),
            cpu: &raw const *cpu as u64,
            entry: ap_start as *const () as u64,
        };
        let at = Hpa(low(&raw const trampoline_parameters).into());
        // SAFETY: a structure without padding is its bytes.
        let bytes = unsafe {
            core::slice::from_raw_parts(
                (&raw const parameters).cast::<u8>(),
                size_of::<Parameters>(),
            )
        };
        phys::write(at, bytes);
    }

    fn remove(self) {
        phys::zero(self.frame, FRAME_BYTES);
        let end = self.frame.0 + FRAME_BYTES as u64;
        mm::frames::give_back(Range { start: self.frame.0, end });
    }
}

fn start(page: &Trampolined, id: CpuId, apic_id: u32) -> Result<&'static PerCpu, StartError> {
    let stack = Stack::new(STACK_ORDER).ok_or(StartError::NoMemory)?;
    let cpu: &'static PerCpu = Box::leak(Box::new(PerCpu::new(id, apic_id)));
    page.set_parameters(cpu, stack);
    let number = (page.frame.0 >> 12) as u8;
    local::send_startup(apic_id, number);
    if !wait_for(cpu, State::Started, AFTER_STARTUP_NANOS) {
        local::send_startup(apic_id, number);
    }
    if !wait_for(cpu, State::Started, PATIENCE_NANOS) {
        // Back to waiting for a startup IPI, so that it never uses the next CPU's stack.
        local::send_init(apic_id);
        return Err(StartError::NoAnswer);
    }
    let ahead = time::serve_check();
    if !wait_for(cpu, State::Online, PATIENCE_NANOS) {
        return Err(StartError::NoAnswer);
    }
    let behind = cpu.tsc_behind.load(Ordering::Relaxed);
    if ahead.max(behind) != 0 {
        warning!("CPU {}: its TSC is {ahead} ticks ahead, {behind} behind the boot CPU's", id.0);
    }
    Ok(cpu)
}

fn wait_for(cpu: &PerCpu, state: State, nanos: u64) -> bool {
    let end = time::now().0 + nanos;
    while !cpu.has_reached(state) {
        if time::now().0 > end {
            return false;
        }
        core::hint::spin_loop();
    }
    true
}

/// Gives the executing CPU its descriptor tables, with new stacks for interrupts.
fn load_tables(cpu: &'static PerCpu) -> Option<()> {
    let mut stacks = [0; INTERRUPT_STACKS];
    for top in &mut stacks {
        *top = Stack::new(INTERRUPT_STACK_ORDER)?.top();
    }
    let tables = Box::leak(Box::new(Tables::new()));
    // SAFETY: the stacks are new.
    unsafe { tables.load(stacks) };
    // Loading the null selector into GS has cleared its base.
    cpu.install();
    Some(())
}

/// Where `trampoline.S` goes to.
///
/// # Safety
/// Called once on each CPU by the trampoline, with the parameters of [`start`].
unsafe extern "C" fn ap_start(cpu: &'static PerCpu) -> ! {
    mm::switch();
    if load_tables(cpu).is_none() {
        super::stop();
    }
    idt::load();
    if let Some(&protections) = PROTECTIONS.get() {
        control::enable(protections);
    }
    local::enable();
    time::enable_timer();
    cpu.set_state(State::Started);
    cpu.tsc_behind.store(time::check_against_boot_cpu(), Ordering::Relaxed);
    cpu.set_state(State::Online);
    crate::secondary()
}
