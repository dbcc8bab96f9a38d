//! A bitmap with summaries: bit `n` of a level says that word `n` of the level below is not zero.
//!
//! Finding a set bit costs one word per level (five for a terabyte of frames), where a list of
//! free blocks would cost two links per block. The words live in the frame table's storage; the
//! caller's lock orders every access, so they are read and written relaxed.

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Levels that are enough for 2^36 bits.
const MAX_LEVELS: usize = 6;
/// log2 of the bits in a word.
const WORD_SHIFT: u32 = 6;

/// Where one bitmap's levels lie in the storage.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bitmap {
    /// The first word of each level; level 0 holds the bits themselves.
    levels: [u32; MAX_LEVELS],
    depth: usize,
}

impl Bitmap {
    /// A bitmap without bits.
    pub(super) const EMPTY: Self = Self { levels: [0; MAX_LEVELS], depth: 0 };

    /// Lays out a bitmap of `bits` bits from word `first` on, and gives the word after it.
    pub(super) fn place(bits: u64, first: usize) -> (Self, usize) {
        let mut map = Self::EMPTY;
        let mut next = first;
        let mut bits = bits;
        while bits > 0 {
            let words = bits.div_ceil(1 << WORD_SHIFT);
            map.levels[map.depth] = u32::try_from(next).expect("frame storage below 32 GiB");
            map.depth += 1;
            next += usize::try_from(words).expect("words fit the address space");
            bits = if words == 1 { 0 } else { words };
        }
        (map, next)
    }

    /// Whether the bit is set.
    pub(super) fn test(&self, words: &[AtomicU64], bit: u64) -> bool {
        words[self.word(0, bit >> WORD_SHIFT)].load(Relaxed) & mask(bit) != 0
    }

    /// Sets a bit.
    pub(super) fn set(&self, words: &[AtomicU64], bit: u64) {
        let mut bit = bit;
        for level in 0..self.depth {
            let word = &words[self.word(level, bit >> WORD_SHIFT)];
            let old = word.load(Relaxed);
            word.store(old | mask(bit), Relaxed);
            if old != 0 {
                return;
            }
            bit >>= WORD_SHIFT;
        }
    }

    /// Clears a bit.
    pub(super) fn clear(&self, words: &[AtomicU64], bit: u64) {
        let mut bit = bit;
        for level in 0..self.depth {
            let word = &words[self.word(level, bit >> WORD_SHIFT)];
            let new = word.load(Relaxed) & !mask(bit);
            word.store(new, Relaxed);
            if new != 0 {
                return;
            }
            bit >>= WORD_SHIFT;
        }
    }

    /// The highest set bit below `limit`, which is at most the bitmap's length.
    pub(super) fn last_below(&self, words: &[AtomicU64], limit: u64) -> Option<u64> {
        let mut limit = limit;
        for level in 0..self.depth {
            if limit == 0 {
                return None;
            }
            let index = (limit - 1) >> WORD_SHIFT;
            let below = u64::MAX >> (63 - ((limit - 1) & 63));
            let found = words[self.word(level, index)].load(Relaxed) & below;
            if found != 0 {
                return Some(self.descend(words, level, (index << WORD_SHIFT) | highest(found)));
            }
            limit = index;
        }
        None
    }

    /// From a set bit of a level down to the highest bit under it.
    fn descend(&self, words: &[AtomicU64], level: usize, bit: u64) -> u64 {
        let mut bit = bit;
        for level in (0..level).rev() {
            let word = words[self.word(level, bit)].load(Relaxed);
            bit = (bit << WORD_SHIFT) | highest(word);
        }
        bit
    }

    fn word(&self, level: usize, index: u64) -> usize {
        self.levels[level] as usize + index as usize
    }
}

fn mask(bit: u64) -> u64 {
    1 << (bit & 63)
}

fn highest(word: u64) -> u64 {
    u64::from(63 - word.leading_zeros())
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeSet;
    use alloc::vec::Vec;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn agrees_with_a_set(
            bits in 1u64..20_000,
            steps in prop::collection::vec((any::<bool>(), any::<u64>(), any::<u64>()), 1..200),
        ) {
            let (map, words) = Bitmap::place(bits, 3);
            let words: Vec<AtomicU64> = (0..words).map(|_| AtomicU64::new(0)).collect();
            let mut model = BTreeSet::new();
            for (set, bit, limit) in steps {
                let bit = bit % bits;
                if set {
                    map.set(&words, bit);
                    model.insert(bit);
                } else {
                    map.clear(&words, bit);
                    model.remove(&bit);
                }
                prop_assert_eq!(map.test(&words, bit), set);
                let limit = limit % (bits + 1);
                let expected = model.range(..limit).next_back().copied();
                prop_assert_eq!(map.last_below(&words, limit), expected);
            }
        }
    }
}
