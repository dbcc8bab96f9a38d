//! The 16550 UART behind `com1` and `com2`, polled (National Semiconductor PC16550D).

use hv_boot::options::{Parity, SerialOptions};

use crate::arch::port::Ports;

const DATA: u16 = 0;
const INTERRUPT_ENABLE: u16 = 1;
const FIFO_CONTROL: u16 = 2;
const LINE_CONTROL: u16 = 3;
const MODEM_CONTROL: u16 = 4;
const LINE_STATUS: u16 = 5;
const SCRATCH: u16 = 7;

const LINE_CONTROL_DIVISOR: u8 = 0x80;
const LINE_STATUS_DATA: u8 = 0x01;
const LINE_STATUS_EMPTY: u8 = 0x20;
/// Enable, clear both, trigger at 8 bytes.
const FIFO_ENABLE: u8 = 0x87;
/// DTR, RTS, and OUT2, which gates the interrupt line on PCs.
const MODEM_READY: u8 = 0x0B;

const FIFO_BYTES: usize = 16;
/// Polls of a busy transmitter before a byte is given up: the line may be dead.
const TRANSMIT_PATIENCE: u32 = 200_000;

/// A serial line, set up and ready.
#[derive(Debug)]
pub struct Uart {
    ports: Ports,
    /// Bytes that the transmit FIFO still takes without a look at the line status.
    room: usize,
    /// Set when the transmitter got stuck: from then on nothing waits for it.
    stuck: bool,
}

impl Uart {
    /// Sets the UART up. `None` if there is none at its ports.
    pub fn open(ports: Ports, options: &SerialOptions) -> Option<Self> {
        ports.write_u8(SCRATCH, 0x5A);
        if ports.read_u8(SCRATCH) != 0x5A {
            return None;
        }
        let parity = match options.parity {
            Parity::None => 0x00,
            Parity::Odd => 0x08,
            Parity::Even => 0x18,
            Parity::Mark => 0x28,
            Parity::Space => 0x38,
        };
        let stop = if options.stop_bits == 2 { 0x04 } else { 0x00 };
        let format = options.data_bits.wrapping_sub(5) & 0x03 | stop | parity;
        ports.write_u8(INTERRUPT_ENABLE, 0);
        if let Some(baud) = options.baud {
            let divisor = (options.clock / baud).clamp(1, 0xFFFF) as u16;
            let [low, high] = divisor.to_le_bytes();
            ports.write_u8(LINE_CONTROL, format | LINE_CONTROL_DIVISOR);
            ports.write_u8(DATA, low);
            ports.write_u8(INTERRUPT_ENABLE, high);
        }
        ports.write_u8(LINE_CONTROL, format);
        ports.write_u8(FIFO_CONTROL, FIFO_ENABLE);
        ports.write_u8(MODEM_CONTROL, MODEM_READY);
        Some(Self { ports, room: 0, stuck: false })
    }

    /// The ports that it sits at.
    pub fn ports(&self) -> Ports {
        self.ports
    }

    /// Sends text; line feeds are preceded by carriage returns.
    pub fn write(&mut self, text: &[u8]) {
        for &byte in text {
            if byte == b'\n' {
                self.send(b'\r');
            }
            self.send(byte);
        }
    }

    /// The next byte that came in.
    pub fn receive(&mut self) -> Option<u8> {
        let status = self.ports.read_u8(LINE_STATUS);
        // All ones: the UART has gone.
        (status != 0xFF && status & LINE_STATUS_DATA != 0).then(|| self.ports.read_u8(DATA))
    }

    /// Makes the UART raise its interrupt for bytes that come in.
    pub fn enable_receive_interrupt(&mut self) {
        self.ports.write_u8(INTERRUPT_ENABLE, 0x01);
    }

    fn send(&mut self, byte: u8) {
        if self.room == 0 {
            self.wait_for_room();
        }
        self.room = self.room.saturating_sub(1);
        self.ports.write_u8(DATA, byte);
    }

    fn wait_for_room(&mut self) {
        let patience = if self.stuck { 1 } else { TRANSMIT_PATIENCE };
        let empty = |_: &u32| self.ports.read_u8(LINE_STATUS) & LINE_STATUS_EMPTY != 0;
        let found = (0..patience).find(empty).is_some();
        self.stuck = !found;
        self.room = if found { FIFO_BYTES } else { 1 };
    }
}
