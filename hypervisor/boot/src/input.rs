//! Console input: whose it is, and how the user switches it.
//!
//! Three times Ctrl and the switch letter in a row hand the input over, from dom0 to the
//! hypervisor's debug keys and back. One or two of them, followed by anything else, are passed on.

use arrayvec::ArrayVec;

/// Who gets what is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Focus {
    /// Dom0's console.
    Dom0,
    /// The debug keys.
    Hypervisor,
}

/// What a typed byte leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Typed {
    /// These bytes are for dom0.
    ForDom0(ArrayVec<u8, SWITCH_TIMES>),
    /// These bytes are debug keys.
    ForHypervisor(ArrayVec<u8, SWITCH_TIMES>),
    /// The input now belongs to someone else.
    Switched(Focus),
}

/// How often the switch character must come in a row.
pub const SWITCH_TIMES: usize = 3;

/// The state of the switch.
#[derive(Clone, Debug)]
pub struct InputSwitch {
    focus: Focus,
    /// The switch character; `None` if there is none.
    code: Option<u8>,
    seen: usize,
}

impl InputSwitch {
    /// A switch by Ctrl and this letter.
    pub const fn new(letter: Option<u8>, focus: Focus) -> Self {
        let code = match letter {
            Some(letter) => Some(letter & 0x1F),
            None => None,
        };
        Self { focus, code, seen: 0 }
    }

    /// Who gets the input now.
    pub const fn focus(&self) -> Focus {
        self.focus
    }

    /// Takes a byte.
    pub fn take(&mut self, byte: u8) -> Typed {
        let mut bytes = ArrayVec::new();
        if Some(byte) == self.code {
            self.seen += 1;
            if self.seen == SWITCH_TIMES {
                self.seen = 0;
                self.focus = match self.focus {
                    Focus::Dom0 => Focus::Hypervisor,
                    Focus::Hypervisor => Focus::Dom0,
                };
                return Typed::Switched(self.focus);
            }
        } else {
            // `seen` is below the capacity, so all fit.
            bytes.extend(core::iter::repeat_n(self.code.unwrap_or_default(), self.seen));
            bytes.push(byte);
            self.seen = 0;
        }
        match self.focus {
            Focus::Dom0 => Typed::ForDom0(bytes),
            Focus::Hypervisor => Typed::ForHypervisor(bytes),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    fn type_all(switch: &mut InputSwitch, text: &[u8]) -> (Vec<u8>, Vec<u8>) {
        let (mut dom0, mut hypervisor) = (Vec::new(), Vec::new());
        for &byte in text {
            match switch.take(byte) {
                Typed::ForDom0(bytes) => dom0.extend(bytes),
                Typed::ForHypervisor(bytes) => hypervisor.extend(bytes),
                Typed::Switched(_) => {}
            }
        }
        (dom0, hypervisor)
    }

    #[test]
    fn three_in_a_row_switch() {
        let mut switch = InputSwitch::new(Some(b'a'), Focus::Dom0);
        let (dom0, hypervisor) = type_all(&mut switch, b"ab\x01\x01\x01hq\x01\x01\x01c");
        assert_eq!((&dom0[..], &hypervisor[..]), (&b"abc"[..], &b"hq"[..]));
    }

    #[test]
    fn fewer_are_passed_on() {
        let mut switch = InputSwitch::new(Some(b'a'), Focus::Dom0);
        let (dom0, hypervisor) = type_all(&mut switch, b"\x01x\x01\x01y\x01\x01");
        assert_eq!((&dom0[..], &hypervisor[..]), (&b"\x01x\x01\x01y"[..], &b""[..]));
    }

    #[test]
    fn without_a_letter_nothing_switches() {
        let mut switch = InputSwitch::new(None, Focus::Dom0);
        assert_eq!(type_all(&mut switch, b"\0\0\0\x01\x01\x01").0, b"\0\0\0\x01\x01\x01");
    }
}
