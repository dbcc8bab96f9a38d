//! Sets of physical addresses, as sorted ranges of whole frames.

use arrayvec::ArrayVec;
use hv_core::types::FRAME_BYTES;

const FRAME: u64 = FRAME_BYTES as u64;

/// Most ranges in a set.
const MAX_RANGES: usize = 320;

/// The addresses from `start` up to, but without, `end`; both are multiples of the frame size.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Range {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
}

impl Range {
    /// The whole frames inside of `start..end`. Empty if there is none.
    pub const fn inside(start: u64, end: u64) -> Self {
        let start = match start.checked_next_multiple_of(FRAME) {
            Some(start) => start,
            None => return Self { start: 0, end: 0 },
        };
        let end = end & !(FRAME - 1);
        Self { start, end: if end > start { end } else { start } }
    }

    /// The whole frames that `start..end` touches.
    pub const fn around(start: u64, end: u64) -> Self {
        let end = match end.checked_next_multiple_of(FRAME) {
            Some(end) => end,
            None => !(FRAME - 1),
        };
        Self { start: start & !(FRAME - 1), end }
    }

    /// Its length.
    pub const fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether the two have an address in common.
    pub const fn overlaps(&self, other: &Self) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// A set of addresses: ranges in ascending order that neither touch nor overlap.
///
/// When there are too many, the smallest is dropped: losing a little memory is better than not
/// booting.
#[derive(Clone, Debug, Default)]
pub struct Ranges {
    list: ArrayVec<Range, MAX_RANGES>,
}

impl Ranges {
    /// The empty set.
    pub const fn new() -> Self {
        Self { list: ArrayVec::new_const() }
    }

    /// The ranges, ascending.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = Range> + '_ {
        self.list.iter().copied()
    }

    /// The sum of their lengths.
    pub fn bytes(&self) -> u64 {
        self.iter().map(|range| range.bytes()).sum()
    }

    /// One past the highest address.
    pub fn end(&self) -> u64 {
        self.list.last().map_or(0, |range| range.end)
    }

    /// Whether all of `range` is in the set.
    pub fn contains(&self, range: Range) -> bool {
        self.iter().any(|held| held.start <= range.start && range.end <= held.end)
    }

    /// Adds a range.
    pub fn insert(&mut self, range: Range) {
        if range.bytes() == 0 {
            return;
        }
        let mut merged = range;
        self.list.retain(|held| {
            let touches = held.start <= range.end && range.start <= held.end;
            if touches {
                merged.start = merged.start.min(held.start);
                merged.end = merged.end.max(held.end);
            }
            !touches
        });
        self.put(merged);
    }

    /// Takes a range out.
    pub fn remove(&mut self, range: Range) {
        if range.bytes() == 0 {
            return;
        }
        let mut pieces = ArrayVec::<Range, 2>::new();
        self.list.retain(|held| {
            if !held.overlaps(&range) {
                return true;
            }
            let below = Range { start: held.start, end: range.start.max(held.start) };
            let above = Range { start: range.end.min(held.end), end: held.end };
            // At most the first and the last overlapping range leave a piece.
            pieces.extend([below, above].into_iter().filter(|piece| piece.bytes() != 0));
            false
        });
        for piece in pieces {
            self.put(piece);
        }
    }

    /// Takes `bytes` (whole frames) out, as high as possible between `floor` and `ceiling`, at a
    /// multiple of `align`.
    pub fn take_top(&mut self, bytes: u64, align: u64, floor: u64, ceiling: u64) -> Option<Range> {
        let place = |range: Range| {
            let end = range.end.min(ceiling);
            let start = end.checked_sub(bytes)? / align * align;
            (start >= range.start.max(floor)).then_some(Range { start, end: start + bytes })
        };
        let range = self.iter().rev().find_map(place)?;
        self.remove(range);
        Some(range)
    }

