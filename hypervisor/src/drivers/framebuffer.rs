//! A text console on a linear framebuffer, as UEFI firmware leaves it.
#![expect(unsafe_code, reason = "writes pixels")]

use font8x8::legacy::BASIC_LEGACY;
use hv_boot::info;
use hv_boot::terminal::Cells;

/// A character is 8 by 16 pixels: each line of the 8 by 8 font is drawn twice.
const WIDTH: u32 = 8;
const HEIGHT: u32 = 16;
/// On screens this wide, everything is drawn twice as large.
const LARGE_WIDTH: u32 = 2560;

/// A screen of pixels.
#[derive(Debug)]
pub struct Framebuffer {
    pixels: *mut u8,
    info: info::Framebuffer,
    bytes_per_pixel: u32,
    /// Pixels in a row and in a column for each of the font's.
    scale: u32,
    ink: u32,
}

// SAFETY: the pointer is to device memory that only this value writes.
unsafe impl Send for Framebuffer {}

/// How many bytes of memory a framebuffer takes. `None` if its description contradicts itself.
pub fn bytes(info: &info::Framebuffer) -> Option<usize> {
    let bytes_per_pixel = bytes_per_pixel(info)?;
    let line = info.width.checked_mul(bytes_per_pixel)?;
    let sound = line <= info.pitch && info.width >= WIDTH && info.height >= HEIGHT;
    let bytes = u64::from(info.pitch) * u64::from(info.height);
    sound.then_some(usize::try_from(bytes).ok()?)
}

fn bytes_per_pixel(info: &info::Framebuffer) -> Option<u32> {
    match info.bits_per_pixel {
        15 | 16 => Some(2),
        24 => Some(3),
        32 => Some(4),
        _ => None,
    }
}

impl Framebuffer {
    /// The screen that `info` describes.
    ///
    /// # Safety
    /// `pixels` maps [`bytes`] bytes at `info.start` for as long as the value lives, and nothing
    /// else writes there.
    pub unsafe fn new(pixels: *mut u8, info: info::Framebuffer) -> Option<Self> {
        let scale = if info.width >= LARGE_WIDTH { 2 } else { 1 };
        let grey = |field: info::ColourField| {
            let full = 1_u32.checked_shl(field.size.into()).unwrap_or(0).wrapping_sub(1);
            (full / 3 * 2).checked_shl(field.position.into()).unwrap_or(0)
        };
        let ink = grey(info.red) | grey(info.green) | grey(info.blue);
        bytes(&info)?;
        Some(Self { pixels, info, bytes_per_pixel: bytes_per_pixel(&info)?, scale, ink })
    }

    /// Columns and lines of text.
    pub fn size(&self) -> (usize, usize) {
        let columns = self.info.width / (WIDTH * self.scale);
        let lines = self.info.height / (HEIGHT * self.scale);
        (columns as usize, lines as usize)
    }

    fn set(&mut self, x: u32, y: u32, colour: u32) {
        assert!(x < self.info.width && y < self.info.height);
        let offset = y as usize * self.info.pitch as usize + (x * self.bytes_per_pixel) as usize;
        let at = self.pixels.wrapping_add(offset);
        if self.bytes_per_pixel == 4 {
            // SAFETY: inside of the framebuffer, whose lines are a multiple of four bytes in
            // every mode with four to a pixel; unaligned if a firmware thinks otherwise.
            unsafe { at.cast::<u32>().write_unaligned(colour) };
            return;
        }
        for (index, byte) in (0..self.bytes_per_pixel as usize).zip(colour.to_le_bytes()) {
            // SAFETY: inside of the framebuffer.
            unsafe { at.wrapping_add(index).write_volatile(byte) };
        }
    }
}

impl Cells for Framebuffer {
    fn draw(&mut self, column: usize, line: usize, character: u8) {
        let glyph =
            BASIC_LEGACY.get(usize::from(character)).unwrap_or(&BASIC_LEGACY[usize::from(b'?')]);
        let (left, top) = (column as u32 * WIDTH * self.scale, line as u32 * HEIGHT * self.scale);
        for y in 0..HEIGHT * self.scale {
            let row = glyph[(y / self.scale / 2) as usize];
            for x in 0..WIDTH * self.scale {
                let colour = if row >> (x / self.scale) & 1 != 0 { self.ink } else { 0 };
                self.set(left + x, top + y, colour);
            }
        }
    }
}
