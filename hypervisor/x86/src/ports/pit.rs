//! As much of an 8254 as kernels use to measure other clocks: counters that can be read, the
//! output of channel 2, no interrupts.

use hv_core::types::Nanos;

/// The input clock.
const HZ: u64 = 1_193_182;
const SECOND_NS: u64 = 1_000_000_000;
/// Half a period of the memory refresh signal in port 0x61.
const REFRESH_NS: u64 = 15_085;

/// Port 0x61: channel 2 counts.
const GATE: u8 = 1 << 0;
/// Port 0x61: what can be written.
const WRITABLE: u8 = 0xf;
/// Port 0x61: memory refresh.
const REFRESH: u8 = 1 << 4;
/// Port 0x61: channel 2's output.
const OUTPUT: u8 = 1 << 5;

/// Which byte of a 16-bit value comes next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Next {
    #[default]
    Low,
    High,
}

#[derive(Clone, Copy, Debug, Default)]
struct Channel {
    mode: u8,
    /// Bits 4 and 5 of the control word: 1 low byte, 2 high byte, 3 both.
    access: u8,
    /// The low byte, while the high one is awaited.
    low: u8,
    write_next: Next,
    read_next: Next,
    /// What was written last; 0 means 65536.
    reload: u16,
    started: Nanos,
    latched: Option<u16>,
}

impl Channel {
    fn control(&mut self, word: u8, now: Nanos) {
        match word >> 4 & 3 {
            0 => self.latched = self.latched.or(Some(self.count(now))),
            access => {
                *self = Self { mode: word >> 1 & 7, access, ..Self::default() };
            }
        }
    }

    fn write(&mut self, byte: u8, now: Nanos) {
        let value = match (self.access, self.write_next) {
            (1, _) => u16::from(byte),
            (2, _) => u16::from(byte) << 8,
            (_, Next::Low) => {
                (self.low, self.write_next) = (byte, Next::High);
                return;
            }
            (_, Next::High) => {
                self.write_next = Next::Low;
                u16::from(byte) << 8 | u16::from(self.low)
            }
        };
        (self.reload, self.started) = (value, now);
    }

    /// Reads a byte. Only a count that was latched is real: what is read on the fly is 0, as if
    /// the counter had run out. Linux's early calibration reads so, ten thousands of times while
    /// it finds the count plausible, and has better sources if it does not.
    fn read(&mut self) -> u8 {
        let count = self.latched.unwrap_or(0);
        let high = match self.access {
            1 => false,
            2 => true,
            _ => {
                let high = self.read_next == Next::High;
                self.read_next = if high { Next::Low } else { Next::High };
                high
            }
        };
        if high || self.access != 3 {
            self.latched = None;
        }
        if high { (count >> 8) as u8 } else { count as u8 }
    }

    fn period(&self) -> u64 {
        if self.reload == 0 { 0x1_0000 } else { u64::from(self.reload) }
    }

    fn ticks(&self, now: Nanos) -> u64 {
        let elapsed = now.0.saturating_sub(self.started.0);
        let (seconds, rest) = (elapsed / SECOND_NS, elapsed % SECOND_NS);
        let fraction = rest.saturating_mul(HZ) / SECOND_NS;
        seconds.saturating_mul(HZ).saturating_add(fraction)
    }

    fn count(&self, now: Nanos) -> u16 {
        let ticks = self.ticks(now);
        let into = match self.mode {
            // Rate generator and square wave reload; the others count on from 65536.
            2 | 3 | 6 | 7 => ticks.checked_rem(self.period()).unwrap_or(0),
            _ => ticks,
        };
        self.period().wrapping_sub(into) as u16
    }

    /// The output, of which only mode 0's is exact: low until the count has run out.
    fn output(&self, now: Nanos) -> bool {
        self.ticks(now) >= self.period()
    }
}

/// The timer's state.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pit {
    channels: [Channel; 3],
    port_61: u8,
}

impl Pit {
    /// Reads port 0x40 to 0x43.
    pub fn read(&mut self, port: u16) -> u8 {
        self.channels.get_mut(usize::from(port & 3)).map_or(0, Channel::read)
    }

    /// Writes port 0x40 to 0x43.
    pub fn write(&mut self, port: u16, byte: u8, now: Nanos) {
        // The control word names its channel; 3 would be the read-back command.
        let (channel, is_control) =
            if port & 3 == 3 { (byte >> 6, true) } else { (port as u8 & 3, false) };
        let Some(channel) = self.channels.get_mut(usize::from(channel)) else { return };
        if is_control {
            channel.control(byte, now);
        } else {
            channel.write(byte, now);
        }
    }

    /// Reads port 0x61.
    pub fn read_61(&self, now: Nanos) -> u8 {
        let [_, _, speaker] = &self.channels;
        let output = if speaker.output(now) { OUTPUT } else { 0 };
        let refresh = if (now.0 / REFRESH_NS) & 1 != 0 { REFRESH } else { 0 };
        self.port_61 & WRITABLE | output | refresh
    }

    /// Writes port 0x61. A rising gate restarts channel 2.
    pub fn write_61(&mut self, byte: u8, now: Nanos) {
        let rising = byte & !self.port_61 & GATE != 0;
        self.port_61 = byte & WRITABLE;
        let [_, _, speaker] = &mut self.channels;
        if rising {
            speaker.started = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Linux's `quick_pit_calibrate` must give up after a few reads.
    #[test]
    fn quick_calibration_ends_at_once() {
        let mut pit = Pit::default();
        let now = Nanos(1_000_000);
        pit.write_61(pit.read_61(now) & !2 | 1, now);
        pit.write(0x43, 0xb0, now);
        pit.write(0x42, 0xff, now);
        pit.write(0x42, 0xff, now);
        for _ in 0..4 {
            assert_eq!(pit.read(0x42), 0);
        }
    }

    #[test]
    fn channel_2_measures_time() {
        let mut pit = Pit::default();
        let start = 5_000_000;
        pit.write_61(1, Nanos(start));
        pit.write(0x43, 0xb0, Nanos(start));
        // 10 ms.
        pit.write(0x42, (11932u16 & 0xff) as u8, Nanos(start));
        pit.write(0x42, (11932u16 >> 8) as u8, Nanos(start));
        assert_eq!(pit.read_61(Nanos(start + 9_990_000)) & OUTPUT, 0);
        assert_eq!(pit.read_61(Nanos(start + 10_010_000)) & OUTPUT, OUTPUT);
        pit.write(0x43, 0x80, Nanos(start + 5_000_000));
        let count = u16::from(pit.read(0x42)) | u16::from(pit.read(0x42)) << 8;
        assert!((5960..=5970).contains(&count), "{count}");
        assert_eq!((pit.read(0x42), pit.read(0x42)), (0, 0), "latched once");
    }

    #[test]
    fn channel_0_reloads() {
        let mut pit = Pit::default();
        pit.write(0x43, 0x34, Nanos(0));
        pit.write(0x40, 0, Nanos(0));
        pit.write(0x40, 0, Nanos(0));
        let mut last = 0;
        for step in 0..100u64 {
            pit.write(0x43, 0, Nanos(step * 10_000_000));
            let count = u16::from(pit.read(0x40)) | u16::from(pit.read(0x40)) << 8;
            let ticks = step * 10_000_000 * HZ / SECOND_NS;
            assert_eq!(count, (0x1_0000 - ticks % 0x1_0000) as u16);
            last = count;
        }
        assert_ne!(last, 0);
        assert_eq!(pit.read(0x43), 0);
        pit.write(0x43, 0xc2, Nanos(0));
    }
}
