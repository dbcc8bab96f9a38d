//! A set of pCPUs, of fixed size so that it can be copied and compared freely.

use crate::types::CpuId;

/// The most pCPUs that the hypervisor can use.
pub const MAX_CPUS: u32 = 256;

const WORDS: usize = (MAX_CPUS / u64::BITS) as usize;

/// A set of pCPUs. Numbers from [`MAX_CPUS`] are never in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CpuSet {
    words: [u64; WORDS],
}

impl CpuSet {
    /// The empty set.
    pub const EMPTY: Self = Self { words: [0; WORDS] };
    /// The set of all pCPUs that could ever be.
    pub const ALL: Self = Self { words: [u64::MAX; WORDS] };

    /// The set of just one pCPU.
    pub fn single(cpu: CpuId) -> Self {
        let mut set = Self::EMPTY;
        set.insert(cpu);
        set
    }

    /// The set of the first `count` pCPUs.
    pub fn first(count: u32) -> Self {
        (0..count).map(CpuId).collect()
    }

    /// The set written as a bitmap: bit n of byte m is pCPU 8m+n. Missing bytes are zero, bytes
    /// past the end are ignored.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let mut set = Self::EMPTY;
        for (word, chunk) in set.words.iter_mut().zip(bytes.chunks(8)) {
            let mut padded = [0; 8];
            for (to, from) in padded.iter_mut().zip(chunk) {
                *to = *from;
            }
            *word = u64::from_le_bytes(padded);
        }
        set
    }

    /// Writes the set as a bitmap, as [`Self::from_bytes`] reads it; bytes past the end are
    /// zeroed.
    pub fn write_bytes(&self, into: &mut [u8]) {
        into.fill(0);
        for (word, chunk) in self.words.iter().zip(into.chunks_mut(8)) {
            for (to, from) in chunk.iter_mut().zip(word.to_le_bytes()) {
                *to = from;
            }
        }
    }

    /// Whether the pCPU is in the set.
    pub fn contains(&self, cpu: CpuId) -> bool {
        self.words.get(Self::word(cpu)).is_some_and(|word| word & Self::bit(cpu) != 0)
    }

    /// Puts a pCPU in.
    pub fn insert(&mut self, cpu: CpuId) {
        if let Some(word) = self.words.get_mut(Self::word(cpu)) {
            *word |= Self::bit(cpu);
        }
    }

    /// What is in both sets.
    pub fn intersection(&self, other: &Self) -> Self {
        let mut set = *self;
        for (word, other) in set.words.iter_mut().zip(other.words) {
            *word &= other;
        }
        set
    }

    /// Whether nothing is in the set.
    pub fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    /// How many pCPUs are in the set.
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The pCPUs in the set, in ascending order.
    pub fn iter(&self) -> impl Iterator<Item = CpuId> + '_ {
        (0_u32..).zip(self.words).flat_map(|(index, word)| {
            let mut left = word;
            core::iter::from_fn(move || {
                let bit = left.trailing_zeros();
                left &= left.wrapping_sub(1);
                (bit < u64::BITS).then_some(CpuId(index * u64::BITS + bit))
            })
        })
    }

    const fn word(cpu: CpuId) -> usize {
        (cpu.0 / u64::BITS) as usize
    }

    const fn bit(cpu: CpuId) -> u64 {
        1 << (cpu.0 % u64::BITS)
    }
}

impl FromIterator<CpuId> for CpuSet {
    fn from_iter<I: IntoIterator<Item = CpuId>>(cpus: I) -> Self {
        let mut set = Self::EMPTY;
        for cpu in cpus {
            set.insert(cpu);
        }
        set
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::vec::Vec;

    #[test]
    fn bitmap_round_trip() {
        let set: CpuSet = [0, 5, 63, 64, 255].into_iter().map(CpuId).collect();
        let mut bytes = [0xFF; 40];
        set.write_bytes(&mut bytes);
        assert_eq!(CpuSet::from_bytes(&bytes), set);
        assert_eq!(bytes[0], 0x21);
        assert_eq!(bytes[32..], [0; 8]);
        assert_eq!(CpuSet::from_bytes(&[0x21]), [0, 5].into_iter().map(CpuId).collect());
        assert_eq!(set.count(), 5);
        assert_eq!(set.iter().map(|cpu| cpu.0).collect::<Vec<_>>(), [0, 5, 63, 64, 255]);
        assert_eq!(CpuSet::ALL.iter().count(), MAX_CPUS as usize);
        assert_eq!(CpuSet::EMPTY.iter().next(), None);
        assert!(!set.contains(CpuId(4000)));
    }
}
