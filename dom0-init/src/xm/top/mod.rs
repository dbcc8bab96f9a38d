//! `xm top`: the domains' use of the machine, live; with `-b` as text for programs and files.

mod devices;
mod sample;
mod screen;
mod table;

use std::time::Duration;

use serde::Serialize;
use xenctl::Xen;

use super::domains;
use super::output::Format;
use sample::Sample;

/// Arguments of `xm top`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Seconds between two looks
    #[arg(short, long, value_name = "SECONDS", default_value_t = 3.0)]
    delay: f64,
    /// Print each look instead of redrawing the screen
    #[arg(short, long)]
    batch: bool,
    /// How many looks to print in batch mode; unlimited if not given
    #[arg(short = 'n', long, value_name = "COUNT")]
    iterations: Option<u64>,
}

impl Arguments {
    fn delay(&self) -> Duration {
        const SHORTEST: f64 = 0.1;
        const LONGEST: f64 = 3600.0;
        // A delay that is no number counts as the shortest.
        Duration::from_secs_f64(self.delay.clamp(SHORTEST, LONGEST).max(SHORTEST))
    }
}

/// A domain's line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    name: String,
    id: u16,
    state: String,
    cpu_seconds: u64,
    cpu_percent: f64,
    memory_kib: u64,
    memory_percent: f64,
    /// None: no limit.
    max_memory_kib: Option<u64>,
    vcpus: u32,
    network: devices::Network,
    disks: devices::Disks,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let xen = domains::open()?;
    if arguments.batch || format == Format::Json {
        batch(&xen, arguments, format)
    } else {
        screen::run(&xen, arguments.delay())
    }
}

fn batch(xen: &Xen, arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let mut before = None;
    let mut left = arguments.iterations.unwrap_or(u64::MAX);
    while left > 0 {
        let now = Sample::take(xen)?;
        let rows = now.rows(before.as_ref());
        match format {
            Format::Text => print!("{}", table::rows(&rows)),
            Format::Json => println!("{}", serde_json::to_string(&rows)?),
        }
        before = Some(now);
        left -= 1;
        if left > 0 {
            std::thread::sleep(arguments.delay());
        }
    }
    Ok(())
}
