//! Time: nanoseconds since the hypervisor's start, from the TSC; the one-shot timer of each CPU,
//! from its local APIC; the wall clock.

mod calibrate;
mod hpet;
mod pit;
mod pm_timer;
mod reference;
mod rtc;
mod timer;
mod tsc;

use hv_core::time::clock::TscClock;
use hv_core::types::Nanos;
use spin::Once;

use crate::arch::x86::cpu::features;

pub use rtc::wall_clock_at_boot;
pub use timer::{enable as enable_timer, set_deadline};
pub use tsc::{check_against_boot_cpu, read as read_tsc, serve_check};

/// System time by the TSC. It is the clock that guests get, so theirs and ours are the same.
static CLOCK: Once<TscClock> = Once::new();

/// Finds out the rates of the TSC and the local APIC's timer, and starts the clock. `start` is
/// the TSC's value at the hypervisor's entry, which is time 0.
pub fn init(start: u64) {
    let rates = calibrate::run();
    CLOCK.call_once(|| TscClock::new(rates.tsc.hz(), start, Nanos(0), true));
    let mhz = rates.tsc.hz() / 1000;
    let invariant = if features().invariant_tsc { ", invariant" } else { "" };
    info!("TSC: {}.{:03} MHz, by {}{invariant}", mhz / 1000, mhz % 1000, rates.by);
    timer::init(rates.apic_timer);
    rtc::init();
}

/// The time since the hypervisor's start; the same on all CPUs. 0 before [`init`].
pub fn now() -> Nanos {
    CLOCK.get().map_or(Nanos(0), |clock| clock.nanos(tsc::read()))
}

/// Ticks of the TSC in a second.
///
/// # Panics
/// Before [`init`].
pub fn tsc_hz() -> u64 {
    clock().hz()
}

/// What the TSC counts at a time.
///
/// # Panics
/// Before [`init`].
pub fn tsc_at(time: Nanos) -> u64 {
    clock().tsc_at(time)
}

/// When the TSC counts this.
///
/// # Panics
/// Before [`init`].
pub fn nanos_at(tsc: u64) -> Nanos {
    clock().nanos(tsc)
}

/// Waits. Only for drivers, at boot.
pub fn delay(nanos: u64) {
    let end = Nanos(now().0.saturating_add(nanos));
    while now() < end {
        core::hint::spin_loop();
    }
}

/// Waits even if the clock has not been started yet, counting with the 8254 then. Only for the
/// end.
pub fn delay_anyhow(nanos: u64) {
    if CLOCK.is_completed() {
        return delay(nanos);
    }
    let pit = pit::Pit::start();
    let end = u128::from(nanos) * u128::from(x86defs::pic::PIT_FREQUENCY_HZ) / 1_000_000_000;
    let mut ticks = pit.read().into();
    let end = u64::try_from(end).unwrap_or(u64::MAX).saturating_add(ticks);
    while ticks < end {
        ticks = hv_boot::clock::extend(ticks, pit.read().into(), 16);
    }
}

/// System time by the TSC.
///
/// # Panics
/// Before [`init`].
pub fn clock() -> &'static TscClock {
    CLOCK.get().expect("the clock is started at boot")
}
