//! The hypervisor's consoles: serial lines, a screen, the log that dom0 can read, and what is
//! typed.
//!
//! Locks: none is held while another one is taken.
#![expect(unsafe_code, reason = "takes the consoles' locks from CPUs that were stopped")]

use arrayvec::ArrayVec;
use hv_boot::info::BootInfo;
use hv_boot::log_ring::{LogRing, ReadRequest};
use hv_boot::options::Options;
use hv_core::types::DomId;
use spin::Mutex;

use crate::drivers::uart::Uart;
use screen::Screen;

pub mod debug_keys;
pub mod input;
mod open;
mod screen;

/// Bytes of log that are kept.
pub const LOG_BYTES: usize = 64 << 10;

struct Consoles {
    serial: [Option<Serial>; 2],
    screen: Option<Screen>,
}

/// An open serial line.
struct Serial {
    uart: Uart,
    irq: u8,
}

static CONSOLES: Mutex<Consoles> = Mutex::new(Consoles { serial: [None, None], screen: None });
static LOG: Mutex<LogRing<LOG_BYTES>> = Mutex::new(LogRing::new());

/// Opens the consoles that the options name, and shows on them what was logged before.
pub fn init(options: &Options, info: &BootInfo) {
    let mut consoles = CONSOLES.lock();
    let wanted = options.consoles.com.iter().zip(&options.com);
    for (place, (_, com)) in consoles.serial.iter_mut().zip(wanted).filter(|(_, (on, _))| **on) {
        *place = open::serial(com).map(|uart| Serial { uart, irq: com.irq });
    }
    if options.consoles.vga {
        consoles.screen = open::screen(info);
    }
    replay(&mut consoles, true);
}

/// Opens the screen if that was impossible in [`init`], for it lies beyond what the boot page
/// tables map.
pub fn init_late_screen(options: &Options, info: &BootInfo) {
    let mut consoles = CONSOLES.lock();
    if options.consoles.vga && consoles.screen.is_none() {
        consoles.screen = open::screen(info);
        replay(&mut consoles, false);
    }
}

/// Leaves the screen to dom0, unless the user wants to keep it.
pub fn relinquish_screen(options: &Options) {
    if !options.vga_keep && CONSOLES.lock().screen.is_some() {
        say!("the screen is dom0's from here (vga=keep changes that)");
        CONSOLES.lock().screen = None;
    }
}

/// Writes to the consoles and to the log.
pub fn write(text: &[u8]) {
    LOG.lock().push(text);
    show(text);
}

/// Writes to the consoles alone: what a guest's console says.
pub fn show(text: &[u8]) {
    CONSOLES.lock().show(text);
}

/// Reads the log: the number of bytes, and the index to go on from.
pub fn read_log(request: ReadRequest, into: &mut [u8]) -> (usize, u32) {
    LOG.lock().read(request, into)
}

/// Empties the log.
pub fn clear_log() {
    LOG.lock().clear();
}

/// The serial lines in use: first I/O port and ISA interrupt (0 for none). Dom0 must have
/// neither.
pub fn serial_lines() -> ArrayVec<(u16, u8), 2> {
    let consoles = CONSOLES.lock();
    consoles.serial.iter().flatten().map(|line| (line.uart.ports().base(), line.irq)).collect()
}

/// Prepares for the last messages: every other CPU has stopped, perhaps with a lock held; if no
/// console is open, the usual ones are opened.
pub fn init_for_emergency() {
    // SAFETY: the CPU that held the lock, if any, never runs again. At worst a line is garbled.
    unsafe { LOG.force_unlock() };
    // SAFETY: as above.
    unsafe { CONSOLES.force_unlock() };
    // SAFETY: as above.
    unsafe { screen::unlock_for_emergency() };
    let mut consoles = CONSOLES.lock();
    if consoles.serial.iter().all(Option::is_none) && consoles.screen.is_none() {
        let options = Options::default();
        let com = &options.com[0];
        consoles.serial[0] = open::serial(com).map(|uart| Serial { uart, irq: 0 });
        consoles.screen = Some(open::vga_text());
        replay(&mut consoles, true);
    }
}

impl Consoles {
    fn show(&mut self, text: &[u8]) {
        for serial in self.serial.iter_mut().flatten() {
            serial.uart.write(text);
        }
        if let Some(screen) = &mut self.screen {
            screen.write(text);
        }
    }
}

/// Shows the log on the screen, and on the serial lines too.
fn replay(consoles: &mut Consoles, serial: bool) {
    let (mut chunk, mut index) = ([0; 256], 0);
    loop {
        let request = ReadRequest { index, incremental: true, clear: false };
        let (count, next) = read_log(request, &mut chunk);
        let text = chunk.get(..count).unwrap_or_default();
        if text.is_empty() {
            return;
        }
        if serial {
            consoles.show(text);
        } else if let Some(screen) = &mut consoles.screen {
            screen.write(text);
        }
        index = next;
    }
}

/// Writes what a domain says.
pub fn domain_output(_: DomId, text: &[u8]) {
    show(text);
}

/// The index of the log's oldest byte that was not cleared.
pub fn log_start() -> u32 {
    LOG.lock().start()
}
