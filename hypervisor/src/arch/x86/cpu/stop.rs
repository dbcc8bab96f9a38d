//! Reaching every CPU by NMI: to stop it for good, or to see what it is doing.

use core::sync::atomic::{AtomicBool, Ordering};

use hv_core::types::CpuId;
use spin::Mutex;

use super::percpu::{self, PerCpu, State, this_cpu};
use super::{TrapFrame, backtrace};
use crate::arch::x86::apic::local;
use crate::arch::x86::time;

/// What a CPU was doing when it was asked.
static CAUGHT: Mutex<Option<TrapFrame>> = Mutex::new(None);
/// Whether the next NMI asks for it, and whom: the CPU's number plus one.
static ASKED: Mutex<Option<CpuId>> = Mutex::new(None);
static STOPPING: AtomicBool = AtomicBool::new(false);

/// How long a CPU has to answer an NMI.
const PATIENCE_NANOS: u64 = 200_000_000;

/// Stops all other CPUs, for good.
pub fn stop_others() {
    STOPPING.store(true, Ordering::Release);
    let others = || percpu::all().iter().filter(|cpu| cpu.id() != this_cpu().id());
    if others().next().is_none() {
        return;
    }
    local::send_nmi_to_others();
    let end = time::now().0 + PATIENCE_NANOS;
    while others().any(|cpu| !cpu.has_reached(State::Stopped)) && time::now().0 < end {
        core::hint::spin_loop();
    }
}

/// Stops this CPU for good.
pub fn stop() -> ! {
    this_cpu().set_state(State::Stopped);
    x86_64::instructions::interrupts::disable();
    loop {
        x86_64::instructions::hlt();
    }
}

/// Handles an NMI.
pub(super) fn nmi(frame: &TrapFrame) {
    if STOPPING.load(Ordering::Acquire) {
        stop();
    }
    // Whoever asks holds neither lock while waiting, so both can be had.
    let mut asked = ASKED.lock();
    if *asked == Some(this_cpu().id()) {
        *asked = None;
        *CAUGHT.lock() = Some(frame.clone());
        return;
    }
    drop(asked);
    unexpected();
}

/// An NMI that nobody sent: the machine reports a fault. The console's lock may be held by the
/// code that was interrupted, so this is only counted.
fn unexpected() {
    this_cpu().count_nmi();
}

/// Prints what every CPU is doing.
pub fn print_all() {
    for cpu in percpu::all() {
        say!("CPU {} (APIC id {:#x}), {} NMIs:", cpu.id().0, cpu.apic_id(), cpu.nmis());
        if cpu.id() == this_cpu().id() {
            backtrace::print_here();
        } else {
            match ask(cpu) {
                Some(frame) => print(&frame),
                None => say!("  does not answer"),
            }
        }
    }
}

fn print(frame: &TrapFrame) {
    say!("{frame}");
    backtrace::print_from(frame);
}

fn ask(cpu: &PerCpu) -> Option<TrapFrame> {
    *CAUGHT.lock() = None;
    *ASKED.lock() = Some(cpu.id());
    local::send_nmi(cpu.apic_id());
    let end = time::now().0 + PATIENCE_NANOS;
    loop {
        if let Some(frame) = CAUGHT.lock().take() {
            return Some(frame);
        }
        if time::now().0 > end {
            *ASKED.lock() = None;
            return None;
        }
        core::hint::spin_loop();
    }
}