    /// Puts in a range that touches none.
    fn put(&mut self, range: Range) {
        if self.list.is_full() {
            let smallest = (0..self.list.len())
                .min_by_key(|&index| self.list.get(index).map_or(u64::MAX, Range::bytes));
            if let Some(index) = smallest {
                self.list.remove(index);
            }
        }
        let at = self.list.iter().take_while(|held| held.start < range.start).count();
        self.list.insert(at, range);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Insert(u64, u64),
        Remove(u64, u64),
        Take { frames: u64, align: u64, floor: u64, ceiling: u64 },
    }

    fn step() -> impl Strategy<Value = Step> {
        let frame = 0..64u64;
        prop_oneof![
            (frame.clone(), frame.clone()).prop_map(|(start, end)| Step::Insert(start, end)),
            (frame.clone(), frame.clone()).prop_map(|(start, end)| Step::Remove(start, end)),
            (1..8u64, 0..3u32, frame.clone(), frame).prop_map(|(frames, align, floor, ceiling)| {
                Step::Take { frames, align: 1 << align, floor, ceiling }
            }),
        ]
    }

    fn range(start: u64, end: u64) -> Range {
        Range { start: start * FRAME, end: end.max(start) * FRAME }
    }

    fn frames(ranges: &Ranges) -> Vec<u64> {
        ranges.iter().flat_map(|range| range.start / FRAME..range.end / FRAME).collect()
    }

    fn take_from_model(model: &BTreeSet<u64>, step: &Step) -> Option<u64> {
        let &Step::Take { frames, align, floor, ceiling } = step else { return None };
        (floor..ceiling.saturating_sub(frames - 1))
            .rev()
            .filter(|start| start % align == 0)
            .find(|&start| (start..start + frames).all(|frame| model.contains(&frame)))
    }

    proptest! {
        #[test]
        fn a_set_of_ranges_is_a_set_of_frames(steps in prop::collection::vec(step(), 0..40)) {
            let (mut ranges, mut model) = (Ranges::new(), BTreeSet::new());
            for step in steps {
                match step {
                    Step::Insert(start, end) => {
                        ranges.insert(range(start, end));
                        model.extend(start..end.max(start));
                    }
                    Step::Remove(start, end) => {
                        ranges.remove(range(start, end));
                        model.retain(|frame| !(start..end).contains(frame));
                    }
                    Step::Take { frames, align, floor, ceiling } => {
                        let taken = ranges.take_top(
                            frames * FRAME, align * FRAME, floor * FRAME, ceiling * FRAME);
                        let expected = take_from_model(&model, &step);
                        prop_assert_eq!(taken.map(|range| range.start / FRAME), expected);
                        if let Some(start) = expected {
                            model.retain(|frame| !(start..start + frames).contains(frame));
                        }
                    }
                }
                prop_assert_eq!(frames(&ranges), model.iter().copied().collect::<Vec<_>>());
                let list: Vec<_> = ranges.iter().collect();
                prop_assert!(list.windows(2).all(|pair| pair[0].end < pair[1].start));
            }
        }
    }

    #[test]
    fn the_smallest_range_makes_room() {
        let mut ranges = Ranges::new();
        for n in 0..MAX_RANGES as u64 + 1 {
            ranges.insert(range(n * 8, n * 8 + if n == 5 { 1 } else { 2 }));
        }
        assert_eq!(ranges.iter().count(), MAX_RANGES);
        assert!(!ranges.contains(range(40, 41)));
    }

    #[test]
    fn ranges_round_to_frames() {
        assert_eq!(Range::inside(1, 0x2FFF), Range { start: 0x1000, end: 0x2000 });
        assert_eq!(Range::inside(1, 0xFFF).bytes(), 0);
        assert_eq!(Range::inside(u64::MAX - 1, u64::MAX).bytes(), 0);
        assert_eq!(Range::around(1, 0x1001), Range { start: 0, end: 0x2000 });
    }
}
