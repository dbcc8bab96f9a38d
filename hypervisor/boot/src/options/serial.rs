//! `com1=` and `com2=`: `BAUD[/CLOCK][,DPS[,IOBASE[,IRQ]]]`, any part empty for its default.

use super::{number, split_once};

/// Parity of a serial line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parity {
    /// `n`
    None,
    /// `o`
    Odd,
    /// `e`
    Even,
    /// `m`
    Mark,
    /// `s`
    Space,
}

/// A serial line's parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SerialOptions {
    /// Bits per second; `None` keeps what the firmware set.
    pub baud: Option<u32>,
    /// The UART's base rate in bits per second.
    pub clock: u32,
    /// Data bits, 5 to 8.
    pub data_bits: u8,
    /// Parity.
    pub parity: Parity,
    /// Stop bits, 1 or 2.
    pub stop_bits: u8,
    /// First I/O port.
    pub io_base: u16,
    /// Its ISA interrupt; 0 means polling.
    pub irq: u8,
}

impl SerialOptions {
    const fn at(io_base: u16, irq: u8) -> Self {
        Self {
            baud: Some(115_200),
            clock: 115_200,
            data_bits: 8,
            parity: Parity::None,
            stop_bits: 1,
            io_base,
            irq,
        }
    }

    /// The PC's first serial line.
    pub const fn com1() -> Self {
        Self::at(0x3F8, 4)
    }

    /// The PC's second serial line.
    pub const fn com2() -> Self {
        Self::at(0x2F8, 3)
    }

    /// These parameters with those that `value` names replaced.
    pub(super) fn parsed(&self, value: &[u8]) -> Option<Self> {
        let mut serial = *self;
        let mut parts = value.split(|&byte| byte == b',');
        let mut part = || parts.next().filter(|part| !part.is_empty());
        if let Some(rate) = part() {
            serial.set_rate(rate)?;
        }
        if let Some(format) = part() {
            serial.set_format(format)?;
        }
        if let Some(base) = part() {
            serial.io_base = number(base).and_then(|base| base.try_into().ok())?;
        }
        if let Some(irq) = part() {
            serial.irq = number(irq).and_then(|irq| irq.try_into().ok()).filter(|&irq| irq < 16)?;
        }
        parts.next().is_none().then_some(serial)
    }

    /// `BAUD[/CLOCK]`, where the clock counts Hz and the base rate is a sixteenth of it.
    fn set_rate(&mut self, value: &[u8]) -> Option<()> {
        let (baud, clock) = split_once(value, b'/');
        self.baud = match baud {
            b"auto" => None,
            digits => Some(number(digits).filter(|&baud| baud != 0)?),
        };
        if let Some(clock) = clock {
            self.clock = number(clock).map(|hz| hz / 16).filter(|&rate| rate != 0)?;
        }
        Some(())
    }

    /// `DPS`: data bits, parity, stop bits, such as `8n1`.
    fn set_format(&mut self, value: &[u8]) -> Option<()> {
        let &[data, parity, stop] = value else { return None };
        self.data_bits = matches!(data, b'5'..=b'8').then(|| data - b'0')?;
        self.stop_bits = matches!(stop, b'1' | b'2').then(|| stop - b'0')?;
        self.parity = match parity {
            b'n' => Parity::None,
            b'o' => Parity::Odd,
            b'e' => Parity::Even,
            b'm' => Parity::Mark,
            b's' => Parity::Space,
            _ => return None,
        };
        Some(())
    }
}
