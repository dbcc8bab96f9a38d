//! Messages: `say!`, `error!`, `warning!`, `info!`, `debug!` for the hypervisor's own, and
//! `guest_log!` for those that a guest causes.
//!
//! Each line begins with `(XN) `, so that it can be told from a guest's on a shared console.

use core::fmt::{self, Write};
use core::sync::atomic::{AtomicU8, Ordering};

use hv_boot::options::{Level, Options};

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

static THRESHOLD: AtomicU8 = AtomicU8::new(Level::Info as u8);

/// Takes the thresholds from the command line.
pub fn set_thresholds(options: &Options) {
    THRESHOLD.store(options.log.always as u8, Ordering::Relaxed);
}

/// Writes a message, if its level is to be shown.
pub fn write(level: Level, message: fmt::Arguments<'_>) {
    if level as u8 > THRESHOLD.load(Ordering::Relaxed) {
        return;
    }
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
