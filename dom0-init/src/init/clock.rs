//! The clock: the kernel sets it from the RTC (or the hypervisor); here it is checked.

use anyhow::{Context, bail};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::Host;

/// No Xenolith ran before this: 2026-01-01T00:00:00Z.
const EARLIEST: i64 = 1_767_225_600;

/// Makes sure that the time is plausible, taking it from the RTC if it isn't. The time zone of
/// the control domain is UTC.
///
/// # Errors
/// When neither the system clock nor the RTC has a plausible time.
pub fn check(_host: &mut Host) -> anyhow::Result<String> {
    let now = clock_gettime(ClockId::Realtime).tv_sec;
    if now >= EARLIEST {
        return Ok(format!("{}, set by the kernel", utc(now)));
    }
    let rtc = read_rtc().with_context(|| {
        format!(
            "the system's time is {} and there is no RTC to correct it from; \
             certificates and log times will be wrong until a time server answers",
            utc(now)
        )
    })?;
    if rtc < EARLIEST {
        bail!("the RTC says {}: set it in the firmware's setup", utc(rtc));
    }
    clock_settime(ClockId::Realtime, Timespec { tv_sec: rtc, tv_nsec: 0 })
        .context("can't set the system's time")?;
    Ok(format!("{}, set from the RTC", utc(rtc)))
}

/// The RTC's time, in seconds since 1970.
fn read_rtc() -> anyhow::Result<i64> {
    const FILE: &str = "/sys/class/rtc/rtc0/since_epoch";
    let text = std::fs::read_to_string(FILE).context(FILE)?;
    text.trim().parse().with_context(|| format!("{FILE}: {:?} is no number", text.trim()))
}

/// `2026-11-22 06:36:00 UTC`: civil time from seconds since 1970 (proleptic Gregorian).
pub fn utc(seconds: i64) -> String {
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Days from 0000-03-01; years then begin in March, so that the leap day is a year's last.
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn civil_time() {
        assert_eq!(utc(0), "1970-01-01 00:00:00 UTC");
        assert_eq!(utc(EARLIEST), "2026-01-01 00:00:00 UTC");
        assert_eq!(utc(951_827_696), "2000-02-29 12:34:56 UTC");
        assert_eq!(utc(1_709_251_199), "2024-02-29 23:59:59 UTC");
        assert_eq!(utc(1_709_251_200), "2024-03-01 00:00:00 UTC");
        assert_eq!(utc(-1), "1969-12-31 23:59:59 UTC");
    }
}
