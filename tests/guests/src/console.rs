//! Output: the hypervisor's console, or port 0xE9 where that refuses.

use crate::{cpu, hypercall};
use core::fmt::{self, Write};
use xen_abi::arch_x86::xen::HVM_DEBUGCONS_IOPORT;

/// A line is written in one call, so that lines of several CPUs don't mix.
struct Line {
    text: [u8; 1024],
    len: usize,
}

impl Write for Line {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = self.text.get_mut(self.len..).unwrap_or_default();
        for (to, from) in room.iter_mut().zip(text.bytes()) {
            *to = from;
            self.len += 1;
        }
        Ok(())
    }
}

/// Writes a line; what doesn't fit in 1 KiB is cut off.
pub fn line(message: fmt::Arguments<'_>) {
    let mut line = Line { text: [0; 1024], len: 0 };
    let _ = line.write_fmt(message);
    line.len = line.len.min(line.text.len() - 1);
    let _ = line.write_char('\n');
    let text = line.text.get(..line.len).unwrap_or_default();
    if hypercall::console_write(text) < 0 {
        for byte in text {
            cpu::out8(HVM_DEBUGCONS_IOPORT, *byte);
        }
    }
}
