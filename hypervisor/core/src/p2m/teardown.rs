//! Taking a whole map apart, in bounded steps.

use super::{
    ENTRIES, Entry, Frames, Leaf, ORDER_2M, P2m, ROOT_LEVEL, Slot, Stage2Format, TABLE_SHIFT,
};
use crate::platform::FrameMemory;
use crate::types::Mfn;

impl<F: Stage2Format> P2m<F> {
    /// Unmaps and forgets up to `budget` frames of the map of a domain that doesn't run any more,
    /// and tells `removed` of each mapping and its order. Gives whether the map is empty; only
    /// the root is left then. No flush follows: the caller flushed once, when the domain's last
    /// vCPU had stopped.
    pub fn tear_down(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        budget: u64,
        mut removed: impl FnMut(Leaf, u32),
    ) -> bool {
        let mut budget = budget;
        let (root, level) = (self.root, ROOT_LEVEL);
        self.tear_table(frames, root, level, &mut budget, &mut removed)
    }

    /// Gives the root table back. The map must be empty; nothing can be mapped afterwards.
    pub fn free_root(&mut self, frames: Frames<'_, impl FrameMemory>) {
        if core::mem::take(&mut self.limit) > 0 {
            self.tables -= 1;
            frames.table.put(self.root);
        }
    }

    /// Empties a table. Gives whether it is empty.
    fn tear_table(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        table: Mfn,
        level: u32,
        budget: &mut u64,
        removed: &mut impl FnMut(Leaf, u32),
    ) -> bool {
        for index in 0..ENTRIES {
            let slot = Slot { table, index };
            let next = match self.format.decode(slot.load(frames.memory), level) {
                Entry::Empty => continue,
                Entry::Table(next) => next,
                Entry::Leaf(leaf) => {
                    if *budget == 0 {
                        return false;
                    }
                    let order = level * TABLE_SHIFT;
                    // A gigabyte at once takes too long; without a table to split it into, it
                    // must.
                    let split = order > ORDER_2M && !leaf.kind.is_mmio();
                    match split.then(|| self.split_for_teardown(frames, slot, leaf, level)) {
                        Some(Some(next)) => next,
                        _ => {
                            slot.store(frames.memory, 0);
                            removed(leaf, order);
                            *budget = budget.saturating_sub(1 << order);
                            continue;
                        }
                    }
                }
            };
            if !self.tear_table(frames, next, level - 1, budget, removed) {
                return false;
            }
            slot.store(frames.memory, 0);
            self.tables -= 1;
            frames.table.put(next);
        }
        true
    }

    /// Splits beyond the domain's limit of tables, as the table goes again soon.
    fn split_for_teardown(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        slot: Slot,
        leaf: Leaf,
        level: u32,
    ) -> Option<Mfn> {
        let limit = core::mem::replace(&mut self.table_limit, u64::MAX);
        let table = self.split(frames, slot, leaf, level).ok();
        self.table_limit = limit;
        table
    }
}
