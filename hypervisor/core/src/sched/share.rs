//! A domain's share of the machine: its weight, its cap, and whether it is paused.
//!
//! A cap is a budget of running time per period, common to all vCPUs of the domain. A vCPU that
//! finds the budget spent waits for the next period.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use spin::Mutex;

use crate::types::Nanos;

/// The weight that a domain starts with.
pub const DEFAULT_WEIGHT: u16 = 256;
/// How often a capped domain's budget is refilled, in ns.
pub const CAP_PERIOD_NS: u64 = 20_000_000;

/// What the vCPUs of a domain have in common for the scheduler.
pub struct DomainShare {
    pauses: AtomicU32,
    /// Whether a shutdown waits for the vCPUs to stop running.
    stopping: AtomicBool,
    weight: AtomicU32,
    /// Percent of one pCPU; 0 is no limit.
    cap: AtomicU32,
    budget: Mutex<Budget>,
}

#[derive(Default)]
struct Budget {
    /// May be negative: what was overrun is paid back in the next period.
    left_ns: i64,
    period_end: Nanos,
}

impl DomainShare {
    /// The share of a new domain.
    pub const fn new() -> Self {
        Self {
            pauses: AtomicU32::new(0),
            stopping: AtomicBool::new(false),
            weight: AtomicU32::new(DEFAULT_WEIGHT as u32),
            cap: AtomicU32::new(0),
            budget: Mutex::new(Budget { left_ns: 0, period_end: Nanos(0) }),
        }
    }

    /// The weight: running time is shared in proportion to it. Never 0.
    pub fn weight(&self) -> u16 {
        u16::try_from(self.weight.load(Ordering::Relaxed)).unwrap_or(u16::MAX).max(1)
    }

    /// Changes the weight; 0 counts as 1.
    pub(super) fn set_weight(&self, weight: u16) {
        self.weight.store(u32::from(weight.max(1)), Ordering::Relaxed);
    }

    /// The cap, in percent of one pCPU; 0 is no limit.
    pub fn cap(&self) -> u16 {
        u16::try_from(self.cap.load(Ordering::Relaxed)).unwrap_or(u16::MAX)
    }

    /// Changes the cap. It counts from the next period on.
    pub(super) fn set_cap(&self, percent: u16) {
        self.cap.store(u32::from(percent), Ordering::Relaxed);
    }

    /// Whether the domain as a whole is kept from running.
    pub fn is_paused(&self) -> bool {
        self.pauses.load(Ordering::SeqCst) != 0
    }

    /// Adds one reason to be paused.
    pub(crate) fn pause(&self) {
        self.pauses.fetch_add(1, Ordering::SeqCst);
    }

    /// Takes one reason away.
    pub(crate) fn unpause(&self) {
        let before = self.pauses.fetch_sub(1, Ordering::SeqCst);
        assert!(before > 0, "a domain was unpaused more often than it was paused");
    }

    /// Whether a shutdown waits for the vCPUs to stop running.
    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    pub(crate) fn set_stopping(&self, stopping: bool) {
        self.stopping.store(stopping, Ordering::SeqCst);
    }

    /// Notes that a vCPU of the domain ran for `ran_ns`.
    pub(super) fn charge(&self, ran_ns: u64) {
        if self.cap() != 0 {
            let mut budget = self.budget.lock();
            budget.left_ns =
                budget.left_ns.saturating_sub(i64::try_from(ran_ns).unwrap_or(i64::MAX));
        }
    }

    /// Whether the cap lets the domain run now.
    pub(super) fn may_run(&self, now: Nanos) -> bool {
        !matches!(self.allowance(now), Allowance::From(_))
    }

    /// What the domain may run for now.
    pub(super) fn allowance(&self, now: Nanos) -> Allowance {
        let cap = i64::from(self.cap());
        if cap == 0 {
            return Allowance::Unlimited;
        }
        let mut budget = self.budget.lock();
        if now >= budget.period_end {
            let period = i64::try_from(CAP_PERIOD_NS).unwrap_or(i64::MAX) / 100 * cap;
            budget.left_ns = budget.left_ns.min(0).saturating_add(period);
            budget.period_end = Nanos(now.0.saturating_add(CAP_PERIOD_NS));
        }
        match u64::try_from(budget.left_ns) {
            Ok(left) if left > 0 => Allowance::For(left),
            _ => Allowance::From(budget.period_end),
        }
    }
}

impl Default for DomainShare {
    fn default() -> Self {
        Self::new()
    }
}

/// What a domain's cap allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Allowance {
    /// There is no cap.
    Unlimited,
    /// This many ns are left in this period.
    For(u64),
    /// Nothing is left before this time.
    From(Nanos),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overrun_is_paid_back() {
        let share = DomainShare::new();
        assert_eq!(share.allowance(Nanos(0)), Allowance::Unlimited);
        share.set_cap(50);
        assert_eq!(share.allowance(Nanos(5)), Allowance::For(CAP_PERIOD_NS / 2));
        share.charge(CAP_PERIOD_NS / 2 + 100);
        assert_eq!(share.allowance(Nanos(10)), Allowance::From(Nanos(5 + CAP_PERIOD_NS)));
        let next = Nanos(5 + CAP_PERIOD_NS);
        assert_eq!(share.allowance(next), Allowance::For(CAP_PERIOD_NS / 2 - 100));
    }
}
