//! A set of interrupt vectors, as the 256-bit registers ISR, TMR and IRR hold them, and the
//! lock-free set through which other pCPUs post to a local APIC.

use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use crate::interrupt::Trigger;

const fn bit(vector: u8) -> u32 {
    1 << (vector & 31)
}

/// A set of vectors.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VectorSet {
    words: [u32; 8],
}

impl VectorSet {
    /// Makes a set from its eight register words, vectors 0 to 31 first.
    pub const fn from_words(words: [u32; 8]) -> Self {
        Self { words }
    }

    /// Adds `vector`.
    pub fn insert(&mut self, vector: u8) {
        if let Some(word) = self.words.get_mut(usize::from(vector >> 5)) {
            *word |= bit(vector);
        }
    }

    /// Removes `vector`.
    pub fn remove(&mut self, vector: u8) {
        if let Some(word) = self.words.get_mut(usize::from(vector >> 5)) {
            *word &= !bit(vector);
        }
    }

    /// Whether `vector` is in the set.
    pub fn contains(&self, vector: u8) -> bool {
        self.words.get(usize::from(vector >> 5)).is_some_and(|word| word & bit(vector) != 0)
    }

    /// The highest vector, which is the one of highest priority.
    pub fn highest(&self) -> Option<u8> {
        let (index, word) = self.words.iter().enumerate().rev().find(|(_, word)| **word != 0)?;
        u8::try_from((index as u32) << 5 | word.ilog2()).ok()
    }

    /// Whether there is no vector.
    pub fn is_empty(&self) -> bool {
        self.words == [0; 8]
    }

    /// The register word for vectors `32 * index` and up; 0 beyond the eighth.
    pub fn word(&self, index: usize) -> u32 {
        self.words.get(index).copied().unwrap_or(0)
    }

    /// All register words.
    pub const fn words(&self) -> &[u32; 8] {
        &self.words
    }
}

/// Vectors on their way into a local APIC. Any pCPU adds, the APIC's owner takes.
#[derive(Debug, Default)]
pub struct Posted {
    any: AtomicBool,
    vectors: [AtomicU32; 8],
    level: [AtomicU32; 8],
}

impl Posted {
    /// Adds `vector`. Whether it was not there yet: if so the owner has to be told.
    pub fn post(&self, vector: u8, trigger: Trigger) -> bool {
        let index = usize::from(vector >> 5);
        let (Some(word), Some(level)) = (self.vectors.get(index), self.level.get(index)) else {
            return false;
        };
        if trigger == Trigger::Level {
            level.fetch_or(bit(vector), Ordering::Relaxed);
        }
        let new = word.fetch_or(bit(vector), Ordering::AcqRel) & bit(vector) == 0;
        self.any.store(true, Ordering::Release);
        new
    }

    /// Whether something may have been posted since the last [`take`](Self::take).
    pub fn any(&self) -> bool {
        self.any.load(Ordering::Acquire)
    }

    /// Moves what was posted into `irr`, and into `tmr` how each of those is triggered.
    ///
    /// A post that runs at the same time is either taken here or leaves [`any`](Self::any) set.
    pub fn take(&self, irr: &mut VectorSet, tmr: &mut VectorSet) {
        // Most of the time nothing was posted: a load is cheaper than a swap.
        if !self.any() || !self.any.swap(false, Ordering::AcqRel) {
            return;
        }
        let mine = irr.words.iter_mut().zip(tmr.words.iter_mut());
        for ((vectors, level), (irr, tmr)) in self.vectors.iter().zip(&self.level).zip(mine) {
            if vectors.load(Ordering::Relaxed) == 0 {
                continue;
            }
            let new = vectors.swap(0, Ordering::AcqRel);
            let level = level.fetch_and(!new, Ordering::AcqRel) & new;
            *tmr = *tmr & !new | level;
            *irr |= new;
        }
    }

    /// Drops everything that was posted.
    pub fn clear(&self) {
        self.take(&mut VectorSet::default(), &mut VectorSet::default());
    }
}
