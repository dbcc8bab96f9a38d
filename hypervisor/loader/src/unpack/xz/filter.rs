//! Undoing the filter for x86 code: it turns the relative targets of calls and jumps into
//! absolute ones, which repeat more often.

/// Whether a byte can be the top one of a target, which is a small number, positive or not.
const fn is_top(byte: u8) -> bool {
    matches!(byte, 0 | 0xFF)
}

/// Where opcodes were in the last three bytes; bit 0 is the byte before.
///
/// What looks like an opcode within a target's bytes may be one or not. The filter decides by
/// rules of its own, which have to be followed to the letter.
#[derive(Clone, Copy)]
struct Recent(u32);

impl Recent {
    /// Whether an opcode after these may have a target at all.
    const fn allows(self) -> bool {
        matches!(self.0, 0 | 1 | 2 | 4)
    }

    /// How many of the four bytes of a target may belong to an earlier opcode's.
    const fn shared(self) -> u32 {
        match self.0 {
            0 => 0,
            1 => 1,
            2 | 3 => 2,
            _ => 3,
        }
    }

    const fn with_opcode(self) -> Self {
        Self((self.0 << 1 | 1) & 7)
    }

    const fn moved(self, bytes: usize) -> Self {
        if bytes > 3 { Self(0) } else { Self(self.0 << bytes & 7) }
    }
}

/// Undoes the filter on a whole block.
pub(super) fn undo(code: &mut [u8]) {
    /// An opcode and its target.
    const LEN: usize = 5;
    let mut recent = Recent(0);
    // One past the last opcode, or past its target if it had one.
    let mut last = 0usize;
    let mut at = 0usize;
    while let Some(found) = next_opcode(code, at) {
        let Some(window) = code.get_mut(found..).and_then(|rest| rest.first_chunk_mut::<LEN>())
        else {
            return;
        };
        recent = recent.moved(found.wrapping_sub(last));
        let [_, target @ ..] = window;
        last = found.wrapping_add(1);
        at = last;
        let shared_byte = target[3usize.wrapping_sub(recent.shared() as usize) % 4];
        let doubtful = recent.0 != 0 && (!recent.allows() || is_top(shared_byte));
        if doubtful || !is_top(target[3]) {
            recent = recent.with_opcode();
            continue;
        }
        *target =
            relative(u32::from_le_bytes(*target), found.wrapping_add(LEN), recent).to_le_bytes();
        recent = Recent(0);
        last = found.wrapping_add(LEN);
        at = last;
    }
}

/// A target as it was before the filter; `next` is the address of the next instruction.
fn relative(target: u32, next: usize, recent: Recent) -> u32 {
    let mut value = target.wrapping_sub(next as u32);
    let shift = recent.shared().wrapping_mul(8);
    if recent.0 != 0 && is_top((value >> 24u32.wrapping_sub(shift)) as u8) {
        // The byte must not look like a top byte either way. Doing it once is enough: the
        // second value is the complement of `target` there, of which that was checked.
        value = (value ^ u32::MAX.wrapping_shr(shift)).wrapping_sub(next as u32);
    }
    // Bit 24 is the sign.
    let low = value & 0x01FF_FFFF;
    if low & 0x0100_0000 != 0 { low | 0xFE00_0000 } else { low }
}

/// The next byte that is CALL (0xE8) or JMP (0xE9), from `at` on.
fn next_opcode(code: &[u8], at: usize) -> Option<usize> {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let rest = code.get(at..)?;
    let is_opcode = |byte: &u8| byte & 0xFE == 0xE8;
    let (words, tail) = rest.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A byte of `odd` is zero where an opcode is; then subtracting one borrows from its top.
        let odd = u64::from_le_bytes(*word) & (ONES * 0xFE) ^ (ONES * 0xE8);
        if odd.wrapping_sub(ONES) & !odd & (ONES << 7) != 0 {
            let before = index.saturating_mul(8).saturating_add(at);
            return Some(before.saturating_add(word.iter().position(is_opcode)?));
        }
    }
    let before = rest.len().saturating_sub(tail.len()).saturating_add(at);
    Some(before.saturating_add(tail.iter().position(is_opcode)?))
}
