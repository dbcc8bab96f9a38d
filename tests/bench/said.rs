//! What the figures are read from: the consoles' output.

use std::error::Error;
use std::str::FromStr;

/// Ticks of the clock for one instruction, in machines that count: QEMU's `shift=2`.
const TICKS: u64 = 4;

/// A number of instructions since power-on.
#[derive(Clone, Copy, Debug)]
pub struct Instructions(pub u64);

impl Instructions {
    /// How many came after `start`.
    pub fn since(self, start: Self) -> Self {
        Self(self.0.saturating_sub(start.0))
    }
}

/// The number after `words` in what was said.
pub fn number<T: FromStr>(said: &str, words: &str) -> Result<T, Box<dyn Error>> {
    let missing = || format!("the console doesn't say {words:?}");
    let (_, rest) = said.split_once(words).ok_or_else(missing)?;
    let digits = rest.split(|letter: char| !letter.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).ok_or_else(|| missing().into())
}

fn at_tsc(said: &str, words: &str) -> Result<Instructions, Box<dyn Error>> {
    Ok(Instructions(number::<u64>(said, words)? / TICKS))
}

/// When PID 1 started.
pub fn pid1(said: &str) -> Result<Instructions, Box<dyn Error>> {
    at_tsc(said, super::machine::PID1_SAYS)
}

/// When the hypervisor was entered.
pub fn entered(said: &str) -> Result<Instructions, Box<dyn Error>> {
    at_tsc(said, "entered at TSC ")
}

/// When dom0's first instruction came.
pub fn dom0_starts(said: &str) -> Result<Instructions, Box<dyn Error>> {
    at_tsc(said, "dom0 starts at TSC ")
}

/// What the hypervisor keeps of the machine's memory.
pub fn memory_kib(said: &str) -> Result<u64, Box<dyn Error>> {
    number(said, "hypervisor memory: ")
}

/// Why dom0 left guest mode, and how often.
#[derive(Debug)]
pub struct Exits(Vec<(String, u64)>);

impl Exits {
    /// Reads the hypervisor's report, which goes on with hypercalls by number.
    pub fn read(said: &str) -> Self {
        // The last line may not be there whole yet.
        let whole = said.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let counts = whole.lines().filter_map(|line| {
            let (_, report) = line.split_once("  d0: ")?;
            let (reason, count) = report.trim_end().split_once(' ')?;
            Some((reason.to_owned(), count.parse().ok()?))
        });
        Self(counts.collect())
    }

    /// Reasons with their counts.
    pub fn by_reason(&self) -> impl Iterator<Item = (&str, u64)> {
        self.0.iter().map(|(reason, count)| (reason.as_str(), *count))
    }

    /// All of them. Emulated memory accesses are counted as faults already.
    pub fn total(&self) -> u64 {
        self.by_reason().filter(|(reason, _)| *reason != "mmio").map(|(_, count)| count).sum()
    }
}

/// What the probe counted inside of a machine, by name, in its order.
#[derive(Debug)]
pub struct Probes(Vec<(String, Instructions)>);

impl Probes {
    /// A count.
    pub fn get(&self, name: &str) -> Result<Instructions, Box<dyn Error>> {
        let found = self.0.iter().find(|(known, _)| known == name);
        found.map(|(_, count)| *count).ok_or_else(|| format!("nothing counted {name:?}").into())
    }

    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Instructions)> {
        self.0.iter().map(|(name, count)| (name.as_str(), *count))
    }
}

/// Reads the probe's lines.
pub fn probes(said: &str) -> Result<Probes, Box<dyn Error>> {
    let lines = said.lines().filter_map(|line| line.split_once("PROBE ")?.1.split_once(": "));
    let counts = lines.map(|(name, ticks)| {
        let ticks: u64 =
            ticks.trim().parse().map_err(|_| format!("{name}: {ticks} is no count"))?;
        Ok((name.to_owned(), Instructions(ticks / TICKS)))
    });
    counts.collect::<Result<Vec<_>, Box<dyn Error>>>().map(Probes)
}
