//! The screen: VGA text on BIOS machines, else the framebuffer.

use hv_boot::terminal::Terminal;
use spin::Mutex;

use crate::drivers::framebuffer::Framebuffer;
use crate::drivers::vga_text::VgaText;

/// A screen that the hypervisor writes on.
pub enum Screen {
    /// 80 by 25 characters.
    Text(VgaText),
    /// Pixels; their text is in [`TERMINAL`].
    Pixels(Framebuffer),
}

/// The framebuffer's text: static, because there is no heap when the first message is shown.
static TERMINAL: Mutex<Terminal> = Mutex::new(Terminal::new());

impl Screen {
    /// Takes a framebuffer over, and clears it.
    pub fn pixels(mut framebuffer: Framebuffer) -> Self {
        let (columns, lines) = framebuffer.size();
        TERMINAL.lock().resize(columns, lines, &mut framebuffer);
        Self::Pixels(framebuffer)
    }

    /// Shows text.
    pub fn write(&mut self, text: &[u8]) {
        match self {
            Self::Text(screen) => screen.write(text),
            Self::Pixels(framebuffer) => TERMINAL.lock().write(text, framebuffer),
        }
    }
}
