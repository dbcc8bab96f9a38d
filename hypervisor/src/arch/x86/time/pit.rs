//! Channel 2 of the 8254, as a counter (Intel 8254 data sheet).
#![expect(unsafe_code, reason = "claims the timer's ports")]

use x86defs::pic::{PIT_CHANNEL2, PIT_COMMAND, PIT_CONTROL};

use crate::arch::x86::port::Ports;

/// Channel 2, low and high byte, mode 2 (rate generator): counts down and starts over.
const COUNT_FOR_EVER: u8 = 0b1011_0100;
/// Latch channel 2's count.
const LATCH: u8 = 0b1000_0000;
const GATE: u8 = 1 << 0;
const SPEAKER: u8 = 1 << 1;

/// The running channel.
pub struct Pit {
    data: Ports,
    command: Ports,
}

impl Pit {
    /// Makes the channel count 65536 ticks over and over, silently.
    pub fn start() -> Self {
        // SAFETY: the 8254's ports; it does no DMA. The same holds for the two below.
        let data = unsafe { Ports::new(PIT_CHANNEL2) };
        // SAFETY: see above.
        let command = unsafe { Ports::new(PIT_COMMAND) };
        // SAFETY: see above.
        let control = unsafe { Ports::new(PIT_CONTROL) };
        control.write_u8(0, control.read_u8(0) & !SPEAKER | GATE);
        command.write_u8(0, COUNT_FOR_EVER);
        data.write_u8(0, 0);
        data.write_u8(0, 0);
        Self { data, command }
    }

    /// How far the channel has counted, upwards.
    pub fn read(&self) -> u16 {
        self.command.write_u8(0, LATCH);
        let low = self.data.read_u8(0);
        let high = self.data.read_u8(0);
        u16::from_le_bytes([low, high]).wrapping_neg()
    }
}
