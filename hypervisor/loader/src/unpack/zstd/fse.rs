//! Finite state entropy: the distribution of symbols, and the states made of it (RFC 8878,
//! 4.1).

use super::super::Outcome;
use super::Input;
use super::bits::ForwardBits;

/// More symbols than any of the alphabets has (match lengths: 53; weights: 13).
pub(super) const MAX_SYMBOLS: usize = 64;
/// The largest table: match and literal lengths have an accuracy log of at most 9.
pub(super) const MAX_STATES: usize = 512;

const IMPOSSIBLE: &str = "an FSE table has an impossible distribution";

/// How probable each symbol is, in parts of 2^`log`; -1 is "less than one part".
pub(super) struct Distribution {
    pub(super) log: u32,
    probabilities: [i16; MAX_SYMBOLS],
    symbols: usize,
}

impl Distribution {
    /// A distribution that the RFC gives.
    pub(super) fn predefined(log: u32, probabilities: &[i16]) -> Self {
        let mut all = [0; MAX_SYMBOLS];
        for (to, from) in all.iter_mut().zip(probabilities) {
            *to = *from;
        }
        Self { log, probabilities: all, symbols: probabilities.len() }
    }

    /// The distribution of a table with one state.
    pub(super) fn single(symbol: u8) -> Outcome<Self> {
        let mut distribution = Self { log: 0, probabilities: [0; MAX_SYMBOLS], symbols: 0 };
        *distribution.probabilities.get_mut(usize::from(symbol)).ok_or(IMPOSSIBLE)? = 1;
        Ok(distribution)
    }

    /// Reads a table description (4.1.1) of at most `max_log` and `max_symbols`.
    pub(super) fn read(input: &mut Input<'_>, max_log: u32, max_symbols: usize) -> Outcome<Self> {
        let mut bits = ForwardBits::new(input.rest());
        let log = bits.take(4).wrapping_add(5);
        if log > max_log {
            return Err("an FSE table is larger than allowed");
        }
        let mut distribution = Self { log, probabilities: [0; MAX_SYMBOLS], symbols: 0 };
        let mut remaining = 1i32 << log;
        while remaining > 0 {
            let probability = probability(&mut bits, remaining);
            remaining = remaining.wrapping_sub(probability.abs());
            distribution.push(probability as i16, max_symbols)?;
            let mut repeat = if probability == 0 { 3 } else { 0 };
            while repeat == 3 {
                repeat = bits.take(2);
                for _ in 0..repeat {
                    distribution.push(0, max_symbols)?;
                }
            }
        }
        if remaining != 0 {
            return Err(IMPOSSIBLE);
        }
        input.take(bits.bytes_read())?;
        Ok(distribution)
    }

    fn push(&mut self, probability: i16, max_symbols: usize) -> Outcome<()> {
        if self.symbols >= max_symbols {
            return Err("an FSE table has more symbols than allowed");
        }
        *self.probabilities.get_mut(self.symbols).ok_or(IMPOSSIBLE)? = probability;
        self.symbols = self.symbols.saturating_add(1);
        Ok(())
    }

    /// Builds the table of states: `state(symbol, bits, next)` makes an entry, where the state
    /// that follows is `next` plus the value of `bits` more bits.
    pub(super) fn build<T: Copy>(
        &self,
        table: &mut [T],
        mut state: impl FnMut(u8, u8, u16) -> Outcome<T>,
    ) -> Outcome<()> {
        let size = 1usize << self.log;
        let table = table.get_mut(..size).ok_or(IMPOSSIBLE)?;
        let (symbols, mut counts) = self.spread(size)?;
        for (entry, symbol) in table.iter_mut().zip(symbols) {
            let count = counts.get_mut(usize::from(symbol)).ok_or(IMPOSSIBLE)?;
            let bits = self.log.checked_sub(count.checked_ilog2().ok_or(IMPOSSIBLE)?);
            let bits = bits.ok_or(IMPOSSIBLE)?;
            let next = (usize::from(*count) << bits).checked_sub(size).ok_or(IMPOSSIBLE)?;
            *entry = state(symbol, bits as u8, next as u16)?;
            *count = count.wrapping_add(1);
        }
        Ok(())
    }

    /// Spreads the symbols over the states; gives each state's symbol, and each symbol's number
    /// of states.
    fn spread(&self, size: usize) -> Outcome<([u8; MAX_STATES], [u16; MAX_SYMBOLS])> {
        let mut states = [0u8; MAX_STATES];
        let mut counts = [1u16; MAX_SYMBOLS];
        let mask = size.wrapping_sub(1);
        // Symbols of less than one part get one state each, from the end.
        let mut end = size;
        for (symbol, probability) in self.probabilities.iter().enumerate() {
            if *probability == -1 {
                end = end.checked_sub(1).ok_or(IMPOSSIBLE)?;
                *states.get_mut(end).ok_or(IMPOSSIBLE)? = symbol as u8;
            }
        }
        let step = (size >> 1).wrapping_add(size >> 3).wrapping_add(3);
        let mut position = 0usize;
        for (symbol, probability) in self.probabilities.iter().enumerate() {
            if *probability <= 0 {
                continue;
            }
            *counts.get_mut(symbol).ok_or(IMPOSSIBLE)? = *probability as u16;
            for _ in 0..*probability {
                *states.get_mut(position).ok_or(IMPOSSIBLE)? = symbol as u8;
                position = position.wrapping_add(step) & mask;
                while position >= end {
                    position = position.wrapping_add(step) & mask;
                }
            }
        }
        if position == 0 { Ok((states, counts)) } else { Err(IMPOSSIBLE) }
    }
}

/// Reads one probability, whose code length depends on how much is left to give away.
fn probability(bits: &mut ForwardBits<'_>, remaining: i32) -> i32 {
    // Values 0 to remaining + 1 are possible.
    let most = remaining.wrapping_add(1) as u32;
    let width = most.ilog2().wrapping_add(1);
    // Small values spare a bit.
    let spared = 1u32.wrapping_shl(width).wrapping_sub(1).wrapping_sub(most);
    let half = 1u32 << width.wrapping_sub(1);
    let value = bits.peek(width);
    let low = value & half.wrapping_sub(1);
    let value = if low < spared {
        bits.skip(width.wrapping_sub(1));
        low
    } else {
        bits.skip(width);
        if value >= half { value.wrapping_sub(spared) } else { value }
    };
    (value as i32).wrapping_sub(1)
}
