//! Carrying out a sequence: literals, then a match.

use super::super::copy::{self, WORD};
use super::super::{Outcome, TOO_LONG};

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
    pub(super) fn run<'a>(self, out: &mut [u8], now: Progress<'a>) -> Outcome<Progress<'a>> {
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
        copy::matched(out, start, len as usize, offset as usize)?;
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
) -> Outcome<Progress<'a>> {
    let (literals, rest) = now
        .literals
        .split_at_checked(literal_len)
        .ok_or("a block uses more literals than it has")?;
    let start = copy::exact(out, now.at, literals)?;
    copy::matched_exactly(out, start, len, offset)?;
    Ok(Progress { at: start.saturating_add(len), literals: rest })
}

/// Copies the words of `from` after the first that start before `len`.
#[inline(never)]
fn copy_words(out: &mut [u8], from: &[u8], len: usize) -> Outcome<()> {
    let (to, _) = out.as_chunks_mut::<WORD>();
    let (from, _) = from.as_chunks::<WORD>();
    let words = len.div_ceil(WORD);
    for (to, from) in to.iter_mut().zip(from).take(words).skip(1) {
        *to = *from;
    }
    if from.len() < words || to.len() < words { Err(TOO_LONG) } else { Ok(()) }
}
