//! A text screen of any size that draws only what changes: scrolling a framebuffer by copying
//! it would be slow, as reading one is.

/// What shows the characters.
pub trait Cells {
    /// Draws a character at a place on the screen.
    fn draw(&mut self, column: usize, line: usize, character: u8);
}

/// Most characters that a screen has.
pub const MAX_CELLS: usize = 32 << 10;

/// The screen's text and the place where writing goes on.
pub struct Terminal {
    cells: [u8; MAX_CELLS],
    columns: usize,
    lines: usize,
    column: usize,
    line: usize,
}

impl Terminal {
    /// A screen without a size, which shows nothing.
    pub const fn new() -> Self {
        Self { cells: [0; MAX_CELLS], columns: 0, lines: 0, column: 0, line: 0 }
    }

    /// Gives the screen its size, empties it, and draws all of it. Lines that don't fit
    /// [`MAX_CELLS`] are left out.
    pub fn resize(&mut self, columns: usize, lines: usize, screen: &mut dyn Cells) {
        self.columns = columns.min(MAX_CELLS);
        self.lines = lines.min(MAX_CELLS.checked_div(columns).unwrap_or_default());
        (self.column, self.line) = (0, 0);
        self.cells.fill(b' ');
        for line in 0..self.lines {
            for column in 0..self.columns {
                screen.draw(column, line, b' ');
            }
        }
    }

    /// Writes text.
    pub fn write(&mut self, text: &[u8], screen: &mut dyn Cells) {
        if self.columns == 0 || self.lines == 0 {
            return;
        }
        for &byte in text {
            match byte {
                b'\n' => self.new_line(screen),
                b'\r' => self.column = 0,
                0x08 => self.column = self.column.saturating_sub(1),
                b'\t' => self.column = (self.column / 8 + 1) * 8,
                byte => self.put(byte, screen),
            }
        }
    }

    /// Where the next character goes: column and line.
    pub fn cursor(&self) -> (usize, usize) {
        (self.column, self.line)
    }

    fn put(&mut self, byte: u8, screen: &mut dyn Cells) {
        if self.column >= self.columns {
            self.new_line(screen);
        }
        self.set(self.column, self.line, byte, screen);
        self.column += 1;
    }

    fn new_line(&mut self, screen: &mut dyn Cells) {
        self.column = 0;
        if self.line + 1 < self.lines {
            self.line += 1;
            return;
        }
        for line in 0..self.lines {
            for column in 0..self.columns {
                let below = (line + 1 < self.lines).then(|| self.get(column, line + 1));
                self.set(column, line, below.unwrap_or(b' '), screen);
            }
        }
    }

    fn get(&self, column: usize, line: usize) -> u8 {
        self.cells.get(line * self.columns + column).copied().unwrap_or(b' ')
    }

    fn set(&mut self, column: usize, line: usize, byte: u8, screen: &mut dyn Cells) {
        if let Some(cell) = self.cells.get_mut(line * self.columns + column)
            && *cell != byte
        {
            *cell = byte;
            screen.draw(column, line, byte);
        }
    }
}

impl Default for Terminal {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::boxed::Box;
    use std::string::String;
    use std::vec;
    use std::vec::Vec;

    use super::*;

    struct Screen(Vec<Vec<u8>>);

    impl Cells for Screen {
        fn draw(&mut self, column: usize, line: usize, character: u8) {
            self.0[line][column] = character;
        }
    }

    fn show(text: &str) -> Vec<String> {
        let mut screen = Screen(vec![vec![b'?'; 6]; 3]);
        let mut terminal = Box::new(Terminal::new());
        terminal.resize(6, 3, &mut screen);
        terminal.write(text.as_bytes(), &mut screen);
        screen.0.into_iter().map(|line| String::from_utf8(line).unwrap()).collect()
    }

    #[test]
    fn text_wraps_and_scrolls() {
        assert_eq!(show("one\ntwo"), ["one   ", "two   ", "      "]);
        assert_eq!(show("one\ntwo\nthree\nfour"), ["two   ", "three ", "four  "]);
        assert_eq!(show("abcdefgh\r*"), ["abcdef", "*h    ", "      "]);
        assert_eq!(show("ab\x08c\td"), ["ac    ", "d     ", "      "]);
    }
}
