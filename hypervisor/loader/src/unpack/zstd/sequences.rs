//! The sequences section of a block: what to copy from where (RFC 8878, 3.1.1.3.2 and 3.1.1.4).

use alloc::boxed::Box;
use alloc::vec;

use super::super::copy;
use super::super::{CUT_SHORT, Outcome};
use super::Input;
use super::bits::ReverseWord;
use super::fse::{Distribution, MAX_STATES};
use super::step::{Progress, Step};

const IMPOSSIBLE: &str = "a sequence has an impossible code";

/// A state of one of the three tables: what its symbol stands for, and what follows. Masks are
/// kept beside bit counts to spare computing them four million times.
#[derive(Clone, Copy, Default)]
struct State {
    /// The value is this plus `extra_bits` more bits.
    base: u32,
    extra_mask: u32,
    /// The next state is this plus `next_bits` more bits.
    next: u16,
    next_mask: u16,
    next_bits: u8,
    extra_bits: u8,
}

impl State {
    #[inline(always)]
    fn value(&self, bits: &mut ReverseWord<'_>) -> u32 {
        self.base.wrapping_add(bits.take(self.extra_bits, u64::from(self.extra_mask)) as u32)
    }

    #[inline(always)]
    fn follow(&self, bits: &mut ReverseWord<'_>) -> usize {
        let more = bits.take(self.next_bits, u64::from(self.next_mask)) as usize;
        usize::from(self.next).wrapping_add(more)
    }
}

/// Which of the three tables; they lie behind each other.
#[derive(Clone, Copy)]
enum Kind {
    LiteralLengths,
    Offsets,
    MatchLengths,
}

const KINDS: usize = 3;

/// The three decoding tables, of whatever source.
struct Tables {
    states: Box<[State]>,
    logs: [u8; KINDS],
    /// Whether each was filled: a block may ask for the previous one's table.
    filled: [bool; KINDS],
}

impl Tables {
    fn new() -> Self {
        let states = vec![State::default(); MAX_STATES * KINDS].into();
        Self { states, logs: [0; KINDS], filled: [false; KINDS] }
    }

    fn read(&mut self, kind: Kind, mode: u8, block: &mut Input<'_>) -> Outcome<()> {
        let alphabet = kind.alphabet();
        let index = kind as usize;
        let distribution = match mode & 3 {
            0 => Distribution::predefined(alphabet.default_log, alphabet.default),
            // A table of one symbol, which takes no bits.
            1 => Distribution::single(*block.take(1)?.first().ok_or(CUT_SHORT)?)?,
            2 => Distribution::read(block, alphabet.max_log, alphabet.values.len())?,
            _ if self.filled[index] => return Ok(()),
            _ => return Err("a block uses a table that no block before it has"),
        };
        self.logs[index] = distribution.log as u8;
        self.filled[index] = true;
        let states = self.states.chunks_exact_mut(MAX_STATES).nth(index).ok_or(IMPOSSIBLE)?;
        distribution.build(states, |symbol, next_bits, next| {
            let value = alphabet.values.get(usize::from(symbol)).ok_or(IMPOSSIBLE)?;
            Ok(State {
                base: value.base,
                extra_mask: value.extra_mask,
                next,
                next_mask: mask(next_bits) as u16,
                next_bits,
                extra_bits: value.extra_bits,
            })
        })
    }
}

const fn mask(bits: u8) -> u32 {
    1u32.wrapping_shl(bits as u32).wrapping_sub(1)
}

/// What sequences sections leave for the next one.
pub(super) struct Sequences {
    tables: Tables,
    recent: Recent,
}

impl Sequences {
    pub(super) fn new() -> Self {
        Self { tables: Tables::new(), recent: Recent([1, 4, 8]) }
    }

    /// Carries out the sequences of `block`, whose literals are `literals`, from `out[at]` on;
    /// gives where the output ends.
    pub(super) fn run(
        &mut self,
        block: &mut Input<'_>,
        literals: &[u8],
        out: &mut [u8],
        at: usize,
    ) -> Outcome<usize> {
        let count = self.header(block)?;
        let mut progress = Progress { at, literals };
        if count != 0 {
            progress = self.execute(count, block, out, progress)?;
        }
        copy::exact(out, progress.at, progress.literals)
    }

    /// Reads the section's header and tables; gives the number of sequences.
    fn header(&mut self, block: &mut Input<'_>) -> Outcome<u32> {
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
        self.tables.read(Kind::LiteralLengths, modes >> 6, block)?;
        self.tables.read(Kind::Offsets, modes >> 4, block)?;
        self.tables.read(Kind::MatchLengths, modes >> 2, block)?;
        Ok(count as u32)
    }

