//! The sequences section of a block: what to copy from where (RFC 8878, 3.1.1.3.2 and 3.1.1.4).

use alloc::boxed::Box;

use super::bits::ReverseBits;
use super::copy::{self, Step};
use super::fse::{Distribution, MAX_STATES};
use super::{CUT_SHORT, Input, Result};

const IMPOSSIBLE: &str = "a sequence has an impossible code";

/// A state of one of the three tables: what its symbol stands for, and what follows.
#[derive(Clone, Copy, Default)]
struct State {
    /// The value is this plus `extra_bits` more bits.
    base: u32,
    /// The next state is this plus `next_bits` more bits.
    next: u16,
    next_bits: u8,
    extra_bits: u8,
}

/// A decoding table, of whatever source.
struct Table {
    states: Box<[State; MAX_STATES]>,
    log: u32,
    /// Whether it was filled: a block may ask for the previous one's table.
    filled: bool,
}

/// What distinguishes the three alphabets.
struct Alphabet {
    max_log: u32,
    max_symbols: usize,
    /// A symbol's base value and number of extra bits.
    value: fn(u8) -> Option<(u32, u8)>,
    default_log: u32,
    default: &'static [i16],
}

impl Table {
    fn new() -> Self {
        Self { states: Box::new([State::default(); MAX_STATES]), log: 0, filled: false }
    }

    #[inline(always)]
    fn state(&self, index: usize) -> &State {
        &self.states[index % MAX_STATES]
    }

    fn read(&mut self, mode: u8, alphabet: &Alphabet, block: &mut Input<'_>) -> Result<()> {
        let distribution = match mode & 3 {
            0 => Distribution::predefined(alphabet.default_log, alphabet.default),
            1 => return self.single(*block.take(1)?.first().ok_or(CUT_SHORT)?, alphabet),
            2 => Distribution::read(block, alphabet.max_log, alphabet.max_symbols)?,
            _ if self.filled => return Ok(()),
            _ => return Err("a block uses a table that no block before it has"),
        };
        self.log = distribution.log;
        self.filled = true;
        distribution.build(&mut self.states[..], |symbol, next_bits, next| {
            let (base, extra_bits) = (alphabet.value)(symbol).ok_or(IMPOSSIBLE)?;
            Ok(State { base, next, next_bits, extra_bits })
        })
    }

    /// A table of one symbol, which takes no bits.
    fn single(&mut self, symbol: u8, alphabet: &Alphabet) -> Result<()> {
        let (base, extra_bits) = (alphabet.value)(symbol).ok_or(IMPOSSIBLE)?;
        self.states[0] = State { base, next: 0, next_bits: 0, extra_bits };
        self.log = 0;
        self.filled = true;
        Ok(())
    }
}

/// What sequences sections leave for the next one.
pub(super) struct Sequences {
    literal_lengths: Table,
    offsets: Table,
    match_lengths: Table,
    recent: Recent,
}

impl Sequences {
    pub(super) fn new() -> Self {
        Self {
            literal_lengths: Table::new(),
            offsets: Table::new(),
            match_lengths: Table::new(),
            recent: Recent([1, 4, 8]),
        }
    }

    /// Carries out the sequences of `block`, whose literals are `literals`, from `out[at]` on;
    /// gives where the output ends.
    pub(super) fn run(
        &mut self,
        block: &mut Input<'_>,
        mut literals: &[u8],
        out: &mut [u8],
        at: usize,
    ) -> Result<usize> {
        let count = self.header(block)?;
        let mut at = at;
        if count != 0 {
            at = self.execute(count, ReverseBits::new(block)?, &mut literals, out, at)?;
        }
        copy::exact(out, at, literals)
    }

    /// Reads the section's header and tables; gives the number of sequences.
    fn header(&mut self, block: &mut Input<'_>) -> Result<u32> {
        let count = match block.number(1)? {
            0 => return Ok(0),
            few @ 1..128 => few,
            255 => block.number(2)?.wrapping_add(0x7F00),
            many => (many.wrapping_sub(128) << 8) | block.number(1)?,
        };
        let modes = block.number(1)? as u8;
        if modes & 3 != 0 {
            return Err("a sequences section has a reserved bit set");
        }
        self.literal_lengths.read(modes >> 6, &LITERAL_LENGTHS, block)?;
        self.offsets.read(modes >> 4, &OFFSETS, block)?;
        self.match_lengths.read(modes >> 2, &MATCH_LENGTHS, block)?;
        Ok(count as u32)
    }

