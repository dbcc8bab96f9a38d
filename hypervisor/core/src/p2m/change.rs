//! Mapping, unmapping, splitting and joining.

use super::{
    ENTRIES, Entry, FlushBatch, Frames, Leaf, ORDER_1G, ORDER_2M, P2m, P2mError, ROOT_LEVEL, Slot,
    Stage2Format, TABLE_SHIFT, index_of,
};
use crate::platform::FrameMemory;
use crate::types::{Gfn, Mfn};

/// The entries on the way to a guest frame, by level; those below the level reached are unused.
type Path = [Slot; ROOT_LEVEL as usize + 1];

impl<F: Stage2Format> P2m<F> {
    /// Maps `1 << order` frames from `gfn` on, where nothing is mapped yet.
    ///
    /// # Errors
    /// As [`P2mError`] says. [`P2mError::BadAddress`] too if the order is 1 GiB and the hardware
    /// has no such pages: map parts then.
    pub fn map(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        order: u32,
        leaf: Leaf,
        batch: &mut FlushBatch<'_>,
    ) -> Result<(), P2mError> {
        let level = self.level_of(gfn, order)?;
        if leaf.mfn.0 & ((1 << order) - 1) != 0 || (order == ORDER_1G && !self.format.has_1g()) {
            return Err(P2mError::BadAddress);
        }
        let path = self.descend(frames, gfn, level, batch)?;
        let slot = path[level as usize];
        if slot.load(frames.memory) != 0 {
            return Err(P2mError::Occupied);
        }
        slot.store(frames.memory, self.format.leaf(leaf, level));
        self.highest = self.highest.max(gfn.0 + (1 << order) - 1);
        batch.changed(gfn, order, Some(leaf), false);
        if level == 0 {
            self.join(frames, gfn, &path, batch);
        }
        Ok(())
    }

    /// Maps one frame, whatever is mapped there now, and gives what was.
    ///
    /// # Errors
    /// [`P2mError::BadAddress`], [`P2mError::NoMemory`].
    pub fn replace(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        leaf: Leaf,
        batch: &mut FlushBatch<'_>,
    ) -> Result<Option<Leaf>, P2mError> {
        self.level_of(gfn, 0)?;
        let path = self.descend(frames, gfn, 0, batch)?;
        let (entry, new) = (path[0].load(frames.memory), self.format.leaf(leaf, 0));
        let old = match self.format.decode(entry, 0) {
            Entry::Leaf(old) => Some(old),
            _ => None,
        };
        if entry != new {
            path[0].store(frames.memory, new);
            self.highest = self.highest.max(gfn.0);
            batch.changed(gfn, 0, Some(leaf), old.is_some());
            self.join(frames, gfn, &path, batch);
        }
        Ok(old)
    }

