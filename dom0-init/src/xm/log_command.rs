//! `xm log`: what PID 1 and the daemons wrote to the kernel's log, and the kernel too.

use anyhow::Context;

use super::output::{self, Format};
use crate::kernel_log::{DEVICE, Record, Records};

/// Arguments of `xm log`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The kernel's messages too
    #[arg(short, long)]
    all: bool,
    /// The kernel's messages instead
    #[arg(short, long, conflicts_with = "all")]
    kernel: bool,
    /// Only the last ones
    #[arg(short = 'n', long, value_name = "COUNT")]
    lines: Option<usize>,
    /// Go on showing what is logged, until Ctrl-C
    #[arg(short, long, conflicts_with = "lines")]
    follow: bool,
}

impl Arguments {
    fn wants(&self, record: &Record) -> bool {
        self.all || record.is_kernels() == self.kernel
    }
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let mut records = Records::open(arguments.follow).context(DEVICE)?;
    if arguments.follow {
        while let Some(record) = records.next().context(DEVICE)? {
            if arguments.wants(&record) {
                println!("{record}");
            }
        }
        return Ok(());
    }
    let mut wanted = Vec::new();
    while let Some(record) = records.next().context(DEVICE)? {
        if arguments.wants(&record) {
            wanted.push(record);
        }
    }
    let passed_over = arguments.lines.map_or(0, |count| wanted.len().saturating_sub(count));
    let shown = wanted.get(passed_over..).unwrap_or_default();
    output::print(format, shown, || shown.iter().map(|record| format!("{record}\n")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wanted() {
        let ours = Record { microseconds: 0, level: 6, facility: 3, message: String::new() };
        let kernels = Record { facility: 0, ..ours.clone() };
        let arguments = |all, kernel| Arguments { all, kernel, lines: None, follow: false };
        assert!(arguments(false, false).wants(&ours) && !arguments(false, false).wants(&kernels));
        assert!(!arguments(false, true).wants(&ours) && arguments(false, true).wants(&kernels));
        assert!(arguments(true, false).wants(&ours) && arguments(true, false).wants(&kernels));
    }
}
