//! Ranges of memory, and a domain's memory before it runs.

use alloc::vec::Vec;

use hv_core::types::Gpa;

/// A domain's memory while it is being built.
///
/// The caller promises nothing about the domain: implementations check that the range is memory
/// that this domain owns, and assert so, as the layout that chose it is the hypervisor's own.
pub trait LoadMemory {
    /// Copies `bytes` to `at`.
    fn write(&mut self, at: Gpa, bytes: &[u8]);
    /// Zeroes `len` bytes at `at`.
    fn zero(&mut self, at: Gpa, len: u64);
}

/// The addresses from `start` up to, but without, `end`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
}

impl Span {
    /// From `start`, `bytes` long; cut at the address space's end.
    pub const fn new(start: u64, bytes: u64) -> Self {
        Self { start, end: start.saturating_add(bytes) }
    }

    /// Its length.
    pub const fn bytes(&self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(&self) -> bool {
        self.end <= self.start
    }

    /// Whether the two have an address in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        !self.intersection(other).is_empty()
    }

    /// Whether all of `other` is in it.
    pub const fn contains(&self, other: &Self) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// What is in both; empty if there is nothing.
    pub fn intersection(&self, other: &Self) -> Self {
        Self { start: self.start.max(other.start), end: self.end.min(other.end) }
    }

    /// The whole multiples of `align` (a power of two) inside of it.
    pub(crate) const fn shrink_to(&self, align: u64) -> Self {
        match self.start.checked_next_multiple_of(align) {
            Some(start) => Self { start, end: self.end & !align.wrapping_sub(1) },
            None => Self { start: 0, end: 0 },
        }
    }

    /// The multiples of `align` (a power of two) that it touches.
    pub(crate) const fn grow_to(&self, align: u64) -> Self {
        let end = match self.end.checked_next_multiple_of(align) {
            Some(end) => end,
            None => u64::MAX,
        };
        Self { start: self.start & !align.wrapping_sub(1), end }
    }
}

/// What is in one of `spans` and in none of `taken`. Keeps the order of `spans`.
pub fn subtract(spans: &[Span], taken: &[Span]) -> Vec<Span> {
    let mut left: Vec<Span> = spans.iter().copied().filter(|span| !span.is_empty()).collect();
    for hole in taken.iter().filter(|hole| !hole.is_empty()) {
        left = left
            .iter()
            .flat_map(|span| {
                let below = Span { start: span.start, end: span.end.min(hole.start) };
                let above = Span { start: span.start.max(hole.end), end: span.end };
                [below, above]
            })
            .filter(|span| !span.is_empty())
            .collect();
    }
    left
}
