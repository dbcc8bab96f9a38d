//! The legacy 8259 interrupt controllers: masked, and their spurious vectors out of the way.
#![expect(unsafe_code, reason = "claims the controllers' ports")]

use crate::arch::port::Ports;

/// First vector of the 16 that the controllers could still raise spuriously: below the ones that
/// are handed out.
const VECTOR_BASE: u8 = 0x20;

const COMMAND: u16 = 0;
const DATA: u16 = 1;
/// Initialize, with a fourth command word to come.
const ICW1: u8 = 0x11;
/// 8086 mode.
const ICW4: u8 = 0x01;

/// Masks every line.
pub fn disable() {
    // SAFETY: the controllers' fixed ports; they do no DMA.
    let primary = unsafe { Ports::new(0x20) };
    // SAFETY: as above.
    let secondary = unsafe { Ports::new(0xA0) };
    for (controller, vector, cascade) in
        [(primary, VECTOR_BASE, 1 << 2), (secondary, VECTOR_BASE + 8, 2)]
    {
        controller.write_u8(DATA, 0xFF);
        controller.write_u8(COMMAND, ICW1);
        controller.write_u8(DATA, vector);
        controller.write_u8(DATA, cascade);
        controller.write_u8(DATA, ICW4);
        controller.write_u8(DATA, 0xFF);
    }
}
