//! The outcome of a test: one line, then the domain shuts down.

use crate::{console, hypercall};
use core::fmt::Arguments;
use core::sync::atomic::{AtomicBool, Ordering};
use xen_abi::sched::ShutdownReason;

static mut NAME: &str = "?";
static REPORTED: AtomicBool = AtomicBool::new(false);

#[expect(unsafe_code, reason = "written once, before other CPUs start")]
fn set_name(name: &'static str) {
    // SAFETY: the only CPU, at the start.
    unsafe { NAME = name };
}

#[expect(unsafe_code, reason = "written once, before other CPUs start")]
fn name() -> &'static str {
    // SAFETY: not written any more.
    unsafe { NAME }
}

/// Runs a test to its report.
pub fn run(name: &'static str, test: fn()) -> ! {
    set_name(name);
    test();
    success()
}

/// All is as it should be.
pub fn success() -> ! {
    finish("SUCCESS", format_args!(""))
}

/// The test can't be made here.
pub fn skip(reason: Arguments<'_>) -> ! {
    finish("SKIP", reason)
}

/// The hypervisor is wrong.
pub fn failure(what: Arguments<'_>) -> ! {
    finish("FAILURE", what)
}

/// The test itself, or what it stands on, is wrong.
pub fn error(what: Arguments<'_>) -> ! {
    finish("ERROR", what)
}

fn finish(verdict: &str, detail: Arguments<'_>) -> ! {
    // An exception while reporting must not start over.
    if !REPORTED.swap(true, Ordering::SeqCst) {
        match detail.as_str() {
            Some("") => console::line(format_args!("XENOLITH-TEST: {}: {verdict}", name())),
            _ => console::line(format_args!("XENOLITH-TEST: {}: {verdict}: {detail}", name())),
        }
    }
    hypercall::shutdown(ShutdownReason::POWEROFF)
}
