//! System time from the time-stamp counter, computed exactly as the paravirtual clock's readers
//! compute it; so what a guest reads and what the hypervisor's timers go by never drift apart.

use xen_abi::xen::{PVCLOCK_TSC_STABLE_BIT, VcpuTimeInfo};

use crate::types::Nanos;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// How system time follows from the TSC: `time + ((tsc - base) << shift) * mul / 2^32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TscClock {
    /// A reading of the TSC.
    base: u64,
    /// The system time of that reading.
    time: Nanos,
    /// Nanoseconds per shifted tick, in 2^-32.
    mul: u32,
    /// Negative is to the right.
    shift: i8,
    /// Whether all pCPUs' TSCs are one, and never stop.
    stable: bool,
    /// The TSC's frequency.
    hz: u64,
}

impl TscClock {
    /// A clock for a TSC of `hz` that reads `base` when system time is `time`. `stable` says that
    /// all pCPUs' TSCs are one, and never stop.
    ///
    /// # Panics
    /// If the frequency is 0.
    pub const fn new(hz: u64, base: u64, time: Nanos, stable: bool) -> Self {
        assert!(hz != 0, "a TSC that doesn't count");
        let mut shift = 0_i8;
        // The multiplier gets its full 32 bits: in [2^31, 2^32).
        let mut ratio = ((NS_PER_SECOND as u128) << 64) / hz as u128;
        while ratio >= 1 << 64 {
            ratio >>= 1;
            shift += 1;
        }
        while ratio < 1 << 63 {
            ratio <<= 1;
            shift -= 1;
        }
        Self { base, time, mul: (ratio >> 32) as u32, shift, stable, hz }
    }

    /// The TSC's frequency, in Hz.
    pub const fn hz(&self) -> u64 {
        self.hz
    }

    /// Multiplier and shift from ticks to nanoseconds, as in `vcpu_time_info`.
    pub const fn scale(&self) -> (u32, i8) {
        (self.mul, self.shift)
    }

    /// The TSC's frequency, in kHz.
    pub const fn khz(&self) -> u32 {
        (self.hz / 1000) as u32
    }

    /// Whether all pCPUs' TSCs are one, and never stop.
    pub const fn is_stable(&self) -> bool {
        self.stable
    }

    /// The system time at a reading of the TSC.
    #[inline]
    pub const fn nanos(&self, tsc: u64) -> Nanos {
        let ticks = tsc.wrapping_sub(self.base);
        let shifted = if self.shift >= 0 { ticks << self.shift } else { ticks >> -self.shift };
        let elapsed = ((shifted as u128 * self.mul as u128) >> 32) as u64;
        Nanos(self.time.0.wrapping_add(elapsed))
    }

    /// The first reading of the TSC at which system time is `at` or later; the base's for times
    /// before that.
    pub const fn tsc_at(&self, at: Nanos) -> u64 {
        let elapsed = at.0.saturating_sub(self.time.0) as u128;
        let shifted = (elapsed << 32).div_ceil(self.mul as u128);
        let ticks = if self.shift >= 0 {
            shifted.div_ceil(1 << self.shift)
        } else {
            shifted << -self.shift
        };
        self.base.wrapping_add(ticks as u64)
    }

    /// The same clock, counted from another reading of the TSC.
    pub const fn rebased(self, tsc: u64) -> Self {
        Self { base: tsc, time: self.nanos(tsc), ..self }
    }

    /// What a guest whose TSC is ahead of the host's by `tsc_offset` (modulo 2^64) is given. The
    /// version is for the caller to fill in.
    pub const fn time_info(&self, tsc_offset: u64) -> VcpuTimeInfo {
        VcpuTimeInfo {
            version: 0,
            _pad0: 0,
            tsc_timestamp: self.base.wrapping_add(tsc_offset),
            system_time: self.time.0,
            tsc_to_system_mul: self.mul,
            tsc_shift: self.shift,
            flags: if self.stable { PVCLOCK_TSC_STABLE_BIT } else { 0 },
            _pad1: [0; 2],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The formula as `xen.h` has it, by someone else's hand.
    fn guest_reads(info: &VcpuTimeInfo, tsc: u64) -> u64 {
        let mut delta = u128::from(tsc.wrapping_sub(info.tsc_timestamp));
        if info.tsc_shift < 0 {
            delta >>= -info.tsc_shift;
        } else {
            delta <<= info.tsc_shift;
        }
        info.system_time + ((delta * u128::from(info.tsc_to_system_mul)) >> 32) as u64
    }

    proptest! {
        #[test]
        fn is_what_guests_compute_and_close_to_the_truth(
            hz in 1_000_000_u64..10_000_000_000,
            base: u64,
            time in 0_u64..1 << 50,
            offset: u64,
            seconds in 0_u64..100_000_000,
            part in 0_u64..1_000_000,
        ) {
            let clock = TscClock::new(hz, base, Nanos(time), true);
            let ticks = seconds * hz.min(100_000_000) + part;
            let tsc = base.wrapping_add(ticks);
            let at = clock.nanos(tsc);
            let info = clock.time_info(offset);
            prop_assert_eq!(guest_reads(&info, tsc.wrapping_add(offset)), at.0);
            prop_assert!(info.tsc_to_system_mul >= 1 << 31);

            let truth = u128::from(ticks) * u128::from(NS_PER_SECOND) / u128::from(hz);
            let error = i128::from(at.0 - time) - truth as i128;
            prop_assert!(error.unsigned_abs() <= truth / (1 << 30) + 3, "{error} of {truth}");
        }

        #[test]
        fn tsc_at_is_the_first_reading(
            hz in 1_000_000_u64..10_000_000_000,
            base in 0_u64..1 << 40,
            after in 0_u64..1 << 45,
        ) {
            let clock = TscClock::new(hz, base, Nanos(1000), false);
            let at = Nanos(1000 + after);
            let tsc = clock.tsc_at(at);
            prop_assert!(clock.nanos(tsc) >= at);
            if tsc > base {
                prop_assert!(clock.nanos(tsc - 1) < at);
            }
        }

        #[test]
        fn rebasing_changes_nothing(
            hz in 100_000_000_u64..10_000_000_000,
            first in 0_u64..1 << 40,
            second in 0_u64..1 << 40,
        ) {
            let clock = TscClock::new(hz, 0, Nanos(0), true);
            let moved = clock.rebased(first);
            let tsc = first + second;
            prop_assert!(clock.nanos(tsc).0.abs_diff(moved.nanos(tsc).0) <= 2);
        }
    }
}
