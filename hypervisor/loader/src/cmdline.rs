//! The command line of a domain's kernel.

use alloc::vec::Vec;

/// Linux keeps this much, with the closing NUL (`COMMAND_LINE_SIZE` on x86).
pub const LINUX_MAX_BYTES: usize = 2048;

/// A command line in the making: words between spaces.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CommandLine {
    text: Vec<u8>,
}

impl CommandLine {
    /// Starts with what the boot entry says. It ends at the first NUL.
    pub fn new(text: &[u8]) -> Self {
        let text = text.split(|byte| *byte == 0).next().unwrap_or_default();
        Self { text: text.trim_ascii().to_vec() }
    }

    /// Adds a word at the end, where it wins over earlier ones of the same name.
    pub fn append(&mut self, word: &str) {
        if !self.text.is_empty() {
            self.text.push(b' ');
        }
        self.text.extend(word.as_bytes());
    }

    /// Makes Linux bounce all DMA through memory of its own: without an IOMMU, pages that it maps
    /// from other domains aren't where devices would look. A size that was asked for stays.
    pub fn force_swiotlb(&mut self) {
        let asked = self.words().rev().find_map(|word| word.strip_prefix(b"swiotlb="));
        let asked = asked.unwrap_or_default().to_vec();
        if asked.split(|byte| *byte == b',').any(|part| part == b"force") {
            return;
        }
        self.append("swiotlb=");
        // Slabs and areas, if given, are the numbers that come first.
        let is_number = |part: &&[u8]| part.first().is_some_and(u8::is_ascii_digit);
        for number in asked.split(|byte| *byte == b',').take_while(is_number) {
            self.text.extend(number);
            self.text.push(b',');
        }
        self.text.extend(b"force");
    }

    /// The words, in order.
    pub fn words(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.text.split(|byte| *byte == b' ').filter(|word| !word.is_empty())
    }

    /// Whether Linux would cut it.
    pub fn is_too_long(&self) -> bool {
        self.text.len() >= LINUX_MAX_BYTES
    }

    /// The text, without a closing NUL.
    pub fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forced(text: &str) -> Vec<u8> {
        let mut line = CommandLine::new(text.as_bytes());
        line.force_swiotlb();
        line.text
    }

    #[test]
    fn words_are_appended_after_one_space() {
        let mut line = CommandLine::new(b"  root=/dev/sda1 quiet \0rubbish");
        line.append("a=b");
        assert_eq!(line.as_bytes(), b"root=/dev/sda1 quiet a=b");
        let mut line = CommandLine::new(b"");
        line.append("a");
        line.append("b");
        assert_eq!(line.as_bytes(), b"a b");
    }

    #[test]
    fn swiotlb_is_forced_once_and_keeps_its_size() {
        assert_eq!(forced("quiet"), b"quiet swiotlb=force");
        assert_eq!(forced("swiotlb=force quiet"), b"swiotlb=force quiet");
        assert_eq!(forced("swiotlb=65536,force"), b"swiotlb=65536,force");
        assert_eq!(forced("swiotlb=65536,2 x"), b"swiotlb=65536,2 x swiotlb=65536,2,force");
        assert_eq!(forced("swiotlb=noforce"), b"swiotlb=noforce swiotlb=force");
    }

    #[test]
    fn linux_keeps_2047_bytes() {
        assert!(!CommandLine::new(&[b'x'; 2047]).is_too_long());
        assert!(CommandLine::new(&[b'x'; 2048]).is_too_long());
    }
}
