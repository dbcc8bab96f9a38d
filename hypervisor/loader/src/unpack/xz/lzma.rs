//! LZMA: literals and matches, coded bit by bit with probabilities that depend on what came
//! before.

use alloc::vec;
use alloc::vec::Vec;

use super::super::{Outcome, TOO_LONG, copy};
use super::range::{Probability, RangeDecoder};

/// The shortest match.
const MIN_MATCH: u32 = 2;
/// Matches up to this length have probabilities of their own for their distance.
const LENGTH_STATES: usize = 4;
/// Distance slots from here on have no probabilities of their own but for their low four bits.
const FIRST_DIRECT_SLOT: u32 = 14;
/// Probabilities of a literal: 256 without a match to compare with, 512 with one; to a power of
/// two.
const LITERAL_NODES: usize = 0x400;

/// How many bits of position and of the last byte are looked at.
#[derive(Clone, Copy)]
pub(super) struct Properties {
    /// Bits of the last byte, for literals.
    literal_context: u32,
    /// Bits of the position, for literals.
    literal_position: u32,
    /// Bits of the position, for all else.
    position: u32,
}

impl Properties {
    pub(super) fn parse(byte: u8) -> Outcome<Self> {
        let literal_context = u32::from(byte % 9);
        let literal_position = u32::from(byte / 9 % 5);
        let position = u32::from(byte / 45);
        if position > 4 || literal_context.wrapping_add(literal_position) > 4 {
            return Err("its LZMA properties are out of range");
        }
        Ok(Self { literal_context, literal_position, position })
    }
}

/// What the last few symbols were: 0 to 6 if the last was a literal.
#[derive(Clone, Copy)]
struct History(usize);

impl History {
    const fn was_literal(self) -> bool {
        self.0 < 7
    }

    const fn after_literal(self) -> Self {
        Self(match self.0 {
            0..=3 => 0,
            4..=9 => self.0.wrapping_sub(3),
            _ => self.0.wrapping_sub(6),
        })
    }

    const fn after(self, seldom: usize, often: usize) -> Self {
        Self(if self.was_literal() { seldom } else { often })
    }
}

/// Probabilities of a match's length.
struct LengthModel {
    beyond_low: Probability,
    beyond_mid: Probability,
    low: [[Probability; 8]; 16],
    mid: [[Probability; 8]; 16],
    high: [Probability; 256],
}

impl LengthModel {
    const fn new() -> Self {
        const EVEN: Probability = Probability::EVEN;
        Self {
            beyond_low: EVEN,
            beyond_mid: EVEN,
            low: [[EVEN; 8]; 16],
            mid: [[EVEN; 8]; 16],
            high: [EVEN; 256],
        }
    }

    #[inline(always)]
    fn decode(&mut self, range: &mut RangeDecoder<'_>, position: usize) -> u32 {
        let length = if !range.bit(&mut self.beyond_low) {
            range.tree(&mut self.low[position % 16])
        } else if !range.bit(&mut self.beyond_mid) {
            range.tree(&mut self.mid[position % 16]).wrapping_add(8)
        } else {
            range.tree(&mut self.high).wrapping_add(16)
        };
        length.wrapping_add(MIN_MATCH)
    }
}

/// All probabilities but those of literals. Arrays are as long as the next power of two, so
/// that indices can be cut instead of checked.
struct Model {
    is_match: [[Probability; 16]; 16],
    is_recent: [Probability; 16],
    is_older: [[Probability; 16]; 3],
    is_long: [[Probability; 16]; 16],
    slots: [[Probability; 64]; LENGTH_STATES],
    distances: [Probability; 128],
    alignment: [Probability; 16],
    match_length: LengthModel,
    recent_length: LengthModel,
}

impl Model {
    const fn new() -> Self {
        const EVEN: Probability = Probability::EVEN;
        Self {
            is_match: [[EVEN; 16]; 16],
            is_recent: [EVEN; 16],
            is_older: [[EVEN; 16]; 3],
            is_long: [[EVEN; 16]; 16],
            slots: [[EVEN; 64]; LENGTH_STATES],
            distances: [EVEN; 128],
            alignment: [EVEN; 16],
            match_length: LengthModel::new(),
            recent_length: LengthModel::new(),
        }
    }
}

/// A match, or the next one byte of one.
struct Match {
    len: u32,
    /// Counts from zero for the byte before.
    distance: u32,
}

/// The decoder's state across chunks.
pub(super) struct Decoder {
    properties: Properties,
    model: Model,
    literals: Vec<[Probability; LITERAL_NODES]>,
    history: History,
    /// The last four distances, newest first, counted from zero.
    recent: [u32; 4],
    /// Where in the output the dictionary starts.
    start: usize,
}

impl Decoder {
    pub(super) fn new() -> Self {
        let properties = Properties { literal_context: 0, literal_position: 0, position: 0 };
        Self {
            properties,
            model: Model::new(),
            literals: Vec::new(),
            history: History(0),
            recent: [0; 4],
            start: 0,
        }
    }

    /// Forgets what came before `at`.
    pub(super) const fn set_start(&mut self, at: usize) {
        self.start = at;
    }

    /// Sets properties, and forgets what was learned.
    pub(super) fn set_properties(&mut self, properties: Properties) {
        self.properties = properties;
        self.reset();
    }

    /// Forgets what was learned.
    pub(super) fn reset(&mut self) {
        let Properties { literal_context, literal_position, .. } = self.properties;
        let contexts = 1usize << literal_context.wrapping_add(literal_position);
        self.model = Model::new();
        self.literals = vec![[Probability::EVEN; LITERAL_NODES]; contexts];
        self.history = History(0);
        self.recent = [0; 4];
    }

