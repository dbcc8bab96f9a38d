//! Terminal output as plain text: escape sequences and carriage returns are dropped, over any
//! split into pieces.

/// Where a filter stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// Inside `ESC [ ...`, until a final byte.
    Control,
    /// Inside `ESC ] ...`, until BEL or ESC.
    Command,
    /// After `ESC (` and the like: one more byte.
    Charset,
}

/// A filter over a stream of bytes.
#[derive(Debug, Default)]
pub struct Plain {
    state: State,
}

impl Plain {
    /// The plain text of the next piece.
    pub fn filter(&mut self, bytes: &[u8]) -> Vec<u8> {
        bytes.iter().copied().filter(|byte| self.keeps(*byte)).collect()
    }

    fn keeps(&mut self, byte: u8) -> bool {
        let (next, keep) = match (self.state, byte) {
            (State::Text, 0x1b) => (State::Escape, false),
            (State::Text, b'\r' | 0) => (State::Text, false),
            (State::Text, _) => (State::Text, true),
            (State::Escape, b'[') => (State::Control, false),
            (State::Escape, b']') => (State::Command, false),
            (State::Escape, b'(' | b')') => (State::Charset, false),
            (State::Control, 0x20..=0x3f) => (State::Control, false),
            (State::Command, 0x07) => (State::Text, false),
            (State::Command, 0x1b) => (State::Escape, false),
            (State::Command, _) => (State::Command, false),
            (State::Escape | State::Control | State::Charset, _) => (State::Text, false),
        };
        self.state = next;
        keep
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequences_vanish_across_pieces() {
        let mut plain = Plain::default();
        let pieces =
            [&b"a\x1b"[..], b"[1;3", b"1mb\r\n", b"\x1b]0;title\x07c\x1b(Bd", b"\x1b[?25he"];
        let text: Vec<u8> = pieces.iter().flat_map(|piece| plain.filter(piece)).collect();
        assert_eq!(text, b"ab\ncde");
    }

    proptest::proptest! {
        #[test]
        fn splits_do_not_matter(bytes in proptest::collection::vec(0_u8.., 0..60), at in 0_usize..60) {
            let whole = Plain::default().filter(&bytes);
            let (a, b) = bytes.split_at(at.min(bytes.len()));
            let mut plain = Plain::default();
            let parts = [plain.filter(a), plain.filter(b)].concat();
            proptest::prop_assert_eq!(whole, parts);
        }
    }
}
