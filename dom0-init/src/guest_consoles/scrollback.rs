//! The last that a guest has written.

use std::collections::VecDeque;

/// How much is kept for each guest.
const BYTES: usize = 128 << 10;

/// The last bytes; a line that is cut is left out.
#[derive(Debug, Default)]
pub struct Scrollback {
    bytes: VecDeque<u8>,
    cut: bool,
}

impl Scrollback {
    /// Adds what was written.
    pub fn add(&mut self, written: &[u8]) {
        self.bytes.extend(written);
        let surplus = self.bytes.len().saturating_sub(BYTES);
        self.cut |= surplus > 0;
        self.bytes.drain(..surplus);
    }

    /// What a viewer is shown.
    pub fn text(&self) -> Vec<u8> {
        let whole = if self.cut {
            self.bytes.iter().position(|&byte| byte == b'\n').map_or(0, |end| end + 1)
        } else {
            0
        };
        self.bytes.iter().skip(whole).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_whole_lines_are_kept() {
        let mut scrollback = Scrollback::default();
        scrollback.add(b"no newline yet");
        assert_eq!(scrollback.text(), b"no newline yet");
        for number in 0..20_000 {
            scrollback.add(format!("line {number}\n").as_bytes());
        }
        let text = String::from_utf8(scrollback.text()).unwrap();
        assert!(text.len() <= BYTES && text.starts_with("line ") && text.ends_with("line 19999\n"));
    }
}
