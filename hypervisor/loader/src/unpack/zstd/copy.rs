//! Copies into the output: literals, and matches of what it holds already.

use super::{Result, TOO_LONG};

/// What short copies are made of. They may write this much past their end, as what comes next
/// overwrites it.
const WORD: usize = 16;
/// What copies from nearby are made of.
const HALF: usize = 8;

/// Copies `bytes` to `out` at `at`; gives where they end.
pub(super) fn exact(out: &mut [u8], at: usize, bytes: &[u8]) -> Result<usize> {
    let end = at.checked_add(bytes.len()).ok_or(TOO_LONG)?;
    out.get_mut(at..end).ok_or(TOO_LONG)?.copy_from_slice(bytes);
    Ok(end)
}

/// Writes `len` times `value` to `out` at `at`; gives where they end.
pub(super) fn fill(out: &mut [u8], at: usize, len: usize, value: u8) -> Result<usize> {
    let end = at.checked_add(len).ok_or(TOO_LONG)?;
    out.get_mut(at..end).ok_or(TOO_LONG)?.fill(value);
    Ok(end)
}

/// How far a block has come.
#[derive(Clone, Copy)]
pub(super) struct Progress<'a> {
    /// Where its next byte goes.
    pub(super) at: usize,
    /// The literals that are left.
    pub(super) literals: &'a [u8],
}

/// One step of a block: `literals` more literals, then `len` bytes from `offset` back.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) literals: u32,
    pub(super) len: u32,
    pub(super) offset: u32,
}

impl Step {
    /// Carries it out.
    #[inline(always)]
    pub(super) fn run<'a>(self, out: &mut [u8], now: Progress<'a>) -> Result<Progress<'a>> {
        let Self { literals: literal_len, len, offset } = self;
        // Lengths are below 2^17, offsets below 2^32, positions below 2^48: no sum can wrap.
        let start = now.at.wrapping_add(literal_len as usize);
        let end = start.wrapping_add(len as usize);
        if (offset as usize).wrapping_sub(1) >= start {
            return Err("a match starts before the output does");
        }
        if end.wrapping_add(WORD) > out.len()
            || (literal_len as usize).wrapping_add(WORD) > now.literals.len()
        {
            return near_end(out, now, literal_len as usize, len as usize, offset as usize);
        }
        let space = out.get_mut(now.at..).ok_or(TOO_LONG)?;
        *space.first_chunk_mut::<WORD>().ok_or(TOO_LONG)? =
            *now.literals.first_chunk().ok_or(TOO_LONG)?;
        if literal_len as usize > WORD {
            copy_words(space, now.literals, literal_len as usize)?;
        }
        let from = out.get_mut(start.wrapping_sub(offset as usize)..).ok_or(TOO_LONG)?;
        if (offset as usize) < HALF || len as usize > WORD {
            copy_match(from, len as usize, offset as usize)?;
        } else {
            copy_short_match(from, offset as usize)?;
        }
        let literals = now.literals.get(literal_len as usize..).ok_or(TOO_LONG)?;
        Ok(Progress { at: end, literals })
    }
}

/// Carries a step out without a byte written or read past its end.
#[cold]
#[inline(never)]
fn near_end<'a>(
    out: &mut [u8],
    now: Progress<'a>,
    literal_len: usize,
    len: usize,
    offset: usize,
) -> Result<Progress<'a>> {
    let (literals, rest) = now
        .literals
        .split_at_checked(literal_len)
        .ok_or("a block uses more literals than it has")?;
    let start = exact(out, now.at, literals)?;
    let end = start.checked_add(len).filter(|end| *end <= out.len()).ok_or(TOO_LONG)?;
    for to in start..end {
        let byte = *out.get(to.wrapping_sub(offset)).ok_or(TOO_LONG)?;
        *out.get_mut(to).ok_or(TOO_LONG)? = byte;
    }
    Ok(Progress { at: end, literals: rest })
}

/// Copies the words of `from` after the first that start before `len`.
#[inline(never)]
fn copy_words(out: &mut [u8], from: &[u8], len: usize) -> Result<()> {
    let (to, _) = out.as_chunks_mut::<WORD>();
    let (from, _) = from.as_chunks::<WORD>();
    let words = len.div_ceil(WORD);
    for (to, from) in to.iter_mut().zip(from).take(words).skip(1) {
        *to = *from;
    }
    if from.len() < words || to.len() < words { Err(TOO_LONG) } else { Ok(()) }
}

/// Copies a match of at most a word, whose `offset` is at least half a word, from the start of
/// `window` to its place there.
#[inline(always)]
fn copy_short_match(window: &mut [u8], offset: usize) -> Result<()> {
    // The second half may be what the first one wrote.
    copy_half(window, 0, offset)?;
    copy_half(window, HALF, offset)
}

#[inline(always)]
fn copy_half(window: &mut [u8], at: usize, offset: usize) -> Result<()> {
    let half: [u8; HALF] = *window.get(at..).and_then(|rest| rest.first_chunk()).ok_or(TOO_LONG)?;
    let to = at.wrapping_add(offset);
    let to = window.get_mut(to..to.wrapping_add(HALF)).ok_or(TOO_LONG)?;
    to.copy_from_slice(&half);
    Ok(())
}

/// Copies any match from the start of `window` to its place there.
#[inline(never)]
fn copy_match(window: &mut [u8], len: usize, offset: usize) -> Result<()> {
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
fn copy_near_match(window: &mut [u8], len: usize, offset: usize) -> Result<()> {
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
