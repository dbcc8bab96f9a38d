//! Opening the console devices: the one place that claims their ports and memory.
#![expect(unsafe_code, reason = "claims devices")]

use hv_boot::info::{self, BootInfo, Display, Protocol};
use hv_boot::options::SerialOptions;

use super::screen::Screen;
use crate::arch::port::Ports;
use crate::drivers::framebuffer::{self, Framebuffer};
use crate::drivers::uart::Uart;
use crate::drivers::vga_text::VgaText;
use crate::mm;

/// The serial line at the ports that the options say.
pub fn serial(options: &SerialOptions) -> Option<Uart> {
    // SAFETY: the user names these ports as a UART's, which does no DMA.
    let ports = unsafe { Ports::new(options.io_base) };
    Uart::open(ports, options)
}

/// The screen that the boot loader told of. `None` if there is none, or it can't be reached yet.
pub fn screen(info: &BootInfo) -> Option<Screen> {
    match info.display {
        Display::VgaText => Some(vga_text()),
        // A BIOS machine shows text if nobody has set another mode.
        Display::Unknown if !info.efi && info.protocol != Protocol::Pvh => Some(vga_text()),
        Display::Unknown => None,
        Display::Linear(framebuffer) => pixels(framebuffer),
    }
}

/// The VGA text screen.
pub fn vga_text() -> Screen {
    // SAFETY: the text buffer is mapped at its place in the direct map by the boot page tables
    // and by the final ones, and the console lock makes this its only writer.
    Screen::text(unsafe { VgaText::new(mm::vga_text()) })
}

fn pixels(info: info::Framebuffer) -> Option<Screen> {
    let pixels = mm::framebuffer(info.start, framebuffer::bytes(&info)?)?;
    // SAFETY: mapped, by the boot page tables and by the final ones; the console lock makes this
    // its only writer.
    let framebuffer = unsafe { Framebuffer::new(pixels, info) }?;
    Some(Screen::pixels(framebuffer))
}
