//! The wall clock: the CMOS real-time clock (Motorola MC146818), read once at boot.
#![expect(unsafe_code, reason = "claims the clock's ports")]

use hv_boot::clock::{DateTime, RtcRegisters};
use spin::Once;
use x86defs::pic::RTC_INDEX;

use super::now;
use crate::arch::x86::port::Ports;

const STATUS_A: u8 = 0x0A;
const STATUS_B: u8 = 0x0B;
const UPDATE_IN_PROGRESS: u8 = 0x80;
/// An update takes about 2 ms; a clock that is busy for longer is none.
const PATIENCE: u32 = 100_000;

static SECONDS_AT_BOOT: Once<Option<u64>> = Once::new();

/// Seconds since 1970 at time 0; `None` if there is no clock.
pub fn wall_clock_at_boot() -> Option<u64> {
    SECONDS_AT_BOOT.get().copied().flatten()
}

/// Reads the clock.
pub(super) fn init() {
    let date = read();
    match date {
        Some(DateTime { year, month, day, hour, minute, second }) => {
            info!("wall clock: {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
        }
        None => warning!("no real-time clock: the wall clock starts at 1970"),
    }
    let running = now().0 / 1_000_000_000;
    SECONDS_AT_BOOT.call_once(|| date.map(|date| date.unix_seconds().saturating_sub(running)));
}

/// Reads until two readings agree: none then was in the middle of an update.
fn read() -> Option<DateTime> {
    // SAFETY: the clock's ports; it does no DMA. Dom0, which also uses it, doesn't run yet.
    let ports = unsafe { Ports::new(RTC_INDEX) };
    let mut last = None;
    for _ in 0..5 {
        (0..PATIENCE).find(|_| register(ports, STATUS_A) & UPDATE_IN_PROGRESS == 0)?;
        let registers = RtcRegisters {
            second: register(ports, 0),
            minute: register(ports, 2),
            hour: register(ports, 4),
            day: register(ports, 7),
            month: register(ports, 8),
            year: register(ports, 9),
            status: register(ports, STATUS_B),
        };
        if last == Some(registers) {
            return registers.decode();
        }
        last = Some(registers);
    }
    None
}

fn register(ports: Ports, index: u8) -> u8 {
    ports.write_u8(0, index);
    ports.read_u8(1)
}
