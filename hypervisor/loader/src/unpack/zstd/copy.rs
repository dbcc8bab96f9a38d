//! Copies into the output: literals, and matches of what it holds already.

use super::{Result, TOO_LONG};

/// What short copies are made of. They may write this much past their end, as what comes next
/// overwrites it.
const WORD: usize = 16;

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

/// One step of a block: `literals` more bytes of `from`, then `len` bytes from `offset` back.
#[derive(Clone, Copy)]
pub(super) struct Step {
    pub(super) literals: usize,
    pub(super) len: usize,
    pub(super) offset: usize,
}

impl Step {
    /// Carries it out at `at`; takes the literals off `from`, and gives where the output ends.
    #[inline(always)]
    pub(super) fn run(self, out: &mut [u8], at: usize, from: &mut &[u8]) -> Result<usize> {
        // Lengths are below 2^17 and positions below 2^48: no sum can wrap.
        let start = at.wrapping_add(self.literals);
        let end = start.wrapping_add(self.len);
        if self.offset.wrapping_sub(1) >= start {
            return Err("a match starts before the output does");
        }
        if end.wrapping_add(WORD) > out.len() || self.literals.wrapping_add(WORD) > from.len() {
            return self.run_near_end(out, at, from);
        }
        let rest = from.get(self.literals..).ok_or(TOO_LONG)?;
        put_word(out, at, get_word(from, 0)?)?;
        if self.literals > WORD {
            copy_words(out, at, from, self.literals)?;
        }
        *from = rest;
        if self.offset < WORD {
            return self.run_overlapping(out, start, end);
        }
        let mut to = start;
        loop {
            let word = get_word(out, to.wrapping_sub(self.offset))?;
            put_word(out, to, word)?;
            to = to.wrapping_add(WORD);
            if to >= end {
                return Ok(end);
            }
        }
    }

    /// A match that repeats its own first bytes.
    #[inline(never)]
    fn run_overlapping(self, out: &mut [u8], start: usize, end: usize) -> Result<usize> {
        // Repeat the pattern bytewise until it fills a word; from there on words of the widest
        // multiple of the pattern do.
        let stop = end.min(start.wrapping_add(WORD));
        for to in start..stop {
            let byte = *out.get(to.wrapping_sub(self.offset)).ok_or(TOO_LONG)?;
            *out.get_mut(to).ok_or(TOO_LONG)? = byte;
        }
        let offset = WORD.next_multiple_of(self.offset);
        let mut to = stop;
        while to < end {
            // The pattern started `self.offset` before `start`, so it is there.
            let word = get_word(out, to.wrapping_sub(offset))?;
            put_word(out, to, word)?;
            to = to.wrapping_add(WORD);
        }
        Ok(end)
    }

    /// The same without a byte written or read past the end.
    #[cold]
    #[inline(never)]
    fn run_near_end(self, out: &mut [u8], at: usize, from: &mut &[u8]) -> Result<usize> {
        let (literals, rest) =
            from.split_at_checked(self.literals).ok_or("a block uses more literals than it has")?;
        *from = rest;
        let start = exact(out, at, literals)?;
        let end = start.checked_add(self.len).filter(|end| *end <= out.len()).ok_or(TOO_LONG)?;
        for to in start..end {
            let byte = *out.get(to.wrapping_sub(self.offset)).ok_or(TOO_LONG)?;
            *out.get_mut(to).ok_or(TOO_LONG)? = byte;
        }
        Ok(end)
    }
}

#[inline(always)]
fn get_word(from: &[u8], at: usize) -> Result<[u8; WORD]> {
    from.get(at..).and_then(|rest| rest.first_chunk()).copied().ok_or(TOO_LONG)
}

#[inline(always)]
fn put_word(out: &mut [u8], at: usize, word: [u8; WORD]) -> Result<()> {
    *out.get_mut(at..).and_then(|rest| rest.first_chunk_mut()).ok_or(TOO_LONG)? = word;
    Ok(())
}

/// Copies the words of `from` after the first that start before `len`.
#[inline(never)]
fn copy_words(out: &mut [u8], at: usize, from: &[u8], len: usize) -> Result<()> {
    let mut done = WORD;
    while done < len {
        put_word(out, at.wrapping_add(done), get_word(from, done)?)?;
        done = done.wrapping_add(WORD);
    }
    Ok(())
}
