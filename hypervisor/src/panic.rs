//! The end: panics, exceptions of the hypervisor's own code, conditions that it can't start with.
//! All print what happened on every console, and restart the machine after a while, or stop it if
//! `noreboot` was given.

use core::fmt;
use core::panic::PanicInfo;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::arch::cpu::{self, TrapFrame};
use crate::arch::{self, time};
use crate::console;

/// How long the message can be read.
const SECONDS: u64 = 10;

static NO_REBOOT: AtomicBool = AtomicBool::new(false);
/// The CPU that reports the end, or [`NOBODY`].
static ENDING: AtomicU32 = AtomicU32::new(NOBODY);
const NOBODY: u32 = u32::MAX;

/// Takes the user's choice.
pub fn set_no_reboot(no_reboot: bool) {
    NO_REBOOT.store(no_reboot, Ordering::Relaxed);
}

/// Reports a condition that the hypervisor can't start or go on with: no fault of its own.
pub fn fatal(message: fmt::Arguments<'_>) -> ! {
    begin();
    say!("");
    say!("****************************************");
    say!("{message}");
    say!("****************************************");
    end()
}

/// Reports an exception that the hypervisor's own code raised.
pub fn exception(frame: &TrapFrame, what: fmt::Arguments<'_>) -> ! {
    begin();
    heading();
    say!("{what}\n{frame}");
    cpu::print_backtrace_from(frame);
    end()
}

/// Reports a panic.
#[cfg_attr(freestanding, panic_handler)]
fn panic(panic: &PanicInfo<'_>) -> ! {
    begin();
    heading();
    say!("{}", panic.message());
    if let Some(place) = panic.location() {
        say!("at {place}");
    }
    say!("{}", cpu::ControlRegisters);
    cpu::print_backtrace();
    end()
}

/// Makes this the only CPU that runs. A fault while reporting one ends at once.
fn begin() {
    cpu::disable_interrupts();
    let me = cpu::this_cpu().id().0;
    match ENDING.compare_exchange(NOBODY, me, Ordering::AcqRel, Ordering::Acquire) {
        Ok(_) => cpu::stop_others(),
        Err(first) if first == me => arch::reset::reboot(),
        Err(_) => cpu::stop(),
    }
    console::init_for_emergency();
}

fn heading() {
    say!("");
    say!(
        "*** PANIC on CPU {}, {} ms after the start ***",
        cpu::this_cpu().id().0,
        time::now().0 / 1_000_000
    );
}

/// Restarts or stops the machine.
fn end() -> ! {
    if NO_REBOOT.load(Ordering::Relaxed) {
        say!("stopped, as \"noreboot\" was given: reset the machine");
        cpu::stop();
    }
    say!("restarting in {SECONDS} seconds");
    time::delay_anyhow(SECONDS * 1_000_000_000);
    arch::reset::reboot()
}
