//! Messages: `say!`, `error!`, `warning!`, `info!`, `debug!` for the hypervisor's own, and
//! `guest_log!` for those that a guest causes.
//!
//! Each line begins with `(XN) `, so that it can be told from a guest's on a shared console.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use hv_boot::options::{Level, Options, Threshold};
use hv_boot::rate_limit::{RateLimit, Verdict};
use spin::Mutex;

use crate::arch::time;
use crate::console;

/// A message that is always shown.
macro_rules! say {
    ($($message:tt)*) => {
        $crate::log::write(::hv_boot::options::Level::Always, format_args!($($message)*))
    };
}

/// Something failed.
#[allow(unused_macros, reason = "one of a family")]
macro_rules! error {
    ($($message:tt)*) => {
        $crate::log::write(::hv_boot::options::Level::Error, format_args!($($message)*))
    };
}

/// Something is suspicious.
macro_rules! warning {
    ($($message:tt)*) => {
        $crate::log::write(::hv_boot::options::Level::Warning, format_args!($($message)*))
    };
}

/// Something happened.
macro_rules! info {
    ($($message:tt)*) => {
        $crate::log::write(::hv_boot::options::Level::Info, format_args!($($message)*))
    };
}

/// A detail.
#[allow(unused_macros, reason = "one of a family")]
macro_rules! debug {
    ($($message:tt)*) => {
        $crate::log::write(::hv_boot::options::Level::Debug, format_args!($($message)*))
    };
}

/// Ends the boot or the run: the message goes to every console, then the machine restarts, or
/// stops if `noreboot` was given.
macro_rules! fatal {
    ($($message:tt)*) => {
        $crate::panic::fatal(format_args!($($message)*))
    };
}

/// What a guest caused: `guest_log!(Level::Warning, "...")`. Limited in rate by default, so that
/// no guest can flood the log.
macro_rules! guest_log {
    ($level:expr, $($message:tt)*) => {
        $crate::log::write_for_guest($level, format_args!($($message)*))
    };
}

/// What is shown of one source of messages.
struct Source {
    always: AtomicU8,
    limited: AtomicU8,
    limit: Mutex<RateLimit>,
}

impl Source {
    const fn new(always: Level, limited: Level) -> Self {
        Self {
            always: AtomicU8::new(always as u8),
            limited: AtomicU8::new(limited as u8),
            limit: Mutex::new(RateLimit::new(BURST, INTERVAL_NANOS)),
        }
    }

    fn set(&self, threshold: Threshold) {
        self.always.store(threshold.always as u8, Ordering::Relaxed);
        self.limited.store(threshold.limited as u8, Ordering::Relaxed);
    }

    fn write(&self, level: Level, message: fmt::Arguments<'_>) {
        let level = level as u8;
        if level > self.always.load(Ordering::Relaxed) {
            if level > self.limited.load(Ordering::Relaxed) {
                return;
            }
            let verdict = self.limit.lock().ask(time::now().0);
            match verdict {
                Verdict::Suppressed => return,
                Verdict::Allowed { suppressed: 0 } => {}
                Verdict::Allowed { suppressed } => {
                    print(format_args!("({suppressed} messages were suppressed)"));
                }
            }
        }
        print(message);
    }
}

/// So many rate-limited messages at once, and then one each half second.
const BURST: u32 = 10;
const INTERVAL_NANOS: u64 = 500_000_000;

static OWN: Source = Source::new(Level::Info, Level::Info);
static GUESTS: Source = Source::new(Level::Always, Level::Warning);

/// Takes the thresholds from the command line.
pub fn set_thresholds(options: &Options) {
    OWN.set(options.log);
    GUESTS.set(options.guest_log);
}

/// Writes a message of the hypervisor's, if its level is to be shown.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    OWN.write(level, message);
}

/// Writes a message that a guest caused, if its level is to be shown and there aren't too many.
pub fn write_for_guest(level: Level, message: fmt::Arguments<'_>) {
    GUESTS.write(level, message);
}

fn print(message: fmt::Arguments<'_>) {
    let mut line = Line::new();
    // A `Line` takes everything.
    let _ = line.write_fmt(message);
    line.end();
}

/// Collects a message into lines with the prefix, and writes each one whole.
struct Line {
    text: arrayvec::ArrayVec<u8, 256>,
}

const PREFIX: &[u8] = b"(XN) ";

impl Line {
    fn new() -> Self {
        Self { text: PREFIX.iter().copied().collect() }
    }

    fn end(&mut self) {
        self.text.push(b'\n');
        console::write(&self.text);
        self.text.clear();
        self.text.extend(PREFIX.iter().copied());
    }
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for &byte in text.as_bytes() {
            if byte == b'\n' || self.text.remaining_capacity() == 1 {
                self.end();
            }
            if byte != b'\n' {
                self.text.push(byte);
            }
        }
        Ok(())
    }
}
