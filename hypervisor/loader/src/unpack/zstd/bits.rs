//! Bit streams: those read from their end to their start, and the one kind read forward.

use super::super::{CUT_SHORT, Outcome};
use super::Input;

const NO_END_MARK: &str = "a bit stream has no end mark";

/// Reads a bit stream whose first bit is the highest of its last byte (RFC 8878, 4.1).
///
/// After [`Self::refill`], at least [`Self::REFILLED`] bits can be taken without another.
/// Bits before the stream's start can be taken too and mean nothing; [`Self::is_finished`] and
/// [`Self::is_overrun`] tell.
#[derive(Clone, Copy)]
pub(super) struct ReverseBits<'a> {
    /// The input up to the last byte with unread bits. It doesn't stop at the stream's start.
    rest: &'a [u8],
    /// The unread bits of the last 8 bytes of `rest` from the top, then a one in place of their
    /// lowest bit, then a zero for each bit that was read.
    window: u64,
    /// The length of `rest` at which the stream has ended.
    start: usize,
}

impl<'a> ReverseBits<'a> {
    /// How many bits can be taken after a refill: 64, without the marker and 7 bits of the byte
    /// that is partly read.
    pub(super) const REFILLED: u32 = 56;

    /// Reads the rest of `input`, whose last byte holds a one above the first bit.
    pub(super) fn new(input: &Input<'a>) -> Outcome<Self> {
        let last = input.rest().last().filter(|last| **last != 0).ok_or(NO_END_MARK)?;
        let padding = last.leading_zeros().wrapping_add(1);
        let mut bits = Self { rest: input.bytes, window: 1 << padding, start: input.at };
        bits.refill()?;
        Ok(bits)
    }

    /// Moves on by the whole bytes that were read.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> Outcome<()> {
        let used = self.window.trailing_zeros();
        let len = self.rest.len().wrapping_sub((used >> 3) as usize);
        self.rest = self.rest.get(..len).ok_or(CUT_SHORT)?;
        let word = u64::from_le_bytes(*self.rest.last_chunk().ok_or(CUT_SHORT)?);
        self.window = (word | 1) << (used & 7);
        Ok(())
    }

    /// The next bits, at the top.
    #[inline(always)]
    pub(super) const fn window(&self) -> u64 {
        self.window
    }

    /// Drops `count` bits, of which only the low six bits count.
    #[inline(always)]
    pub(super) const fn skip(&mut self, count: u32) {
        self.window = self.window.wrapping_shl(count);
    }

    /// Takes `count` bits, at most 56.
    #[inline(always)]
    pub(super) const fn take(&mut self, count: u32) -> u64 {
        // Two shifts, as one by 64 for a count of zero isn't possible. !count is 63 - count in
        // the bits that matter.
        let value = (self.window >> 1).wrapping_shr(!count);
        self.skip(count);
        value
    }

    /// Bits that are left of the stream; negative if more were taken than it has.
    fn left(&self) -> i64 {
        let bytes = (self.rest.len() as i64).saturating_sub(self.start as i64);
        bytes.saturating_mul(8).saturating_sub(i64::from(self.window.trailing_zeros()))
    }

    /// Whether exactly all bits were taken.
    pub(super) fn is_finished(&self) -> bool {
        self.left() == 0
    }

    /// Whether more bits were taken than there are.
    pub(super) fn is_overrun(&self) -> bool {
        self.left() < 0
    }
}

/// Reads the same kind of stream as [`ReverseBits`], where lengths come with their masks. At
/// least [`Self::REFILLED`] bits can be taken after a refill.
#[derive(Clone, Copy)]
pub(super) struct ReverseWord<'a> {
    /// The input up to the last byte with unread bits. It doesn't stop at the stream's start.
    rest: &'a [u8],
    /// The last 8 bytes of `rest`.
    word: u64,
    /// How many bits of `word`, from the highest, were read.
    used: u32,
    /// The length of `rest` at which the stream has ended.
    start: usize,
}

impl<'a> ReverseWord<'a> {
    /// Reads the rest of `input`, whose last byte holds a one above the first bit.
    #[inline(always)]
    pub(super) fn new(input: &Input<'a>) -> Outcome<Self> {
        let last = input.rest().last().filter(|last| **last != 0).ok_or(NO_END_MARK)?;
        let used = last.leading_zeros().wrapping_add(1);
        let mut bits = Self { rest: input.bytes, word: 0, used, start: input.at };
        bits.refill()?;
        Ok(bits)
    }

    /// Moves on by the whole bytes that were read.
    #[inline(always)]
    pub(super) fn refill(&mut self) -> Outcome<()> {
        let len = self.rest.len().wrapping_sub((self.used >> 3) as usize);
        self.rest = self.rest.get(..len).ok_or(CUT_SHORT)?;
        self.word = u64::from_le_bytes(*self.rest.last_chunk().ok_or(CUT_SHORT)?);
        self.used &= 7;
        Ok(())
    }

    /// Takes `count` bits, for which `mask` has to be 2^`count` - 1.
    #[inline(always)]
    pub(super) const fn take(&mut self, count: u8, mask: u64) -> u64 {
        self.used = self.used.wrapping_add(count as u32);
        self.word.rotate_left(self.used) & mask
    }

    /// Whether exactly all bits were taken.
    pub(super) fn is_finished(&self) -> bool {
        let bytes = self.rest.len().checked_sub(self.start);
        bytes.is_some_and(|bytes| bytes.wrapping_mul(8) == self.used as usize)
    }
}

/// Reads bits from the lowest of the first byte up: the headers of FSE tables.
pub(super) struct ForwardBits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> ForwardBits<'a> {
    pub(super) const fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 16; zeroes past the end.
    pub(super) fn peek(&self, count: u32) -> u32 {
        let byte = |index: usize| {
            let at = (self.at >> 3).saturating_add(index);
            u32::from(self.bytes.get(at).copied().unwrap_or(0))
        };
        let word = byte(0) | (byte(1) << 8) | (byte(2) << 16);
        (word >> (self.at & 7)) & 1u32.wrapping_shl(count).wrapping_sub(1)
    }

    pub(super) const fn skip(&mut self, count: u32) {
        self.at = self.at.saturating_add(count as usize);
    }

    pub(super) fn take(&mut self, count: u32) -> u32 {
        let value = self.peek(count);
        self.skip(count);
        value
    }

    /// How many bytes were begun.
    pub(super) const fn bytes_read(&self) -> usize {
        self.at.div_ceil(8)
    }
}
