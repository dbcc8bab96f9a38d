//! Each CPU's one-shot timer: the local APIC's, by TSC deadline where the CPU has that.

use hv_boot::clock::Rate;
use hv_core::types::Nanos;
use spin::Once;

use super::{now, tsc_at};
use crate::arch::x86::apic::local;
use crate::arch::x86::interrupts;

static TICKS: Once<Option<Rate>> = Once::new();

/// Keeps the rate of the timer's own ticks; `None` means that it goes by the TSC.
pub(super) fn init(rate: Option<Rate>) {
    TICKS.call_once(|| rate);
    interrupts::register(interrupts::TIMER, |_| {});
    match rate {
        Some(rate) => debug!("local APIC timer: {} kHz", rate.hz() / 1000),
        None => debug!("local APIC timer: TSC deadline"),
    }
    enable();
}

/// Sets the executing CPU's timer up; it is stopped.
pub fn enable() {
    match rate() {
        Some(_) => local::set_up_timer(Some(interrupts::TIMER)),
        None => local::set_up_tsc_deadline(interrupts::TIMER),
    }
}

/// Makes the executing CPU's timer raise [`interrupts::TIMER`] at a time, or soon if that has
/// passed; `None` stops it. Fires early for times that are further away than the timer counts.
pub fn set_deadline(deadline: Option<Nanos>) {
    match (rate(), deadline) {
        (None, None) => local::set_tsc_deadline(0),
        (None, Some(time)) => local::set_tsc_deadline(tsc_at(time).max(1)),
        (Some(_), None) => local::start_timer(0),
        (Some(rate), Some(time)) => {
            let ticks = rate.ticks(time.0.saturating_sub(now().0));
            local::start_timer(u32::try_from(ticks).unwrap_or(u32::MAX).max(1));
        }
    }
}

fn rate() -> Option<Rate> {
    TICKS.get().copied().flatten()
}
