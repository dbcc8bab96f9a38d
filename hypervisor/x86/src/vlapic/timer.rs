//! The local APIC's timer as arithmetic on deadlines: one-shot, periodic, TSC deadline.
//!
//! Nothing counts here. The state remembers when the count was loaded; the current count and
//! the next [`Deadline`] are computed from the clock that the caller passes.

use hv_core::types::Nanos;
use x86defs::apic::{Lvt, timer_divisor};

use super::regs::DIVIDE_BITS;

/// Length of the timer's input clock. Guests measure it; it is Xen's, so that a saved count
/// keeps its meaning.
pub const BUS_CYCLE_NS: u64 = 10;

/// A periodic timer does not fire more often than this, whatever the guest asks.
const MIN_PERIOD_NS: u64 = 100_000;

/// When a local APIC's timer has to be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// A point of system time.
    At(Nanos),
    /// A value of the guest's TSC.
    Tsc(u64),
}

/// The timer's mode, from its local vector entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Fires once and stays at 0.
    OneShot,
    /// Reloads the initial count.
    Periodic,
    /// Fires when the TSC reaches a value.
    TscDeadline,
}

impl Mode {
    /// Decodes bits 17 and 18 of the local vector entry. The reserved value counts as one-shot.
    pub const fn from_lvt(lvt: Lvt) -> Self {
        match lvt.bits() >> 17 & 3 {
            1 => Self::Periodic,
            2 => Self::TscDeadline,
            _ => Self::OneShot,
        }
    }
}

/// The timer's registers and the moment that they count from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Timer {
    initial: u32,
    divide: u32,
    started: Nanos,
    /// A one-shot or periodic count is running.
    running: bool,
    tsc_deadline: u64,
}

impl Timer {
    /// A timer that does not count.
    pub(super) const fn stopped(divide: u32, tsc_deadline: u64) -> Self {
        Self { initial: 0, divide, started: Nanos(0), running: false, tsc_deadline }
    }

    /// The initial count.
    pub const fn initial(&self) -> u32 {
        self.initial
    }

    /// The divide configuration register.
    pub const fn divide(&self) -> u32 {
        self.divide
    }

    /// The TSC deadline; 0 if none is armed.
    pub const fn tsc_deadline(&self) -> u64 {
        self.tsc_deadline
    }

    const fn tick_ns(&self) -> u64 {
        BUS_CYCLE_NS.wrapping_mul(timer_divisor(self.divide) as u64)
    }

    const fn period_ns(&self) -> u64 {
        self.tick_ns().wrapping_mul(self.initial as u64)
    }

    /// Loads the initial count, which starts (or with 0 stops) the timer.
    pub fn load(&mut self, initial: u32, now: Nanos) {
        self.initial = initial;
        self.started = now;
        self.running = initial != 0;
    }

    /// Restarts with `current` ticks left of the initial count: for a restored APIC.
    pub fn resume(&mut self, current: u32, now: Nanos) {
        let done = u64::from(self.initial.saturating_sub(current));
        self.started = Nanos(now.0.wrapping_sub(done.wrapping_mul(self.tick_ns())));
        self.running = self.initial != 0 && current != 0;
    }

    /// Sets the divider. The count goes on from where it is.
    pub fn set_divide(&mut self, divide: u32, mode: Mode, now: Nanos) {
        let current = self.current(mode, now);
        self.divide = divide & DIVIDE_BITS;
        if self.running {
            self.resume(current, now);
        }
    }

    /// Arms the TSC deadline; 0 disarms it.
    pub fn set_tsc_deadline(&mut self, deadline: u64) {
        self.tsc_deadline = deadline;
    }

    /// Stops everything: what a change to or from TSC-deadline mode does.
    pub fn stop(&mut self) {
        self.running = false;
        self.initial = 0;
        self.tsc_deadline = 0;
    }

    /// The current count register.
    pub fn current(&self, mode: Mode, now: Nanos) -> u32 {
        if !self.running {
            return 0;
        }
        let initial = u64::from(self.initial);
        let ticks = self.elapsed(now).checked_div(self.tick_ns()).unwrap_or(0);
        let left = match mode {
            Mode::OneShot => initial.saturating_sub(ticks),
            Mode::Periodic => initial.saturating_sub(ticks.checked_rem(initial).unwrap_or(0)),
            Mode::TscDeadline => 0,
        };
        left as u32
    }

    const fn elapsed(&self, now: Nanos) -> u64 {
        // Signed: a resumed count may have started before time 0, and a reload that is held
        // back starts in the future.
        let elapsed = now.0.wrapping_sub(self.started.0).cast_signed();
        if elapsed < 0 { 0 } else { elapsed.cast_unsigned() }
    }

    /// When the timer has to be looked at next.
    pub fn deadline(&self, mode: Mode) -> Option<Deadline> {
        match mode {
            Mode::TscDeadline => {
                (self.tsc_deadline != 0).then_some(Deadline::Tsc(self.tsc_deadline))
            }
            _ if !self.running => None,
            _ => Some(Deadline::At(Nanos(self.started.0.wrapping_add(self.period_ns())))),
        }
    }

    /// Whether the timer fires at this moment. If so it is reloaded or stopped.
    pub fn expire(&mut self, mode: Mode, now: Nanos, tsc: u64) -> bool {
        match mode {
            Mode::TscDeadline => {
                let due = self.tsc_deadline != 0 && tsc >= self.tsc_deadline;
                if due {
                    self.tsc_deadline = 0;
                }
                due
            }
            _ if !self.running || self.elapsed(now) < self.period_ns() => false,
            Mode::OneShot => {
                self.running = false;
                true
            }
            Mode::Periodic => {
                self.reload(now);
                true
            }
        }
    }

    /// Starts the next period: the one that `now` is in, so that a vCPU that was not run for
    /// long gets one tick and not all that it missed. Short periods are joined.
    fn reload(&mut self, now: Nanos) {
        let period = self.period_ns().max(1);
        let into = self.elapsed(now).checked_rem(period).unwrap_or(0);
        let joined = MIN_PERIOD_NS.div_ceil(period).max(1).wrapping_sub(1).wrapping_mul(period);
        self.started = Nanos(now.0.wrapping_sub(into).wrapping_add(joined));
    }
}
