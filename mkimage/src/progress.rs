//! What a user sees of long steps: bars on a terminal, plain lines elsewhere.

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);
static VERBOSE: AtomicBool = AtomicBool::new(false);

/// Shows details too (`-v`).
pub fn set_verbose(verbose: bool) {
    VERBOSE.store(verbose, Ordering::Relaxed);
}

/// Whether details are wanted.
pub fn is_verbose() -> bool {
    VERBOSE.load(Ordering::Relaxed)
}

/// Prints a line to standard error without tearing the bars.
pub fn note(text: &str) {
    BARS.suspend(|| eprintln!("mkimage: {text}"));
}

/// As [`note`], only with `-v`.
pub fn detail(text: &str) {
    if is_verbose() {
        note(text);
    }
}

/// One running step; its bar vanishes when it is dropped.
#[derive(Debug)]
pub struct Step {
    bar: ProgressBar,
    label: String,
    started: Instant,
    announced: bool,
}

impl Step {
    fn new(bar: ProgressBar, template: &str, label: &str) -> Self {
        // A template that doesn't parse is a mistake of ours that the default style hides well.
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style.progress_chars("=> "));
        }
        let bar = BARS.add(bar);
        bar.set_message(label.to_owned());
        let announced = !std::io::stderr().is_terminal() || is_verbose();
        if announced {
            note(label);
        }
        Self { bar, label: label.to_owned(), started: Instant::now(), announced }
    }

    /// A step whose length is unknown.
    pub fn spinner(label: &str) -> Self {
        let step = Self::new(ProgressBar::new_spinner(), "{spinner} {msg} {elapsed}", label);
        step.bar.enable_steady_tick(Duration::from_millis(120));
        step
    }

    /// A step of `total` bytes.
    pub fn bytes(label: &str, total: u64) -> Self {
        let template =
            "{msg:30} [{bar:30}] {bytes:>10}/{total_bytes:10} {bytes_per_sec:>12} {eta:>4}";
        Self::new(ProgressBar::new(total), template, label)
    }

    /// A step of `total` items.
    pub fn items(label: &str, total: usize) -> Self {
        Self::new(ProgressBar::new(total as u64), "{msg:30} [{bar:30}] {pos:>4}/{len}", label)
    }

    /// Moves the bar by a number of bytes or items; back when negative.
    pub fn advance(&self, by: i64) {
        if by >= 0 {
            self.bar.inc(by.unsigned_abs());
        } else {
            self.bar.dec(by.unsigned_abs());
        }
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
        BARS.remove(&self.bar);
        let seconds = self.started.elapsed().as_secs_f32();
        if self.announced && (seconds > 1.0 || is_verbose()) {
            note(&format!("{}: {seconds:.1} s", self.label));
        }
    }
}

/// Bytes in a form for people.
pub fn human(bytes: u64) -> String {
    indicatif::DecimalBytes(bytes).to_string()
}
