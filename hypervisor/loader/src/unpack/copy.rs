//! Copies within the output, which is also the window: matches of what it holds already.
//!
//! Short copies are made of whole words, which may reach past the copy's end, as what comes next
//! overwrites it.

use super::{Outcome, TOO_LONG};

/// What copies are made of: there has to be room for one after them.
pub(super) const WORD: usize = 16;
/// What copies from nearby are made of.
const HALF: usize = 8;

/// Copies `bytes` to `out` at `at`; gives where they end.
pub(super) fn exact(out: &mut [u8], at: usize, bytes: &[u8]) -> Outcome<usize> {
    let end = at.checked_add(bytes.len()).ok_or(TOO_LONG)?;
    out.get_mut(at..end).ok_or(TOO_LONG)?.copy_from_slice(bytes);
    Ok(end)
}

/// Writes `len` times `value` to `out` at `at`; gives where they end.
pub(super) fn fill(out: &mut [u8], at: usize, len: usize, value: u8) -> Outcome<usize> {
    let end = at.checked_add(len).ok_or(TOO_LONG)?;
    out.get_mut(at..end).ok_or(TOO_LONG)?.fill(value);
    Ok(end)
}

/// Copies `len` bytes to `out` at `at` from `offset` (not zero, not more than `at`) back. There
/// has to be room for a word after them.
#[inline(always)]
pub(super) fn matched(out: &mut [u8], at: usize, len: usize, offset: usize) -> Outcome<()> {
    let window = out.get_mut(at.wrapping_sub(offset)..).ok_or(TOO_LONG)?;
    if offset < HALF || len > WORD {
        copy_match(window, len, offset)
    } else {
        copy_short_match(window, offset)
    }
}

/// The same without a byte written past the end.
#[cold]
#[inline(never)]
pub(super) fn matched_exactly(out: &mut [u8], at: usize, len: usize, offset: usize) -> Outcome<()> {
    let end = at.checked_add(len).filter(|end| *end <= out.len()).ok_or(TOO_LONG)?;
    for to in at..end {
        let byte = *out.get(to.wrapping_sub(offset)).ok_or(TOO_LONG)?;
        *out.get_mut(to).ok_or(TOO_LONG)? = byte;
    }
    Ok(())
}

/// Copies a match of at most a word, whose `offset` is at least half a word, from the start of
/// `window` to its place there.
#[inline(always)]
fn copy_short_match(window: &mut [u8], offset: usize) -> Outcome<()> {
    // The second half may be what the first one wrote.
    copy_half(window, 0, offset)?;
    copy_half(window, HALF, offset)
}

#[inline(always)]
fn copy_half(window: &mut [u8], at: usize, offset: usize) -> Outcome<()> {
    let half: [u8; HALF] = *window.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TOO_LONG)?;
    let to = at.wrapping_add(offset);
    let to = window.get_mut(to..to.wrapping_add(HALF)).ok_or(TOO_LONG)?;
    to.copy_from_slice(&half);
    Ok(())
}

/// Copies any match from the start of `window` to its place there.
#[inline(never)]
fn copy_match(window: &mut [u8], len: usize, offset: usize) -> Outcome<()> {
    let words = len.div_ceil(WORD);
    if words.wrapping_mul(WORD) > offset {
        return copy_near_match(window, len, offset);
    }
    let (from, to) = window.split_at_mut_checked(offset).ok_or(TOO_LONG)?;
    let (from, _) = from.as_chunks::<WORD>();
    let (to, _) = to.as_chunks_mut::<WORD>();
    for (to, from) in to.iter_mut().zip(from).take(words) {
        *to = *from;
    }
    Ok(())
}

/// Copies a match that may repeat its own first bytes.
fn copy_near_match(window: &mut [u8], len: usize, offset: usize) -> Outcome<()> {
    let mut at = 0;
    let mut period = offset;
    if let Some(repeat) = REPEAT.get(offset) {
        // The bytes from before the match, repeated, fill half a word.
        let pattern = u64::from_le_bytes(*window.first_chunk().ok_or(TOO_LONG)?) & repeat.mask;
        let to = window.get_mut(offset..).and_then(|rest| rest.first_chunk_mut());
        *to.ok_or(TOO_LONG)? = pattern.wrapping_mul(repeat.factor).to_le_bytes();
        period = repeat.period;
        // What follows is `period` after something that is there.
        at = HALF.wrapping_add(offset).wrapping_sub(period);
    }
    let end = len.wrapping_add(offset).saturating_sub(period);
    while at < end {
        copy_half(window, at, period)?;
        at = at.wrapping_add(HALF);
    }
    Ok(())
}

/// How to repeat the first few bytes of half a word.
struct Repeat {
    /// Selects them.
    mask: u64,
    /// Repeats them, when multiplied with.
    factor: u64,
    /// The smallest multiple of their number that is at least half a word.
    period: usize,
}

/// By the number of bytes that are repeated. An offset is never zero.
static REPEAT: [Repeat; HALF] = {
    const fn repeat(bytes: usize) -> Repeat {
        let mut factor = 0;
        let mut shift = 0;
        while shift < 64 {
            factor |= 1 << shift;
            shift += 8 * bytes;
        }
        Repeat { mask: (1 << (8 * bytes)) - 1, factor, period: HALF.next_multiple_of(bytes) }
    }
    [repeat(1), repeat(1), repeat(2), repeat(3), repeat(4), repeat(5), repeat(6), repeat(7)]
};
