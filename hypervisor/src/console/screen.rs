//! The screen: VGA text on BIOS machines, else the framebuffer.
#![expect(unsafe_code, reason = "takes its lock from CPUs that were stopped")]

use hv_boot::terminal::Terminal;
use spin::Mutex;

use crate::drivers::framebuffer::Framebuffer;
use crate::drivers::vga_text::{self, VgaText};

/// A screen that the hypervisor writes on. Its text is in [`TERMINAL`].
pub enum Screen {
    /// 80 by 25 characters.
    Text(VgaText),
    /// Pixels.
    Pixels(Framebuffer),
}

/// The screen's text: static, because there is no heap when the first message is shown.
static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal::new());

/// Makes the screen's text usable again for the last messages.
///
/// # Safety
/// Whoever may hold its lock never runs again.
pub unsafe fn unlock_for_emergency() {
    // SAFETY: the caller's promise.
    unsafe { TERMINAL.force_unlock() };
}

impl Screen {
    /// Takes VGA text over, and clears it.
    pub fn text(mut screen: VgaText) -> Self {
        TERMINAL.lock().resize(vga_text::COLUMNS, vga_text::LINES, &mut screen);
        Self::Text(screen)
    }

    /// Takes a framebuffer over, and clears it.
    pub fn pixels(mut framebuffer: Framebuffer) -> Self {
        let (columns, lines) = framebuffer.size();
        TERMINAL.lock().resize(columns, lines, &mut framebuffer);
        Self::Pixels(framebuffer)
    }

    /// Shows text.
    pub fn write(&mut self, text: &[u8]) {
        let mut terminal = TERMINAL.lock();
        match self {
            Self::Text(screen) => {
                terminal.write(text, screen);
                let (column, line) = terminal.cursor();
                screen.set_cursor(column, line);
            }
            Self::Pixels(framebuffer) => terminal.write(text, framebuffer),
        }
    }
}
