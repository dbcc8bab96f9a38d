//! The figures of BENCHMARKS.md: `cargo bench --package xenolith-tests`, or with names of
//! [`SECTIONS`] behind `--` some of them.
//!
//! Instructions are counted by machines whose clock is the number of instructions
//! ([`machine::counting`]), so that two runs give the same; wall time is the best of several runs,
//! alternating.

mod boot;
mod devices;
mod disks;
mod factory;
mod guests;
mod idle;
mod machine;
mod process;
mod said;
mod sides;
mod store;

use std::error::Error;
use std::fmt::Display;

use machine::Bench;
use said::Instructions;

/// Measures and prints something.
#[derive(Clone, Copy)]
enum Section {
    /// In machines that boot the appliance.
    Machines(fn(&Bench) -> Result<(), Box<dyn Error>>),
    /// On the host.
    Host(fn() -> Result<(), Box<dyn Error>>),
}

/// What is measured, by name.
const SECTIONS: [(&str, Section); 6] = [
    ("boot", Section::Machines(boot::print)),
    ("guests", Section::Machines(guests::print)),
    ("devices", Section::Machines(devices::print)),
    ("disks", Section::Machines(disks::print)),
    ("store", Section::Machines(store::print)),
    ("factory", Section::Host(factory::print)),
];

fn main() -> Result<(), Box<dyn Error>> {
    // Cargo adds flags of its own.
    let wanted: Vec<String> = std::env::args().skip(1).filter(|a| !a.starts_with('-')).collect();
    let mut appliance = None;
    for (name, section) in SECTIONS {
        if !wanted.is_empty() && !wanted.iter().any(|wanted| wanted == name) {
            continue;
        }
        match section {
            Section::Host(print) => print()?,
            Section::Machines(print) => {
                if appliance.is_none() {
                    appliance = Some(Bench::prepare()?);
                }
                appliance.as_ref().map_or(Ok(()), print)?;
            }
        }
    }
    Ok(())
}

fn ratio(ours: f64, bare: f64) -> String {
    format!("{:.3}", ours / bare)
}

fn line(what: &str, value: impl Display, target: &str) {
    println!("  {what:34} {:>14}  {target}", value.to_string());
}

impl Display for Instructions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(&self.0.to_string())
    }
}
