//! From the hypervisor's entry to a PID 1 that does nothing, below the hypervisor and bare, in the
//! same machine; sizes; and what the idle appliance takes.

use std::error::Error;
use std::time::Duration;

use crate::machine::{Bench, Boot};
use crate::said::{self, Exits};
use crate::{idle, line, ratio};

/// Pairs of boots whose wall time is taken; the best of each kind counts.
const PAIRS: usize = 3;

/// Measures and prints.
pub fn print(bench: &Bench) -> Result<(), Box<dyn Error>> {
    eprintln!("counting instructions of boots");
    let bare = bench.count(Boot::Bare)?;
    let ours = bench.count(Boot::Hypervisor)?;
    let mut best = [Duration::MAX; 2];
    for pair in 1..=PAIRS {
        eprintln!("measuring wall time, {pair} of {PAIRS}");
        for (best, boot) in best.iter_mut().zip([Boot::Bare, Boot::Hypervisor]) {
            *best = bench.time(boot)?.min(*best);
        }
    }
    eprintln!("looking at the idle appliance");
    let resident = idle::resident(bench.images())?;
    let entered = said::entered(&ours)?;
    let bare = said::pid1(&bare)?.since(entered);
    let pid1 = said::pid1(&ours)?.since(entered);
    let exits = Exits::read(&ours);

    println!("From the hypervisor's entry to PID 1, one vCPU, 2 GiB:");
    line("instructions, bare", bare, "");
    line("instructions", pid1, "");
    line("  of them before dom0's first", said::dom0_starts(&ours)?.since(entered), "");
    line("  in units of bare", ratio(pid1.0 as f64, bare.0 as f64), "at most 1.25");
    line("VM entries", exits.total(), "at most 30000");
    for (reason, count) in exits.by_reason() {
        line(&format!("  {reason}"), count, "");
    }
    println!("From power-on to PID 1, best of {PAIRS}:");
    let [bare, ours_best] = best.map(|time| time.as_secs_f64());
    line("seconds, bare", format!("{bare:.2}"), "");
    line("seconds", format!("{ours_best:.2}"), "");
    line("  in units of bare", ratio(ours_best, bare), "at most 1.5");
    println!("Size:");
    line("hypervisor's memory, KiB", said::memory_kib(&ours)?, "at most 16384");
    line("hypervisor's ELF file, KiB", bench.hypervisor_bytes()?.div_ceil(1024), "at most 1024");
    line("USB image without its holes, KiB", idle::image_kib(bench.images())?, "at most 102400");
    println!("The control domain's programs when idle, shared pages in part:");
    let total: u64 = resident.iter().map(|(_, kib)| kib).sum();
    line("resident, KiB", total, "at most 32768");
    Ok(())
}
