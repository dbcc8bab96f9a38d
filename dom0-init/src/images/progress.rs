//! What is shown of long steps: one line that is rewritten on a terminal, and some lines elsewhere.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// How often the line is rewritten.
const TICK: Duration = Duration::from_millis(250);

/// One running step.
#[derive(Debug)]
pub struct Progress {
    label: String,
    total: u64,
    done: u64,
    started: Instant,
    shown: Option<Instant>,
    is_terminal: bool,
}

impl Progress {
    /// A step of so many bytes, of which some may be done.
    pub fn new(label: &str, total: u64, done: u64) -> Self {
        let is_terminal = std::io::stderr().is_terminal();
        if !is_terminal {
            eprintln!("{label}: {}", size(total));
        }
        let started = Instant::now();
        Self { label: label.to_owned(), total, done, started, shown: None, is_terminal }
    }

    /// So many bytes are done.
    pub fn at(&mut self, done: u64) {
        // Bytes of earlier runs don't count for the speed.
        if self.shown.is_none() {
            self.done = done.min(self.done);
        }
        let now = Instant::now();
        if self.is_terminal && self.shown.is_none_or(|shown| now - shown >= TICK) {
            self.shown = Some(now);
            let text = line(&self.label, done, self.total, done - self.done, now - self.started);
            eprint!("\r{text}\x1b[K");
            // Nobody looks when it fails.
            let _flushed = std::io::stderr().flush();
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if self.is_terminal {
            eprint!("\r\x1b[K");
        }
    }
}

/// `debian-13: 43% of 245.0 MB, 12.1 MB/s`.
fn line(label: &str, done: u64, total: u64, fresh: u64, elapsed: Duration) -> String {
    let percent = u128::from(done) * 100 / u128::from(total.max(1));
    let speed = u128::from(fresh) * 1000 / elapsed.as_millis().max(1);
    let speed = size(u64::try_from(speed).unwrap_or(u64::MAX));
    format!("{label}: {percent}% of {}, {speed}/s", size(total))
}

/// A size for people.
pub fn size(bytes: u64) -> String {
    let tenths = |unit: u64| format!("{}.{}", bytes / unit, bytes % unit * 10 / unit);
    match bytes {
        0..1_000_000 => format!("{} kB", tenths(1000)),
        1_000_000..1_000_000_000 => format!("{} MB", tenths(1_000_000)),
        _ => format!("{} GB", tenths(1_000_000_000)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let text = line("debian-13", 105_000_000, 245_000_000, 24_200_000, Duration::from_secs(2));
        assert_eq!(text, "debian-13: 42% of 245.0 MB, 12.1 MB/s");
        assert_eq!((size(0), size(2_560_000_000)), ("0.0 kB".into(), "2.5 GB".into()));
    }
}
