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

use hv_boot::clock::Rate;
use hv_core::types::Nanos;
use spin::Once;

pub use rtc::wall_clock_at_boot;
pub use timer::{enable as enable_timer, set_deadline};
pub use tsc::{check_against_boot_cpu, read as read_tsc, serve_check};

/// How the TSC measures time.
#[derive(Clone, Copy, Debug)]
struct Clock {
    rate: Rate,
    /// What the TSC counted at time 0.
    start: u64,
}

static CLOCK: Once<Clock> = Once::new();

/// Finds out the rates of the TSC and the local APIC's timer, and starts the clock. `start` is
/// the TSC's value at the hypervisor's entry, which is time 0.
pub fn init(start: u64) {
    let rates = calibrate::run();
    CLOCK.call_once(|| Clock { rate: rates.tsc, start });
    let mhz = rates.tsc.hz() / 1000;
    info!("TSC: {}.{:03} MHz, by {}", mhz / 1000, mhz % 1000, rates.by);
    timer::init(rates.apic_timer);
    rtc::init();
}

/// The time since the hypervisor's start; the same on all CPUs. 0 before [`init`].
pub fn now() -> Nanos {
    CLOCK
        .get()
        .map_or(Nanos(0), |clock| Nanos(clock.rate.nanos(tsc::read().saturating_sub(clock.start))))
}

/// Ticks of the TSC in a second.
///
/// # Panics
/// Before [`init`].
pub fn tsc_hz() -> u64 {
    clock().rate.hz()
}

/// What the TSC counts at a time.
///
/// # Panics
/// Before [`init`].
pub fn tsc_at(time: Nanos) -> u64 {
    let clock = clock();
    clock.start.saturating_add(clock.rate.ticks(time.0))
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

fn clock() -> &'static Clock {
    CLOCK.get().expect("the clock is started at boot")
}
