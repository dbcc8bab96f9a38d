//! How fast the TSC and the local APIC's timer count: from CPUID if it says so, else measured
//! once against a counter of known rate, both at the same time.

use hv_boot::clock::{self, Rate, Sample};
use x86defs::cpuid::{LEAF_FREQUENCY, LEAF_HYPERVISOR, LEAF_TSC, Leaf1Ecx};

use super::reference::Reference;
use super::tsc;
use crate::arch::x86::apic::local;
use crate::arch::x86::cpu::{cpuid, features};
use crate::drivers::acpi;

/// How long is measured. The error is that of two readings, about a microsecond: 0.01 %.
const WINDOW_MILLISECONDS: u64 = 10;
/// Readings at each end, of which the quickest counts.
const TRIES: u32 = 12;
/// A hypervisor's leaf with its TSC's rate in kHz.
const LEAF_HYPERVISOR_TIMING: u32 = LEAF_HYPERVISOR + 0x10;

/// What was found.
pub struct Rates {
    /// The TSC's.
    pub tsc: Rate,
    /// The local APIC timer's; `None` if the TSC's deadline is used instead.
    pub apic_timer: Option<Rate>,
    /// Where the TSC's rate comes from.
    pub by: &'static str,
}

/// Finds out the rates.
pub fn run() -> Rates {
    let known = from_cpuid();
    let deadline = features().leaf1_ecx.contains(Leaf1Ecx::TSC_DEADLINE);
    if let (Some((tsc, by)), true) = (known, deadline) {
        return Rates { tsc, apic_timer: None, by };
    }
    let reference = Reference::best(acpi::machine());
    let (tsc_hz, apic_hz) = measure(&reference);
    let measured = tsc_hz.and_then(Rate::new).map(|rate| (rate, reference.name()));
    let Some((tsc, by)) = known.or(measured) else {
        fatal!("the TSC's rate can't be measured: the {} does not count", reference.name())
    };
    let apic_timer = apic_hz.and_then(Rate::new).filter(|_| !deadline);
    if apic_timer.is_none() && !deadline {
        fatal!("the local APIC's timer does not count");
    }
    Rates { tsc, apic_timer, by }
}

fn from_cpuid() -> Option<(Rate, &'static str)> {
    let ratio = cpuid(LEAF_TSC, 0);
    let crystal = match ratio.ecx {
        // The crystal's rate is often left out; the base frequency is the TSC's then.
        0 => None,
        hz => (u64::from(hz) * u64::from(ratio.ebx)).checked_div(ratio.eax.into()),
    };
    let base = || match cpuid(LEAF_FREQUENCY, 0).eax & 0xFFFF {
        mhz if mhz != 0 && ratio.ebx != 0 => Some(u64::from(mhz) * 1_000_000),
        _ => None,
    };
    let hypervisor = || match cpuid(LEAF_HYPERVISOR_TIMING, 0).eax {
        khz if khz != 0 && features().leaf1_ecx.contains(Leaf1Ecx::HYPERVISOR) => {
            Some(u64::from(khz) * 1000)
        }
        _ => None,
    };
    let found = crystal.or_else(base).map(|hz| (hz, "CPUID"));
    let (hz, by) = found.or_else(|| hypervisor().map(|hz| (hz, "the hypervisor below")))?;
    Some((Rate::new(hz)?, by))
}

/// Measures the TSC's and the local APIC timer's rates at once.
fn measure(reference: &Reference) -> (Option<u64>, Option<u64>) {
    local::set_up_timer(None);
    local::start_timer(u32::MAX);
    // The timer counts down.
    let apic_ticks = || u64::from(u32::MAX - local::timer_ticks());
    let mut extended = reference.read();
    let begin = best_sample(reference, &mut extended, &tsc::read);
    let apic_begin = best_sample(reference, &mut extended, &apic_ticks);
    let window = reference.hz() * WINDOW_MILLISECONDS / 1000;
    // A counter that stands still must not stop the boot: 2^34 ticks are seconds.
    let give_up = begin.counter.saturating_add(1 << 34);
    while extended - begin.reference < window && tsc::read() < give_up {
        extended = clock::extend(extended, reference.read(), reference.bits());
    }
    let end = best_sample(reference, &mut extended, &tsc::read);
    let apic_end = best_sample(reference, &mut extended, &apic_ticks);
    local::start_timer(0);
    let hz = reference.hz();
    (clock::calibrate(hz, begin, end), clock::calibrate(hz, apic_begin, apic_end))
}

/// Reads the reference between two readings of the counter; of some tries, the one that took
/// the least time.
fn best_sample(reference: &Reference, extended: &mut u64, counter: &dyn Fn() -> u64) -> Sample {
    let mut sample = || {
        let before = counter();
        *extended = clock::extend(*extended, reference.read(), reference.bits());
        let cost = counter().saturating_sub(before);
        Sample { reference: *extended, counter: before + cost / 2, cost }
    };
    let first = sample();
    (1..TRIES)
        .map(|_| sample())
        .fold(first, |best, next| if next.cost < best.cost { next } else { best })
}
