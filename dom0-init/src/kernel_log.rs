//! Logging through the kernel's ring: one log, in one order, on every console.
//!
//! Every program of this binary writes its log to `/dev/kmsg` as `component: message`, with the
//! facility `daemon` and the record's level. `xm log` reads it back ([`Record`]). What the
//! consoles show is the kernel's console log level, as for the kernel's own messages.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::sync::OnceLock;

use log::{Level, LevelFilter, Log, Metadata};
use rustix::fs::OFlags;
use rustix::io::Errno;
use serde::Serialize;

/// The device that is both ends of the kernel's log.
pub const DEVICE: &str = "/dev/kmsg";

/// The syslog facility of this binary's records.
const DAEMON: u32 = 3;

/// The longest record that the kernel takes is a little under 1024 bytes, prefix included.
const LONGEST_MESSAGE: usize = 900;

/// The longest record that the kernel gives.
const LONGEST_RECORD: usize = 8192;

struct KernelLog {
    component: &'static str,
    device: OnceLock<File>,
}

/// Sends this process's log to the kernel's, each record under `component`.
pub fn start(component: &'static str) {
    let logger = KernelLog { component, device: OnceLock::new() };
    if log::set_boxed_logger(Box::new(logger)).is_ok() {
        log::set_max_level(LevelFilter::Info);
    }
    std::panic::set_hook(Box::new(|panic| log::error!("internal error: {panic}")));
}

impl KernelLog {
    /// The open device; PID 1 logs before `/dev` is there, so opening is retried.
    fn device(&self) -> Option<&File> {
        if self.device.get().is_none()
            && let Ok(file) = OpenOptions::new().write(true).open(DEVICE)
        {
            let _already_open = self.device.set(file);
        }
        self.device.get()
    }
}

impl Log for KernelLog {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The libraries' chatter is of no use to an operator.
        metadata.level() <= Level::Warn || metadata.target().starts_with(env!("CARGO_CRATE_NAME"))
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let message = record.args().to_string();
        for line in message.lines().filter(|line| !line.is_empty()) {
            let text = compose(record.level(), self.component, line);
            // A log that can't be written has nowhere to complain.
            let _unlogged = match self.device() {
                Some(mut device) => device.write_all(text.as_bytes()),
                None => std::io::stderr().write_all(text.as_bytes()),
            };
        }
    }

    fn flush(&self) {}
}

fn compose(level: Level, component: &str, line: &str) -> String {
    let severity = match level {
        Level::Error => 3,
        Level::Warn => 4,
        Level::Info => 6,
        Level::Debug | Level::Trace => 7,
    };
    let end = line.floor_char_boundary(LONGEST_MESSAGE);
    format!("<{}>{component}: {}\n", DAEMON << 3 | severity, &line[..end])
}

/// One record of the kernel's log, as `/dev/kmsg` gives it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Record {
    /// Microseconds since the kernel started.
    pub microseconds: u64,
    /// 0 (emergency) to 7 (debug).
    pub level: u8,
    /// 0 is the kernel itself.
    pub facility: u32,
    /// The text, without the continuation lines.
    pub message: String,
}

impl Record {
    /// Parses `priority,sequence,microseconds,flags[,...];message\n KEY=value\n`.
    pub fn parse(bytes: &[u8]) -> Option<Self> {
        let text = String::from_utf8_lossy(bytes);
        let (prefix, rest) = text.split_once(';')?;
        let mut fields = prefix.split(',');
        let priority: u32 = fields.next()?.parse().ok()?;
        let microseconds = fields.nth(1)?.parse().ok()?;
        let message = rest.lines().next().unwrap_or_default().to_owned();
        Some(Self {
            microseconds,
            level: u8::try_from(priority & 7).ok()?,
            facility: priority >> 3,
            message,
        })
    }

    /// Whether the kernel itself wrote it.
    pub fn is_kernels(&self) -> bool {
        self.facility == 0
    }
}

impl std::fmt::Display for Record {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (seconds, rest) = (self.microseconds / 1_000_000, self.microseconds % 1_000_000);
        write!(f, "[{seconds:5}.{rest:06}] {}", self.message)
    }
}

/// Reads the kernel's log from its oldest record.
#[derive(Debug)]
pub struct Records {
    device: File,
    record: Vec<u8>,
}

impl Records {
    /// Opens it; a reader that waits does so for records to come.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn open(wait: bool) -> std::io::Result<Self> {
        let flags = if wait { OFlags::empty() } else { OFlags::NONBLOCK };
        let device =
            OpenOptions::new().read(true).custom_flags(flags.bits().cast_signed()).open(DEVICE)?;
        Ok(Self { device, record: vec![0; LONGEST_RECORD] })
    }

    /// Passes over all that there are.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn skip_to_end(&mut self) -> std::io::Result<()> {
        self.device.seek(SeekFrom::End(0)).map(|_place| ())
    }

    /// The next record, or none at the end.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn next(&mut self) -> std::io::Result<Option<Record>> {
        loop {
            match self.device.read(&mut self.record) {
                Ok(0) => return Ok(None),
                Ok(length) => {
                    let bytes = self.record.get(..length).unwrap_or_default();
                    if let Some(record) = Record::parse(bytes) {
                        return Ok(Some(record));
                    }
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(None),
                // The oldest records were overwritten meanwhile: go on with those that are left.
                Err(error) if error.raw_os_error() == Some(Errno::PIPE.raw_os_error()) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_carry_facility_and_level() {
        assert_eq!(compose(Level::Info, "init", "phase"), "<30>init: phase\n");
        assert_eq!(compose(Level::Error, "netd", "no"), "<27>netd: no\n");
    }

    #[test]
    fn long_lines_are_cut_at_a_character() {
        let long = "ä".repeat(700);
        let text = compose(Level::Info, "x", &long);
        assert!(text.len() < 920 && text.ends_with("ä\n"));
    }

    #[test]
    fn records_are_read_back() {
        let record =
            Record::parse(b"30,339,5140900,-;init: phase mounts\n SUBSYSTEM=acpi\n").unwrap();
        assert_eq!(record.microseconds, 5_140_900);
        assert_eq!((record.level, record.facility), (6, 3));
        assert_eq!(record.to_string(), "[    5.140900] init: phase mounts");
        assert!(!record.is_kernels());
        assert!(Record::parse(b"6,1,2,-,caller=T1;x\n").unwrap().is_kernels());
        assert_eq!(Record::parse(b"nonsense"), None);
        assert_eq!(Record::parse(b"6,1;x"), None);
    }
}