    fn execute(
        &mut self,
        count: u32,
        mut bits: ReverseBits<'_>,
        literals: &mut &[u8],
        out: &mut [u8],
        mut at: usize,
    ) -> Result<usize> {
        let mut literal_state = bits.take(self.literal_lengths.log) as usize;
        let mut offset_state = bits.take(self.offsets.log) as usize;
        let mut match_state = bits.take(self.match_lengths.log) as usize;
        let mut recent = self.recent;
        let mut left = count;
        loop {
            bits.refill()?;
            let offset_of = self.offsets.state(offset_state);
            let match_of = self.match_lengths.state(match_state);
            let literal_of = self.literal_lengths.state(literal_state);

            // At most 31 + 16 + 16 bits for the values, then 9 + 8 + 9 for the states: whoever
            // has a rare long length refills, so that the others needn't.
            let offset_bits = bits.take(offset_of.extra_bits.into()) as u32;
            let offset_value = offset_of.base.wrapping_add(offset_bits);
            let mut len = match_of.base;
            if match_of.extra_bits != 0 {
                len = len.wrapping_add(bits.take(match_of.extra_bits.into()) as u32);
                bits.refill()?;
            }
            let mut literal_len = literal_of.base;
            if literal_of.extra_bits != 0 {
                literal_len =
                    literal_len.wrapping_add(bits.take(literal_of.extra_bits.into()) as u32);
                bits.refill()?;
            }
            let offset = if offset_of.extra_bits > 1 {
                recent.push(offset_value);
                offset_value
            } else {
                recent.recall(offset_value, literal_len)
            };
            let step =
                Step { literals: literal_len as usize, len: len as usize, offset: offset as usize };
            at = step.run(out, at, literals)?;

            left = left.wrapping_sub(1);
            if left == 0 {
                break;
            }
            let next = |of: &State, bits: &mut ReverseBits<'_>| {
                usize::from(of.next).wrapping_add(bits.take(of.next_bits.into()) as usize)
            };
            literal_state = next(literal_of, &mut bits);
            match_state = next(match_of, &mut bits);
            offset_state = next(offset_of, &mut bits);
        }
        self.recent = recent;
        if bits.is_finished() { Ok(at) } else { Err("sequences don't fill their bit stream") }
    }
}

/// The last three offsets, newest first.
#[derive(Clone, Copy)]
struct Recent([u32; 3]);

impl Recent {
    #[inline(always)]
    const fn push(&mut self, offset: u32) {
        self.0 = [offset, self.0[0], self.0[1]];
    }

    /// A recent offset, by its number from 1; without literals, numbers mean the next older one,
    /// and the last means the newest less one (RFC 8878, 3.1.1.5).
    #[inline(always)]
    fn recall(&mut self, number: u32, literal_len: u32) -> u32 {
        let [first, second, third] = self.0;
        match number.wrapping_add(u32::from(literal_len == 0)) {
            1 => {}
            2 => self.0 = [second, first, third],
            3 => self.0 = [third, first, second],
            // Zero can't be an offset, and is refused where it is used.
            _ => self.0 = [first.wrapping_sub(1), first, second],
        }
        self.0[0]
    }
}

const LITERAL_LENGTHS: Alphabet = Alphabet {
    max_log: 9,
    max_symbols: 36,
    value: |code| {
        Some(match code {
            0..16 => (code.into(), 0),
            16..20 => ([16, 18, 20, 22][usize::from(code - 16)], 1),
            20..22 => ([24, 28][usize::from(code - 20)], 2),
            22 | 23 => ([32, 40][usize::from(code - 22)], 3),
            24 => (48, 4),
            // From here on, each code doubles: 25 is 64 and 6 bits.
            25..36 => (64 << (code - 25), code - 19),
            _ => return None,
        })
    },
    default_log: 6,
    default: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
        1, 1, -1, -1, -1, -1,
    ],
};

const MATCH_LENGTHS: Alphabet = Alphabet {
    max_log: 9,
    max_symbols: 53,
    value: |code| {
        Some(match code {
            0..32 => (3 + u32::from(code), 0),
            32..36 => ([35, 37, 39, 41][usize::from(code - 32)], 1),
            36 | 37 => ([43, 47][usize::from(code - 36)], 2),
            38 | 39 => ([51, 59][usize::from(code - 38)], 3),
            40 | 41 => ([67, 83][usize::from(code - 40)], 4),
            42 => (99, 5),
            // From here on, each code doubles: 43 is 131 and 7 bits.
            43..53 => ((128 << (code - 43)) + 3, code - 36),
            _ => return None,
        })
    },
    default_log: 6,
    default: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
};

const OFFSETS: Alphabet = Alphabet {
    max_log: 8,
    max_symbols: 32,
    value: |code| {
        Some(match code {
            // These two say which recent offset.
            0 | 1 => (1 << code, code),
            2..32 => ((1 << code) - 3, code),
            _ => return None,
        })
    },
    default_log: 5,
    default: &[
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ],
};
