//! Clock arithmetic: counters' rates, calibration, the real-time clock's date.

/// A counter's rate, ready for conversion: nanoseconds are `ticks * multiplier >> 32`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    hz: u64,
    multiplier: u64,
}

const NANOS: u64 = 1_000_000_000;

impl Rate {
    /// The rate of `hz` ticks in a second. `None` for rates below 1 kHz, which no counter has.
    pub fn new(hz: u64) -> Option<Self> {
        if hz < 1000 {
            return None;
        }
        let multiplier = (u128::from(NANOS) << 32) / u128::from(hz);
        Some(Self { hz, multiplier: multiplier as u64 })
    }

    /// Ticks in a second.
    pub fn hz(self) -> u64 {
        self.hz
    }

    /// How long so many ticks take.
    pub fn nanos(self, ticks: u64) -> u64 {
        ((u128::from(ticks) * u128::from(self.multiplier)) >> 32) as u64
    }

    /// How many ticks pass in so many nanoseconds, rounded up: waiting for them is never too
    /// short. Saturates.
    pub fn ticks(self, nanos: u64) -> u64 {
        let ticks = (u128::from(nanos) * u128::from(self.hz)).div_ceil(u128::from(NANOS));
        u64::try_from(ticks).unwrap_or(u64::MAX)
    }
}

/// One reading of two counters at (nearly) the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The counter of known rate, extended to 64 bits.
    pub reference: u64,
    /// The counter that is calibrated, halfway through the reading.
    pub counter: u64,
    /// How many of its ticks the reading took: the smaller, the better.
    pub cost: u64,
}

/// A counter's rate in Hz, from a sample at the beginning and one at the end.
pub fn calibrate(reference_hz: u64, begin: Sample, end: Sample) -> Option<u64> {
    let reference = u128::from(end.reference.checked_sub(begin.reference)?);
    let counter = u128::from(end.counter.checked_sub(begin.counter)?);
    let hz = (counter * u128::from(reference_hz)).checked_div(reference)?;
    u64::try_from(hz).ok()
}

/// Extends a counter of `bits` bits that wraps to 64 bits. `now` is its new reading, `extended`
/// the last result; at most one wrap may lie between them.
pub fn extend(extended: u64, now: u64, bits: u32) -> u64 {
    let mask = if bits >= 64 { u64::MAX } else { (1 << bits) - 1 };
    extended.wrapping_add(now.wrapping_sub(extended) & mask)
}

/// A date and time, as the real-time clock has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DateTime {
    /// With the century.
    pub year: u32,
    /// 1 to 12.
    pub month: u32,
    /// 1 to 31.
    pub day: u32,
    /// 0 to 23.
    pub hour: u32,
    /// 0 to 59.
    pub minute: u32,
    /// 0 to 59.
    pub second: u32,
}

/// The registers of an MC146818 that make a [`DateTime`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RtcRegisters {
    /// Register 0.
    pub second: u8,
    /// Register 2.
    pub minute: u8,
    /// Register 4; bit 7 is PM in 12-hour mode.
    pub hour: u8,
    /// Register 7.
    pub day: u8,
    /// Register 8.
    pub month: u8,
    /// Register 9.
    pub year: u8,
    /// Register B: bit 1 is 24-hour mode, bit 2 binary instead of decimal digits.
    pub status: u8,
}

impl RtcRegisters {
    /// The date and time, if it is one. The century is this one: the register for it is at no
    /// fixed place.
    pub fn decode(self) -> Option<DateTime> {
        let binary = self.status & 0x04 != 0;
        let number = |register: u8| {
            let digits = u32::from(register >> 4) * 10 + u32::from(register & 0xF);
            if binary { u32::from(register) } else { digits }
        };
        let hour = if self.status & 0x02 != 0 {
            number(self.hour)
        } else {
            let afternoon = if self.hour & 0x80 != 0 { 12 } else { 0 };
            number(self.hour & 0x7F) % 12 + afternoon
        };
        let date = DateTime {
            year: 2000 + number(self.year),
            month: number(self.month),
            day: number(self.day),
            hour,
            minute: number(self.minute),
            second: number(self.second),
        };
        let sound = (1..=12).contains(&date.month)
            && (1..=31).contains(&date.day)
            && date.hour < 24
            && date.minute < 60
            && date.second < 60
            && date.year < 2100;
        sound.then_some(date)
    }
}

impl DateTime {
    /// Seconds since 1970-01-01 00:00:00.
    pub fn unix_seconds(self) -> u64 {
        // Counting years from March puts the leap day at the end; a 400-year era has 146097 days.
        let year = u64::from(self.year) - u64::from(self.month <= 2);
        let month = u64::from((self.month + 9) % 12);
        let day_of_year = (153 * month + 2) / 5 + u64::from(self.day) - 1;
        let day_of_era = year % 400 * 365 + year % 400 / 4 - year % 400 / 100 + day_of_year;
        let days = year / 400 * 146_097 + day_of_era - 719_468;
        let minutes = (days * 24 + u64::from(self.hour)) * 60 + u64::from(self.minute);
        minutes * 60 + u64::from(self.second)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn conversions_are_precise(hz in 1_000_000..10_000_000_000u64, nanos in 0..1u64 << 60) {
            let rate = Rate::new(hz).unwrap();
            let back = rate.nanos(rate.ticks(nanos));
            // The multiplier's 32 fraction bits are good to a part in 2^32 / (10^9 / hz).
            let error = nanos / 100_000_000 + 1 + NANOS.div_ceil(hz);
            prop_assert!(back.abs_diff(nanos) <= error, "{} for {}", back, nanos);
        }

        #[test]
        fn extension_survives_wraps(steps in prop::collection::vec(0..1u64 << 24, 1..50)) {
            let (mut extended, mut truth) = (0, 0u64);
            for step in steps {
                truth += step;
                extended = extend(extended, truth & 0xFF_FFFF, 24);
                prop_assert_eq!(extended, truth);
            }
        }
    }

    #[test]
    fn calibration_divides() {
        let sample = |reference, counter| Sample { reference, counter, cost: 0 };
        let hz = calibrate(3_579_545, sample(100, 5_000), sample(35_895, 25_005_000));
        assert_eq!(hz, Some(2_500_031_428));
        assert_eq!(calibrate(1, sample(1, 0), sample(1, 5)), None);
        assert_eq!(calibrate(1, sample(2, 0), sample(1, 5)), None);
    }

    #[test]
    fn dates_are_seconds() {
        let registers = RtcRegisters {
            second: 0x59,
            minute: 0x30,
            hour: 0x12,
            day: 0x29,
            month: 0x02,
            year: 0x24,
            status: 0x02,
        };
        assert_eq!(registers.decode().unwrap().unix_seconds(), 1_709_209_859);
        let afternoon = RtcRegisters { hour: 0x81, status: 0, ..registers };
        assert_eq!(afternoon.decode().unwrap().hour, 13);
        let midnight = RtcRegisters { hour: 0x12, status: 0, ..registers };
        assert_eq!(midnight.decode().unwrap().hour, 0);
        let binary =
            RtcRegisters { second: 59, day: 22, year: 26, month: 11, status: 0x06, ..registers };
        assert_eq!((binary.decode().unwrap().year, binary.decode().unwrap().month), (2026, 11));
        assert_eq!(RtcRegisters { month: 0, ..registers }.decode(), None);
        let epoch = DateTime { year: 1970, month: 1, day: 1, hour: 0, minute: 0, second: 0 };
        assert_eq!(epoch.unix_seconds(), 0);
    }
}
