//! Opening the console devices: the one place that claims their ports and memory.
#![expect(unsafe_code, reason = "claims devices")]

use hv_boot::options::SerialOptions;

use crate::arch::port::Ports;
use crate::drivers::uart::Uart;
use crate::drivers::vga_text::VgaText;
use crate::mm;

/// The serial line at the ports that the options say.
pub fn serial(options: &SerialOptions) -> Option<Uart> {
    // SAFETY: the user names these ports as a UART's, which does no DMA.
    let ports = unsafe { Ports::new(options.io_base) };
    Uart::open(ports, options)
}

/// The VGA text screen.
pub fn vga_text() -> VgaText {
    // SAFETY: the text buffer is mapped at its place in the direct map by the boot page tables
    // and by the final ones, and the console lock makes this its only writer.
    unsafe { VgaText::new(mm::vga_text()) }
}
