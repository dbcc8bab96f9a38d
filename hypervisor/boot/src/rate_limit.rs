//! A limit on how often something is done, such as logging what a guest does wrong.

/// Allows bursts, and a steady rate in the long run.
#[derive(Clone, Copy, Debug)]
pub struct RateLimit {
    burst: u32,
    interval_ns: u64,
    left: u32,
    /// When the last allowance was added.
    filled: u64,
    suppressed: u32,
}

/// Whether to go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Go on; so many were suppressed since the last time.
    Allowed {
        /// How many.
        suppressed: u32,
    },
    /// Not now.
    Suppressed,
}

impl RateLimit {
    /// At most `burst` at once, and one more each `interval_ns` nanoseconds.
    pub const fn new(burst: u32, interval_ns: u64) -> Self {
        Self { burst, interval_ns, left: burst, filled: 0, suppressed: 0 }
    }

    /// Asks at time `now`, in nanoseconds, which never goes backwards.
    pub fn ask(&mut self, now: u64) -> Verdict {
        let earned = now.saturating_sub(self.filled) / self.interval_ns;
        if earned > 0 {
            self.filled += earned * self.interval_ns;
            let earned = u32::try_from(earned).unwrap_or(u32::MAX);
            self.left = self.left.saturating_add(earned).min(self.burst);
        }
        if self.left == 0 {
            self.suppressed = self.suppressed.saturating_add(1);
            return Verdict::Suppressed;
        }
        self.left -= 1;
        Verdict::Allowed { suppressed: core::mem::take(&mut self.suppressed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_a_steady_rate() {
        let mut limit = RateLimit::new(3, 100);
        let allowed = Verdict::Allowed { suppressed: 0 };
        assert_eq!(
            [(); 4].map(|()| limit.ask(50)),
            [allowed, allowed, allowed, Verdict::Suppressed]
        );
        assert_eq!(limit.ask(99), Verdict::Suppressed);
        assert_eq!(limit.ask(100), Verdict::Allowed { suppressed: 2 });
        assert_eq!(limit.ask(150), Verdict::Suppressed);
        assert_eq!(limit.ask(10_000), Verdict::Allowed { suppressed: 1 });
        assert_eq!([(); 3].map(|()| limit.ask(10_000)), [allowed, allowed, Verdict::Suppressed]);
    }
}
