//! A small area of a guest's memory that the hypervisor keeps up to date.
//!
//! Its frames are found once, when the guest registers it, and referenced for as long as it is
//! registered; so keeping it up to date is a plain copy, whatever address space the guest is in.

use crate::platform::FrameMemory;
use crate::types::{FRAME_BYTES, Mfn};

/// An area of at most a page: one piece, or two if a page boundary crosses it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct GuestArea {
    pieces: [Option<Piece>; 2],
}

/// Consecutive bytes of one frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    mfn: Mfn,
    offset: usize,
    len: usize,
}

impl GuestArea {
    /// No area.
    pub const NONE: Self = Self { pieces: [None; 2] };

    /// The `len` bytes from `offset` on in the first frame, going on in the second one. There
    /// must be a second one if they don't fit in the first.
    pub fn new(offset: usize, len: usize, first: Mfn, second: Option<Mfn>) -> Self {
        let len_first = len.min(FRAME_BYTES.saturating_sub(offset));
        let len_second = len.saturating_sub(len_first);
        assert!(len_second == 0 || second.is_some(), "an area without its second frame");
        Self {
            pieces: [
                Some(Piece { mfn: first, offset, len: len_first }),
                second.map(|mfn| Piece { mfn, offset: 0, len: len_second }),
            ],
        }
    }

    pub fn is_none(&self) -> bool {
        *self == Self::NONE
    }

    /// The frames that it lies in.
    pub fn frames(&self) -> impl Iterator<Item = Mfn> + '_ {
        self.pieces.iter().flatten().map(|piece| piece.mfn)
    }

    /// Copies bytes into the area, from its byte `at` on. What doesn't fit is left out.
    pub fn write(&self, memory: &impl FrameMemory, at: usize, bytes: &[u8]) {
        let (mut at, mut bytes) = (at, bytes);
        for piece in self.pieces.iter().flatten() {
            let Some(room) = piece.len.checked_sub(at) else {
                at = at.saturating_sub(piece.len);
                continue;
            };
            let (here, rest) = bytes.split_at_checked(room).unwrap_or((bytes, &[]));
            if !here.is_empty() {
                memory.write(piece.mfn, piece.offset.saturating_add(at), here);
            }
            (at, bytes) = (0, rest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::TestMemory;

    #[test]
    fn writes_across_the_boundary() {
        for split in 0..=48 {
            let memory = TestMemory::default();
            memory.zero(Mfn(1));
            memory.zero(Mfn(2));
            let offset = FRAME_BYTES - split;
            let area = if split == 48 {
                GuestArea::new(offset, 48, Mfn(1), None)
            } else if split == 0 {
                GuestArea::new(0, 48, Mfn(2), None)
            } else {
                GuestArea::new(offset, 48, Mfn(1), Some(Mfn(2)))
            };
            area.write(&memory, 0, &[1; 8]);
            area.write(&memory, 8, &[2; 8]);
            area.write(&memory, 16, &[3; 99]);
            let bytes = [memory.frame(Mfn(1)), memory.frame(Mfn(2))].concat();
            let model = [[1; 8].as_slice(), &[2; 8], &[3; 32]].concat();
            assert_eq!(bytes[FRAME_BYTES - split..][..48], model);
            assert_eq!(bytes.iter().filter(|byte| **byte != 0).count(), 48);
        }
    }
}
