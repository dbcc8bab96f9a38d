//! The range decoder: bits whose probability is learned as they come.

use super::super::{CUT_SHORT, Outcome};

/// Below this, the range is widened by a byte of input.
const TOP: u32 = 1 << 24;
/// log2 of what stands for certainty.
const MODEL_BITS: u32 = 11;
/// How fast probabilities are learned: a smaller shift learns faster.
const MOVE_BITS: u32 = 5;

/// How probable a zero is, in parts of 2048.
#[derive(Clone, Copy)]
pub(super) struct Probability(u16);

impl Probability {
    /// Nothing was learned yet.
    pub(super) const EVEN: Self = Self(1 << (MODEL_BITS - 1));
}

/// The decoder's state within one chunk.
pub(super) struct RangeDecoder<'a> {
    input: &'a [u8],
    /// How much of the input was read. Zeroes are read after its end, which [`Self::finish`]
    /// finds out.
    at: usize,
    range: u32,
    code: u32,
}

impl<'a> RangeDecoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Outcome<Self> {
        // A byte that is always zero, then the first code.
        match input {
            [0, a, b, c, d, ..] => {
                let code = u32::from_be_bytes([*a, *b, *c, *d]);
                Ok(Self { input, at: 5, range: u32::MAX, code })
            }
            _ => Err(CUT_SHORT),
        }
    }

    #[inline(always)]
    fn normalize(&mut self) {
        if self.range < TOP {
            self.range <<= 8;
            let byte = self.input.get(self.at).copied().unwrap_or(0);
            self.at = self.at.wrapping_add(1);
            self.code = self.code << 8 | u32::from(byte);
        }
    }

    /// The next bit.
    #[inline(always)]
    pub(super) fn bit(&mut self, probability: &mut Probability) -> bool {
        self.normalize();
        let zero = u32::from(probability.0);
        let bound = (self.range >> MODEL_BITS).wrapping_mul(zero);
        if self.code < bound {
            self.range = bound;
            let rest = (1u32 << MODEL_BITS).wrapping_sub(zero);
            probability.0 = zero.wrapping_add(rest >> MOVE_BITS) as u16;
            false
        } else {
            self.range = self.range.wrapping_sub(bound);
            self.code = self.code.wrapping_sub(bound);
            probability.0 = zero.wrapping_sub(zero >> MOVE_BITS) as u16;
            true
        }
    }

    /// `count` bits of even probability.
    #[inline(always)]
    pub(super) fn direct(&mut self, count: u32) -> u32 {
        let mut value = 0;
        for _ in 0..count {
            self.normalize();
            self.range >>= 1;
            let rest = self.code.wrapping_sub(self.range);
            // The top bit says whether the code was in the lower half.
            let one = rest >> 31 == 0;
            self.code = if one { rest } else { self.code };
            value = value << 1 | u32::from(one);
        }
        value
    }

    /// A number of log2(`N`) bits, highest first, each with a probability for every way to it.
    /// `N` is a power of two.
    #[inline(always)]
    pub(super) fn tree<const N: usize>(&mut self, tree: &mut [Probability; N]) -> u32 {
        let mut node = 1;
        while node < N {
            let bit = self.bit(&mut tree[node & N.wrapping_sub(1)]);
            node = node << 1 | usize::from(bit);
        }
        node.wrapping_sub(N) as u32
    }

    /// A number of `count` bits, lowest first. The probabilities start at `tree[base]`; `N` is
    /// a power of two, and indices wrap there.
    #[inline(always)]
    pub(super) fn reverse_tree<const N: usize>(
        &mut self,
        tree: &mut [Probability; N],
        base: usize,
        count: u32,
    ) -> u32 {
        let (mut node, mut value) = (1usize, 0);
        for shift in 0..count {
            let index = base.wrapping_add(node).wrapping_sub(1) & N.wrapping_sub(1);
            let bit = self.bit(&mut tree[index]);
            node = node << 1 | usize::from(bit);
            value |= u32::from(bit) << (shift & 31);
        }
        value
    }

    /// Checks that the chunk ends here.
    pub(super) fn finish(mut self) -> Outcome<()> {
        self.normalize();
        if self.at == self.input.len() && self.code == 0 {
            Ok(())
        } else {
            Err("a chunk's length is wrong")
        }
    }
}