    /// Unmaps all that is mapped in the `1 << order` frames from `gfn` on, and tells `removed`
    /// of each mapping and its order. A larger mapping is split first.
    ///
    /// # Errors
    /// [`P2mError::BadAddress`]; [`P2mError::NoMemory`] if there is no table to split into. What
    /// was unmapped by then stays so.
    pub fn unmap(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        order: u32,
        batch: &mut FlushBatch<'_>,
        mut removed: impl FnMut(&mut FlushBatch<'_>, Leaf, u32),
    ) -> Result<(), P2mError> {
        let level = self.level_of(gfn, order)?;
        let found = self.lookup(frames.memory, gfn);
        if found.leaf.is_none() && found.order >= order {
            return Ok(());
        }
        let path = self.descend(frames, gfn, level, batch)?;
        let slot = path[level as usize];
        match self.format.decode(slot.load(frames.memory), level) {
            Entry::Empty => return Ok(()),
            Entry::Leaf(leaf) => {
                slot.store(frames.memory, 0);
                batch.changed(gfn, order, None, true);
                removed(batch, leaf, order);
            }
            Entry::Table(table) => {
                slot.store(frames.memory, 0);
                batch.changed(gfn, order, None, true);
                self.drop_table(frames, table, level - 1, batch, &mut removed);
            }
        }
        self.prune(frames, level, &path, batch);
        Ok(())
    }

    /// The level that maps `order`, if the address fits it.
    fn level_of(&self, gfn: Gfn, order: u32) -> Result<u32, P2mError> {
        let level = match order {
            0 => 0,
            ORDER_2M => 1,
            ORDER_1G => 2,
            _ => return Err(P2mError::BadAddress),
        };
        if gfn.0 >= self.limit || gfn.0 & ((1 << order) - 1) != 0 {
            return Err(P2mError::BadAddress);
        }
        Ok(level)
    }

    /// Goes down to the frame's entry of level `to`; makes tables and splits larger mappings on
    /// the way.
    fn descend(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        to: u32,
        batch: &mut FlushBatch<'_>,
    ) -> Result<Path, P2mError> {
        let mut path = [Slot { table: self.root, index: index_of(gfn.0, ROOT_LEVEL) }; 4];
        let mut level = ROOT_LEVEL;
        while level > to {
            let slot = path[level as usize];
            let next = match self.format.decode(slot.load(frames.memory), level) {
                Entry::Table(table) => table,
                Entry::Leaf(leaf) => self.split(frames, slot, leaf, level)?,
                Entry::Empty => match self.alloc_table(frames, true) {
                    Ok(table) => {
                        slot.store(frames.memory, self.format.table(table));
                        table
                    }
                    Err(error) => {
                        // The tables just made are empty; they mustn't stay.
                        self.prune(frames, level, &path, batch);
                        return Err(error);
                    }
                },
            };
            level -= 1;
            path[level as usize] = Slot { table: next, index: index_of(gfn.0, level) };
        }
        Ok(path)
    }

    /// Replaces a large mapping by a table of the same mappings, one level smaller. What the
    /// guest sees is the same, so no flush is due.
    pub(super) fn split(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        slot: Slot,
        leaf: Leaf,
        level: u32,
    ) -> Result<Mfn, P2mError> {
        let table = self.alloc_table(frames, false)?;
        let (smaller, step) = (level - 1, 1 << ((level - 1) * TABLE_SHIFT));
        for index in 0..ENTRIES {
            let part = leaf.plus(index as u64 * step);
            Slot { table, index }.store(frames.memory, self.format.leaf(part, smaller));
        }
        slot.store(frames.memory, self.format.table(table));
        Ok(table)
    }

    /// If the table around a frame that was just mapped has become one contiguous mapping, makes
    /// it a large one. Looks at three entries before it looks at all.
    fn join(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        gfn: Gfn,
        path: &Path,
        batch: &mut FlushBatch<'_>,
    ) {
        let table = path[0].table;
        let entry = |index| Slot { table, index }.load(frames.memory);
        let Entry::Leaf(first) = self.format.decode(entry(0), 0) else { return };
        if !first.kind.is_own_ram() || first.mfn.0 & (ENTRIES as u64 - 1) != 0 {
            return;
        }
        let fits = |index| entry(index) == self.format.leaf(first.plus(index as u64), 0);
        if fits(ENTRIES - 1) && fits(ENTRIES / 2) && (1..ENTRIES).all(fits) {
            path[1].store(frames.memory, self.format.leaf(first, 1));
            let start = Gfn(gfn.0 >> ORDER_2M << ORDER_2M);
            // Nothing was taken away, but the walker may have the table cached.
            batch.changed(start, ORDER_2M, Some(first), true);
            self.free_table(table, batch);
        }
    }

    /// Gives back a table that is no longer reachable, with all that it maps.
    fn drop_table(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        table: Mfn,
        level: u32,
        batch: &mut FlushBatch<'_>,
        removed: &mut impl FnMut(&mut FlushBatch<'_>, Leaf, u32),
    ) {
        for index in 0..ENTRIES {
            let slot = Slot { table, index };
            match self.format.decode(slot.load(frames.memory), level) {
                Entry::Empty => {}
                Entry::Leaf(leaf) => removed(batch, leaf, level * TABLE_SHIFT),
                Entry::Table(next) => self.drop_table(frames, next, level - 1, batch, removed),
            }
        }
        self.free_table(table, batch);
    }

    /// Gives back the tables from `level` up that hold no entry.
    fn prune(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        level: u32,
        path: &Path,
        batch: &mut FlushBatch<'_>,
    ) {
        for level in level..ROOT_LEVEL {
            let slot = path[level as usize];
            if !is_empty(frames.memory, slot) {
                return;
            }
            path[level as usize + 1].store(frames.memory, 0);
            self.free_table(slot.table, batch);
        }
    }
}

/// Whether a table has no entry. Looks around `slot` first, as neighbours go one after another.
fn is_empty(memory: &impl FrameMemory, slot: Slot) -> bool {
    (0..ENTRIES / 2).all(|distance| {
        let up = (slot.index + distance) % ENTRIES;
        let down = (slot.index + ENTRIES - 1 - distance) % ENTRIES;
        let entry = |index| Slot { table: slot.table, index }.load(memory);
        entry(up) == 0 && entry(down) == 0
    })
}
