//! Going through the mappings of a range.

use super::{Found, Gfn, Leaf, P2m, Stage2Format};
use crate::platform::FrameMemory;

/// The mappings of a range, as (first guest frame, order, what it is mapped to). A mapping that
/// begins before the range or ends after it comes in parts of smaller orders.
#[derive(Debug)]
pub struct Walk<'a, F, M> {
    p2m: &'a P2m<F>,
    memory: &'a M,
    next: u64,
    end: u64,
}

impl<'a, F: Stage2Format, M: FrameMemory> Walk<'a, F, M> {
    pub(super) fn new(p2m: &'a P2m<F>, memory: &'a M, from: Gfn, to: Gfn) -> Self {
        Self { p2m, memory, next: from.0, end: to.0.min(p2m.highest + 1) }
    }

    /// Where the walk is: all before this guest frame was seen.
    pub fn position(&self) -> Gfn {
        Gfn(self.next)
    }
}

impl<F: Stage2Format, M: FrameMemory> Iterator for Walk<'_, F, M> {
    type Item = (Gfn, u32, Leaf);

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.end {
            let gfn = Gfn(self.next);
            let Found { leaf, order } = self.p2m.lookup(self.memory, gfn);
            let Some(leaf) = leaf else {
                self.next = (self.next >> order << order) + (1 << order);
                continue;
            };
            let mut order = order;
            while gfn.0 & ((1 << order) - 1) != 0 || gfn.0 + (1 << order) > self.end {
                order -= super::TABLE_SHIFT;
            }
            self.next += 1 << order;
            return Some((gfn, order, leaf));
        }
        None
    }
}