    /// Decodes a chunk to `out`, from `at` up to `end`, which is given back.
    pub(super) fn run(
        &mut self,
        packed: &[u8],
        out: &mut [u8],
        mut at: usize,
        end: usize,
    ) -> Outcome<usize> {
        let mut range = RangeDecoder::new(packed)?;
        let out = out.get_mut(..end).ok_or(TOO_LONG)?;
        let mask = (1usize << self.properties.position).wrapping_sub(1);
        while at < end {
            let position = at.wrapping_sub(self.start) & mask;
            let history = self.history.0 % 16;
            if !range.bit(&mut self.model.is_match[history][position % 16]) {
                self.literal(&mut range, out, at)?;
                at = at.wrapping_add(1);
                continue;
            }
            let found = if range.bit(&mut self.model.is_recent[history]) {
                self.recent_match(&mut range, position)
            } else {
                self.new_match(&mut range, position)
            };
            at = self.copy(out, at, &found)?;
        }
        range.finish()?;
        Ok(end)
    }

    #[inline(always)]
    fn literal(&mut self, range: &mut RangeDecoder<'_>, out: &mut [u8], at: usize) -> Outcome<()> {
        let Properties { literal_context, literal_position, .. } = self.properties;
        let position = at.wrapping_sub(self.start);
        let last = if position == 0 { 0 } else { *out.get(at.wrapping_sub(1)).ok_or(TOO_LONG)? };
        let low = position & (1usize << literal_position).wrapping_sub(1);
        let context =
            low << literal_context | usize::from(last) >> 8u32.wrapping_sub(literal_context);
        let nodes = self.literals.get_mut(context).ok_or(TOO_LONG)?;
        let mut node = 1;
        if !self.history.was_literal() {
            // The byte where the last match would have gone on is what it is not: as long as
            // the bits are the same, they have probabilities of their own.
            let before = at.wrapping_sub(self.recent[0] as usize).wrapping_sub(1);
            let mut expected = usize::from(*out.get(before).ok_or(TOO_LONG)?);
            let mut same = 0x100;
            while node < 0x100 {
                expected <<= 1;
                let wanted = expected & same;
                let index = same.wrapping_add(wanted).wrapping_add(node) % LITERAL_NODES;
                let bit = range.bit(&mut nodes[index]);
                node = node << 1 | usize::from(bit);
                same &= if bit { wanted } else { !wanted };
            }
        } else {
            while node < 0x100 {
                let bit = range.bit(&mut nodes[node % LITERAL_NODES]);
                node = node << 1 | usize::from(bit);
            }
        }
        self.history = self.history.after_literal();
        *out.get_mut(at).ok_or(TOO_LONG)? = node as u8;
        Ok(())
    }

    fn new_match(&mut self, range: &mut RangeDecoder<'_>, position: usize) -> Match {
        self.history = self.history.after(7, 10);
        let model = &mut self.model;
        let len = model.match_length.decode(range, position);
        let state = (len.wrapping_sub(MIN_MATCH) as usize).min(LENGTH_STATES - 1);
        let slot = range.tree(&mut model.slots[state]);
        let distance = if slot < 4 {
            slot
        } else {
            let bits = (slot >> 1).wrapping_sub(1);
            let base = (2 | slot & 1) << bits;
            if slot < FIRST_DIRECT_SLOT {
                let first = base.wrapping_sub(slot) as usize;
                base | range.reverse_tree(&mut model.distances, first, bits)
            } else {
                let high = range.direct(bits.wrapping_sub(4)) << 4;
                // Indices start at one here, as the tree is alone.
                let low = range.reverse_tree(&mut model.alignment, 1, 4);
                base.wrapping_add(high) | low
            }
        };
        let [first, second, third, _] = self.recent;
        self.recent = [distance, first, second, third];
        Match { len, distance }
    }

    fn recent_match(&mut self, range: &mut RangeDecoder<'_>, position: usize) -> Match {
        let history = self.history.0 % 16;
        let model = &mut self.model;
        let [first, second, third, fourth] = self.recent;
        if !range.bit(&mut model.is_older[0][history]) {
            if !range.bit(&mut model.is_long[history][position % 16]) {
                self.history = self.history.after(9, 11);
                return Match { len: 1, distance: first };
            }
        } else if !range.bit(&mut model.is_older[1][history]) {
            self.recent = [second, first, third, fourth];
        } else if !range.bit(&mut model.is_older[2][history]) {
            self.recent = [third, first, second, fourth];
        } else {
            self.recent = [fourth, first, second, third];
        }
        self.history = self.history.after(8, 11);
        let len = model.recent_length.decode(range, position);
        Match { len, distance: self.recent[0] }
    }

    /// Carries a match out; gives where it ends.
    #[inline(always)]
    fn copy(&self, out: &mut [u8], at: usize, found: &Match) -> Outcome<usize> {
        let (len, distance) = (found.len as usize, found.distance as usize);
        if distance >= at.wrapping_sub(self.start) {
            return Err("a match starts before the output does");
        }
        let end = at.wrapping_add(len);
        let offset = distance.wrapping_add(1);
        if end.wrapping_add(copy::WORD) > out.len() {
            copy::matched_exactly(out, at, len, offset)?;
        } else {
            copy::matched(out, at, len, offset)?;
        }
        Ok(end)
    }
}