    /// The loop that takes most of the time: about 4 million rounds for a kernel.
    #[inline(never)]
    fn execute<'a>(
        &mut self,
        count: u32,
        block: &Input<'_>,
        out: &mut [u8],
        progress: Progress<'a>,
    ) -> Outcome<Progress<'a>> {
        let mut bits = ReverseWord::new(block)?;
        let states = self.tables.states.as_array::<{ MAX_STATES * KINDS }>().ok_or(IMPOSSIBLE)?;
        let state = |kind: Kind, index: usize| {
            &states[(index % MAX_STATES).wrapping_add((kind as usize).wrapping_mul(MAX_STATES))]
        };
        let [literal_log, offset_log, match_log] = self.tables.logs;
        let mut start = |log: u8| bits.take(log, u64::from(mask(log))) as usize;
        let mut literal_of = state(Kind::LiteralLengths, start(literal_log));
        let mut offset_of = state(Kind::Offsets, start(offset_log));
        let mut match_of = state(Kind::MatchLengths, start(match_log));
        let (mut recent, mut now) = (self.recent, progress);
        let mut left = count;
        loop {
            // At most 31 + 16 + 16 bits for the values, then 9 + 8 + 9 for the states: whoever
            // has a rare long length refills, so that the others needn't.
            bits.refill()?;
            let offset_value = offset_of.value(&mut bits);
            let mut len = match_of.base;
            if match_of.extra_bits != 0 {
                len = match_of.value(&mut bits);
                bits.refill()?;
            }
            let mut literals = literal_of.base;
            if literal_of.extra_bits != 0 {
                literals = literal_of.value(&mut bits);
                bits.refill()?;
            }
            let offset = if offset_of.extra_bits > 1 {
                recent.push(offset_value);
                offset_value
            } else {
                recent.recall(offset_value, literals)
            };
            let step = Step { literals, len, offset };
            now = step.run(out, now)?;

            left = left.wrapping_sub(1);
            if left == 0 {
                break;
            }
            literal_of = state(Kind::LiteralLengths, literal_of.follow(&mut bits));
            match_of = state(Kind::MatchLengths, match_of.follow(&mut bits));
            offset_of = state(Kind::Offsets, offset_of.follow(&mut bits));
        }
        self.recent = recent;
        if bits.is_finished() { Ok(now) } else { Err("sequences don't fill their bit stream") }
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

/// What distinguishes the three alphabets.
struct Alphabet {
    max_log: u32,
    values: &'static [Value],
    default_log: u32,
    default: &'static [i16],
}

/// What a symbol stands for.
#[derive(Clone, Copy)]
struct Value {
    base: u32,
    extra_mask: u32,
    extra_bits: u8,
}

impl Value {
    const fn new(base: u32, extra_bits: u8) -> Self {
        Self { base, extra_mask: mask(extra_bits), extra_bits }
    }
}

impl Kind {
    const fn alphabet(self) -> &'static Alphabet {
        match self {
            Self::LiteralLengths => &LITERAL_LENGTHS,
            Self::Offsets => &OFFSETS,
            Self::MatchLengths => &MATCH_LENGTHS,
        }
    }
}

/// The values of an alphabet whose symbols follow each other without gaps, by the number of
/// their extra bits.
const fn consecutive<const N: usize>(first: u32, extra_bits: [u8; N]) -> [Value; N] {
    let mut values = [Value::new(0, 0); N];
    let (mut base, mut symbol) = (first, 0);
    while symbol < N {
        values[symbol] = Value::new(base, extra_bits[symbol]);
        base = base.wrapping_add(1 << extra_bits[symbol]);
        symbol = symbol.wrapping_add(1);
    }
    values
}

static LITERAL_LENGTHS: Alphabet = Alphabet {
    max_log: 9,
    values: &consecutive(
        0,
        [
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 6, 7, 8, 9,
            10, 11, 12, 13, 14, 15, 16,
        ],
    ),
    default_log: 6,
    default: &[
        4, 3, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 2, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 2, 2, 3, 2, 1, 1, 1,
        1, 1, -1, -1, -1, -1,
    ],
};

static MATCH_LENGTHS: Alphabet = Alphabet {
    max_log: 9,
    values: &consecutive(
        3,
        [
            0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
            0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 5, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16,
        ],
    ),
    default_log: 6,
    default: &[
        1, 4, 3, 2, 2, 2, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1,
        1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1, -1, -1,
    ],
};

static OFFSETS: Alphabet = Alphabet {
    max_log: 8,
    values: &{
        let mut values = [Value::new(0, 0); 32];
        let mut code = 0;
        while code < 32 {
            // Values up to 3 say which recent offset; larger ones are 3 more than the offset.
            let base = if code < 2 { 1 << code } else { (1 << code) - 3 };
            values[code] = Value::new(base, code as u8);
            code += 1;
        }
        values
    },
    default_log: 5,
    default: &[
        1, 1, 1, 1, 1, 1, 2, 2, 2, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, -1, -1, -1, -1, -1,
    ],
};
