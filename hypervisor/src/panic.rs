//! The end: panics and fatal errors.

use core::fmt;
use core::panic::PanicInfo;

use crate::{arch, console};

/// Reports a condition that the hypervisor can't start or go on with.
pub fn fatal(message: fmt::Arguments<'_>) -> ! {
    console::init_for_emergency();
    say!("");
    say!("{message}");
    arch::cpu::stop()
}

/// Reports a fault of the hypervisor's own.
#[cfg_attr(freestanding, panic_handler)]
fn panic(panic: &PanicInfo<'_>) -> ! {
    fatal(format_args!("{panic}"))
}

/// Reports an exception that the hypervisor's own code raised.
pub fn exception(frame: &arch::cpu::TrapFrame, what: fmt::Arguments<'_>) -> ! {
    console::init_for_emergency();
    say!("CPU {}: {what}\n{frame}", arch::cpu::this_cpu().id().0);
    arch::cpu::stop()
}
