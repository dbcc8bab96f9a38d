//! The hypervisor's consoles: serial lines, a screen, and the log that dom0 can read.

use hv_boot::info::{BootInfo, Display, Protocol};
use hv_boot::log_ring::{LogRing, ReadRequest};
use hv_boot::options::Options;
use spin::Mutex;

use crate::drivers::uart::Uart;
use crate::drivers::vga_text::VgaText;

mod open;

/// Bytes of log that are kept.
pub const LOG_BYTES: usize = 64 << 10;

struct Consoles {
    serial: [Option<Uart>; 2],
    screen: Option<VgaText>,
}

static CONSOLES: Mutex<Consoles> = Mutex::new(Consoles { serial: [None, None], screen: None });
static LOG: Mutex<LogRing<LOG_BYTES>> = Mutex::new(LogRing::new());

/// Opens the consoles that the options name, and shows on them what was logged before.
pub fn init(options: &Options, info: &BootInfo) {
    let mut consoles = CONSOLES.lock();
    for (index, com) in options.com.iter().enumerate() {
        if options.consoles.com.get(index) == Some(&true) {
            consoles.serial[index] = open::serial(com);
        }
    }
    let text = match info.display {
        Display::VgaText => true,
        Display::Unknown => info.protocol != Protocol::Pvh && !info.efi,
        Display::Linear(_) => false,
    };
    if options.consoles.vga && text {
        consoles.screen = Some(open::vga_text());
    }
    drop(consoles);
    replay();
}

/// Opens every console with its default parameters: for errors before the options are known.
pub fn init_for_emergency() {
    let options = Options::default();
    let mut consoles = CONSOLES.lock();
    if consoles.serial[0].is_none() {
        consoles.serial[0] = open::serial(&options.com[0]);
    }
    if consoles.screen.is_none() {
        consoles.screen = Some(open::vga_text());
    }
}

/// Writes to the consoles and to the log.
pub fn write(text: &[u8]) {
    LOG.lock().push(text);
    show(text);
}

/// Writes to the consoles alone: what a guest's console says.
pub fn show(text: &[u8]) {
    let mut consoles = CONSOLES.lock();
    for uart in consoles.serial.iter_mut().flatten() {
        uart.write(text);
    }
    if let Some(screen) = &mut consoles.screen {
        screen.write(text);
    }
}

/// Reads the log: the number of bytes, and the index to go on from.
pub fn read_log(request: ReadRequest, into: &mut [u8]) -> (usize, u32) {
    LOG.lock().read(request, into)
}

fn replay() {
    let (mut chunk, mut index) = ([0; 256], 0);
    loop {
        let request = ReadRequest { index, incremental: true, clear: false };
        let (count, next) = read_log(request, &mut chunk);
        if count == 0 {
            return;
        }
        show(chunk.get(..count).unwrap_or_default());
        index = next;
    }
}
