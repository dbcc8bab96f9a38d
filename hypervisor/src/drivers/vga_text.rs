//! VGA text, 80 columns by 25 lines, as a BIOS leaves it.
#![expect(unsafe_code, reason = "writes the text buffer, which is device memory")]

use hv_boot::terminal::Cells;

use crate::arch::port::Ports;

/// Characters in a line.
pub const COLUMNS: usize = 80;
/// Lines.
pub const LINES: usize = 25;
/// Light grey on black.
const ATTRIBUTE: u16 = 0x0700;

const CRTC_CURSOR_HIGH: u8 = 14;
const CRTC_CURSOR_LOW: u8 = 15;

/// The text screen.
#[derive(Debug)]
pub struct VgaText {
    cells: *mut u16,
    crtc: Ports,
}

// SAFETY: the pointer is to device memory that only this value writes.
unsafe impl Send for VgaText {}

impl VgaText {
    /// Takes the screen over.
    ///
    /// # Safety
    /// `cells` maps the text buffer (0xB8000, 4000 bytes) for as long as the value lives, and
    /// nothing else writes it.
    pub unsafe fn new(cells: *mut u16) -> Self {
        // SAFETY: the colour CRTC's index and data ports; the CRTC does no DMA.
        let crtc = unsafe { Ports::new(0x3D4) };
        Self { cells, crtc }
    }

    /// Moves the cursor.
    pub fn set_cursor(&mut self, column: usize, line: usize) {
        let at = line.min(LINES - 1) * COLUMNS + column.min(COLUMNS - 1);
        let [low, high] = (at as u16).to_le_bytes();
        for (register, value) in [(CRTC_CURSOR_LOW, low), (CRTC_CURSOR_HIGH, high)] {
            self.crtc.write_u8(0, register);
            self.crtc.write_u8(1, value);
        }
    }
}

impl Cells for VgaText {
    fn draw(&mut self, column: usize, line: usize, character: u8) {
        assert!(column < COLUMNS && line < LINES);
        let at = self.cells.wrapping_add(line * COLUMNS + column);
        // SAFETY: inside the buffer, which is mapped.
        unsafe { at.write_volatile(ATTRIBUTE | u16::from(character)) }
    }
}
