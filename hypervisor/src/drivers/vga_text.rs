//! VGA text, 80 columns by 25 lines, as a BIOS leaves it.
#![expect(unsafe_code, reason = "writes the text buffer, which is device memory")]

use crate::arch::port::Ports;

const COLUMNS: usize = 80;
const LINES: usize = 25;
/// Light grey on black.
const ATTRIBUTE: u16 = 0x0700;
const BLANK: u16 = ATTRIBUTE | b' ' as u16;

const CRTC_CURSOR_HIGH: u8 = 14;
const CRTC_CURSOR_LOW: u8 = 15;

/// The text screen.
#[derive(Debug)]
pub struct VgaText {
    cells: *mut u16,
    crtc: Ports,
    column: usize,
}

// SAFETY: the pointer is to device memory that only this value writes.
unsafe impl Send for VgaText {}

impl VgaText {
    /// Takes the screen over; what it shows scrolls up.
    ///
    /// # Safety
    /// `cells` maps the text buffer (0xB8000, 4000 bytes) for as long as the value lives, and
    /// nothing else writes it.
    pub unsafe fn new(cells: *mut u16) -> Self {
        // SAFETY: the colour CRTC's index and data ports; the CRTC does no DMA.
        let crtc = unsafe { Ports::new(0x3D4) };
        let mut screen = Self { cells, crtc, column: 0 };
        screen.new_line();
        screen
    }

    /// Shows text.
    pub fn write(&mut self, text: &[u8]) {
        for &byte in text {
            match byte {
                b'\n' => self.new_line(),
                b'\r' => self.column = 0,
                0x08 => self.column = self.column.saturating_sub(1),
                byte => self.put(byte),
            }
        }
        self.show_cursor();
    }

    fn put(&mut self, byte: u8) {
        if self.column == COLUMNS {
            self.new_line();
        }
        self.store((LINES - 1) * COLUMNS + self.column, ATTRIBUTE | u16::from(byte));
        self.column += 1;
    }

    /// Scrolls: output always is on the last line.
    fn new_line(&mut self) {
        for cell in 0..(LINES - 1) * COLUMNS {
            let below = self.load(cell + COLUMNS);
            self.store(cell, below);
        }
        for cell in (LINES - 1) * COLUMNS..LINES * COLUMNS {
            self.store(cell, BLANK);
        }
        self.column = 0;
    }

    fn show_cursor(&self) {
        let at = (LINES - 1) * COLUMNS + self.column.min(COLUMNS - 1);
        let [low, high] = (at as u16).to_le_bytes();
        for (register, value) in [(CRTC_CURSOR_LOW, low), (CRTC_CURSOR_HIGH, high)] {
            self.crtc.write_u8(0, register);
            self.crtc.write_u8(1, value);
        }
    }

    fn load(&self, cell: usize) -> u16 {
        assert!(cell < COLUMNS * LINES);
        let at = self.cells.wrapping_add(cell);
        // SAFETY: inside the buffer, which is mapped.
        unsafe { at.read_volatile() }
    }

    fn store(&mut self, cell: usize, value: u16) {
        assert!(cell < COLUMNS * LINES);
        let at = self.cells.wrapping_add(cell);
        // SAFETY: as in `load`.
        unsafe { at.write_volatile(value) }
    }
}
