//! Where the frame table's words lie: which machine frames have metadata, and where the free
//! blocks' bitmaps are.

use super::FrameRange;
use super::buddy::Span;
use crate::types::Mfn;

/// The most runs of frames with metadata.
pub(super) const MAX_SPANS: usize = 16;
/// Holes up to this many frames (4 MiB: 8 KiB of metadata) are bridged, at first.
const FIRST_BRIDGE_FRAMES: u64 = 1024;

/// The shape of a [`FrameTable`](super::FrameTable) for a machine's RAM.
///
/// RAM ranges whose gaps are small share a span, and the gap's frames have metadata that say that
/// they are not RAM. Large holes cost nothing.
#[derive(Clone, Debug)]
pub struct FrameLayout {
    spans: [Span; MAX_SPANS],
    len: usize,
    words: usize,
    bitmaps_from: usize,
}

impl FrameLayout {
    /// The layout for these ranges of RAM.
    ///
    /// # Panics
    /// If the ranges are not in ascending order, or overlap.
    pub fn of(ram: &[FrameRange]) -> Self {
        for pair in ram.windows(2) {
            assert!(pair[0].end() <= pair[1].start.0, "RAM ranges must ascend, without overlap");
        }
        let mut bridge = FIRST_BRIDGE_FRAMES;
        loop {
            if let Some(layout) = Self::with_bridge(ram, bridge) {
                return layout;
            }
            bridge *= 2;
        }
    }

    /// How many 64-bit words of storage the table needs.
    pub fn words(&self) -> usize {
        self.words
    }

    pub(super) fn spans(&self) -> &[Span] {
        &self.spans[..self.len]
    }

    /// The span that the frame of a storage word is in.
    pub(super) fn span_of(&self, word: usize) -> &Span {
        let later = self.spans().iter().rev().find(|span| span.first_word <= word);
        later.expect("the first span begins with word 0")
    }

    /// The frame of a storage word.
    pub(super) fn mfn_of(&self, word: usize) -> Mfn {
        let span = self.span_of(word);
        Mfn(span.base + (word - span.first_word) as u64)
    }

    /// The first word after the frames' own.
    pub(super) fn bitmaps_from(&self) -> usize {
        self.bitmaps_from
    }

    fn with_bridge(ram: &[FrameRange], bridge: u64) -> Option<Self> {
        let mut spans = [Span::EMPTY; MAX_SPANS];
        let mut len = 0;
        for range in ram.iter().filter(|range| range.frames > 0) {
            if len > 0 && range.start.0 - spans[len - 1].end() <= bridge {
                spans[len - 1].frames = range.end() - spans[len - 1].base;
                continue;
            }
            *spans.get_mut(len)? = Span::new(*range);
            len += 1;
        }
        let mut words = 0;
        for span in &mut spans[..len] {
            span.first_word = words;
            words += usize::try_from(span.frames).expect("frames fit the address space");
        }
        let bitmaps_from = words;
        for span in &mut spans[..len] {
            words = span.place_bitmaps(words);
        }
        Some(Self { spans, len, words, bitmaps_from })
    }
}

impl FrameRange {
    /// The range `[start, end)`, empty if `end` is not above `start`.
    pub const fn between(start: Mfn, end: Mfn) -> Self {
        Self { start, frames: end.0.saturating_sub(start.0) }
    }

    /// The frame number after the last.
    pub const fn end(&self) -> u64 {
        self.start.0 + self.frames
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> FrameRange {
        FrameRange::between(Mfn(start), Mfn(end))
    }

    #[test]
    fn small_gaps_are_bridged_and_large_ones_are_not() {
        let layout =
            FrameLayout::of(&[range(0, 0x9f), range(0x100, 0x80000), range(0x100000, 0x180000)]);
        let spans = layout.spans();
        assert_eq!(spans.len(), 2);
        assert_eq!((spans[0].base, spans[0].end()), (0, 0x80000));
        assert_eq!((spans[1].base, spans[1].first_word), (0x100000, 0x80000));
        // Two words of bitmap to 64 frames, and their summaries: below 4 % more.
        assert!(layout.words() < 0x100000 + 0x100000 / 25);
    }

    #[test]
    fn many_ranges_are_joined_until_they_fit() {
        let ranges: alloc::vec::Vec<_> =
            (0..100).map(|n| range(n * 0x10000, n * 0x10000 + 16)).collect();
        let layout = FrameLayout::of(&ranges);
        assert!(layout.spans().len() <= MAX_SPANS);
        assert!(layout.spans().iter().any(|span| span.contains(99 * 0x10000, 16)));
    }
}
