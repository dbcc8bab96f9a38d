//! The clock: the kernel sets it from the RTC (or the hypervisor); here it is checked.

use anyhow::{Context, bail};
use rustix::time::{ClockId, Timespec, clock_gettime, clock_settime};

use super::Host;

pub use catalogue::time::utc;

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
