//! Huffman codes of literals (RFC 8878, 4.2).

use alloc::boxed::Box;

use super::super::{CUT_SHORT, Outcome};
use super::Input;
use super::bits::ReverseBits;
use super::fse::Distribution;

/// The longest code, in bits.
const MAX_BITS: u32 = 11;
const TABLE_LEN: usize = 1 << MAX_BITS;
const MAX_SYMBOLS: usize = 256;
/// How many codes of any length one refill is good for.
const CODES_PER_REFILL: usize = (ReverseBits::REFILLED / MAX_BITS) as usize;

const IMPOSSIBLE: &str = "a Huffman tree has impossible weights";

/// A decoding table: indexed by the next 11 bits, whatever the tree's own depth.
pub(super) struct Huffman {
    /// Bits 7:0 are the code's length, bits 15:8 the symbol.
    table: Box<[u16; TABLE_LEN]>,
}

impl Huffman {
    pub(super) fn new() -> Self {
        Self { table: Box::new([0; TABLE_LEN]) }
    }

    /// Reads a tree description.
    pub(super) fn read(&mut self, input: &mut Input<'_>) -> Outcome<()> {
        let mut weights = [0u8; MAX_SYMBOLS];
        let header = *input.take(1)?.first().ok_or(CUT_SHORT)?;
        let count = match header.checked_sub(127) {
            Some(count) => direct_weights(input, count.into(), &mut weights)?,
            None => packed_weights(&mut input.part(header.into())?, &mut weights)?,
        };
        self.build(&mut weights, count)
    }

    /// Adds the last weight, which is implied, and fills the table.
    fn build(&mut self, weights: &mut [u8; MAX_SYMBOLS], count: usize) -> Outcome<()> {
        let share = |weight: u8| weight.checked_sub(1).map_or(0, |exponent| 1usize << exponent);
        let given = weights.get(..count).ok_or(IMPOSSIBLE)?;
        if given.iter().any(|weight| u32::from(*weight) > MAX_BITS) {
            return Err(IMPOSSIBLE);
        }
        let total: usize = given.iter().map(|weight| share(*weight)).sum();
        let depth = total.checked_ilog2().ok_or(IMPOSSIBLE)?.wrapping_add(1);
        let left = (1usize << depth).wrapping_sub(total);
        if depth > MAX_BITS || !left.is_power_of_two() {
            return Err(IMPOSSIBLE);
        }
        *weights.get_mut(count).ok_or(IMPOSSIBLE)? = left.ilog2().wrapping_add(1) as u8;

        // Codes are given out from the longest up; in a table of 11 bits a code of `depth + 1 -
        // weight` bits covers this many entries:
        let scale = MAX_BITS.wrapping_sub(depth);
        let mut at = 0usize;
        for weight in 1..=depth as u8 {
            let len = share(weight) << scale;
            let code_bits = depth.wrapping_add(1).wrapping_sub(weight.into()) as u16;
            for (symbol, _) in weights.iter().enumerate().filter(|(_, of)| **of == weight) {
                let end = at.wrapping_add(len);
                let entries = self.table.get_mut(at..end).ok_or(IMPOSSIBLE)?;
                entries.fill(code_bits | ((symbol as u16) << 8));
                at = end;
            }
        }
        if at == TABLE_LEN { Ok(()) } else { Err(IMPOSSIBLE) }
    }

    /// Decodes the rest of `input`, one bit stream, so that it fills `out`.
    pub(super) fn decode(&self, input: &Input<'_>, out: &mut [u8]) -> Outcome<()> {
        let mut bits = ReverseBits::new(input)?;
        let (groups, tail) = out.as_chunks_mut::<CODES_PER_REFILL>();
        for group in groups {
            bits.refill()?;
            for byte in group {
                *byte = self.symbol(&mut bits);
            }
        }
        bits.refill()?;
        for byte in tail {
            *byte = self.symbol(&mut bits);
        }
        if bits.is_finished() { Ok(()) } else { Err("literals don't fill their bit stream") }
    }

    #[inline(always)]
    fn symbol(&self, bits: &mut ReverseBits<'_>) -> u8 {
        let entry = self.table[(bits.window() >> (64 - MAX_BITS)) as usize];
        // The symbol in the upper half doesn't count here.
        bits.skip(u32::from(entry));
        (entry >> 8) as u8
    }
}

/// Weights of four bits each; gives their count.
fn direct_weights(
    input: &mut Input<'_>,
    count: usize,
    weights: &mut [u8; MAX_SYMBOLS],
) -> Outcome<usize> {
    let bytes = input.take(count.div_ceil(2))?;
    let halves = bytes.iter().flat_map(|byte| [byte >> 4, byte & 0xF]);
    for (to, from) in weights.iter_mut().zip(halves.take(count)) {
        *to = from;
    }
    Ok(count)
}

/// A state of the weights' FSE table.
#[derive(Clone, Copy, Default)]
struct WeightState {
    weight: u8,
    bits: u8,
    next: u16,
}

/// Weights in an FSE stream of two interleaved states; gives their count.
fn packed_weights(input: &mut Input<'_>, weights: &mut [u8; MAX_SYMBOLS]) -> Outcome<usize> {
    const MAX_LOG: u32 = 6;
    const MAX_WEIGHTS: usize = 13;
    let distribution = Distribution::read(input, MAX_LOG, MAX_WEIGHTS)?;
    let mut table = [WeightState::default(); 1 << MAX_LOG];
    distribution.build(&mut table, |weight, bits, next| Ok(WeightState { weight, bits, next }))?;
    let mut bits = ReverseBits::new(input)?;
    let mut take = |count: u32| {
        bits.refill()?;
        let value = bits.take(count) as usize;
        // The stream ends where the next state would need bits that aren't there.
        Ok::<_, &'static str>((!bits.is_overrun()).then_some(value))
    };
    let first = take(distribution.log)?.ok_or(CUT_SHORT)?;
    let second = take(distribution.log)?.ok_or(CUT_SHORT)?;
    let mut states = [first, second];
    let mut count = 0usize;
    loop {
        let [current, other] = states;
        let state = table.get(current).ok_or(IMPOSSIBLE)?;
        *weights.get_mut(count).ok_or(IMPOSSIBLE)? = state.weight;
        count = count.wrapping_add(1);
        let Some(value) = take(state.bits.into())? else {
            let last = table.get(other).ok_or(IMPOSSIBLE)?;
            *weights.get_mut(count).ok_or(IMPOSSIBLE)? = last.weight;
            return Ok(count.wrapping_add(1));
        };
        states = [other, usize::from(state.next).wrapping_add(value)];
    }
}
