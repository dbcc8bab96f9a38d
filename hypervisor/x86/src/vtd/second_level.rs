//! A domain's tables for DMA: the same map as its CPUs' second stage.
//!
//! A radix tree of three or four levels of 512 entries; level 0 maps 4 KiB, 1 maps 2 MiB, 2 maps
//! 1 GiB. It follows the second stage change by change
//! ([`Stage2Listener`](hv_core::p2m::Stage2Listener)). Tables that are no longer needed are kept
//! until the unit has forgotten them.
//!
//! Source: Intel VT-d specification 4.1, 9.8.

use alloc::vec::Vec;

use hv_core::p2m::Leaf;
use hv_core::types::{FRAME_SHIFT, Gfn, Mfn};

use super::memory::{OutOfFrames, TableMemory, Writer};

const READ: u64 = 1 << 0;
const WRITE: u64 = 1 << 1;
const LARGE: u64 = 1 << 7;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;
/// log2 of a table's entries.
const SHIFT: u32 = 9;
const ENTRIES: u64 = 1 << SHIFT;

/// What every unit can walk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shape {
    /// Levels of tables: 3 or 4.
    pub levels: u32,
    /// Pages of 2 MiB are known.
    pub has_2m: bool,
    /// Pages of 1 GiB are known.
    pub has_1g: bool,
    /// The CPUs' caches are seen by every unit.
    pub coherent: bool,
}

impl Shape {
    /// Guest frame numbers are below this.
    pub const fn gfn_limit(self) -> u64 {
        1u64.wrapping_shl(self.levels.wrapping_mul(SHIFT))
    }

    const fn has_leaf(self, level: u32) -> bool {
        match level {
            0 => true,
            1 => self.has_2m,
            2 => self.has_1g,
            _ => false,
        }
    }
}

/// What a run of guest frames is to be mapped to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Target {
    /// The machine frame behind the first.
    pub mfn: Mfn,
    /// Whether devices may write.
    pub writable: bool,
}

impl From<Leaf> for Target {
    /// Devices may do what the CPUs may.
    fn from(leaf: Leaf) -> Self {
        Self { mfn: leaf.mfn, writable: leaf.kind.is_writable() }
    }
}

impl Target {
    const fn plus(self, frames: u64) -> Self {
        Self { mfn: Mfn(self.mfn.0.wrapping_add(frames)), writable: self.writable }
    }

    const fn entry(self, level: u32) -> u64 {
        self.mfn.0 << FRAME_SHIFT
            | READ
            | if self.writable { WRITE } else { 0 }
            | if level > 0 { LARGE } else { 0 }
    }
}

/// What an entry of a table says.
enum Entry {
    Empty,
    Table(Mfn),
    Leaf(Target),
}

impl Entry {
    const fn decode(entry: u64, level: u32) -> Self {
        let mfn = Mfn((entry & ADDRESS) >> FRAME_SHIFT);
        if entry & (READ | WRITE) == 0 {
            Self::Empty
        } else if level > 0 && entry & LARGE == 0 {
            Self::Table(mfn)
        } else {
            Self::Leaf(Target { mfn, writable: entry & WRITE != 0 })
        }
    }
}

/// A run of guest frames.
#[derive(Clone, Copy)]
struct Run {
    start: u64,
    /// One past the last.
    end: u64,
}

/// One domain's tables.
#[derive(Debug)]
pub struct SecondLevel {
    root: Mfn,
    shape: Shape,
    /// Runs that are mapped to themselves whatever the domain maps: first frame and end.
    pinned: Vec<(u64, u64)>,
    retired: Vec<Mfn>,
}

impl SecondLevel {
    /// Tables that map nothing.
    ///
    /// # Errors
    /// There is no frame for the root.
    pub fn new(memory: &impl TableMemory, shape: Shape) -> Result<Self, OutOfFrames> {
        let root = Writer { memory, coherent: shape.coherent }.table()?;
        Ok(Self { root, shape, pinned: Vec::new(), retired: Vec::new() })
    }

    /// The root table, and the number of levels.
    pub(super) const fn root(&self) -> (Mfn, u32) {
        (self.root, self.shape.levels)
    }

    /// Maps `frames` guest frames to machine frames, in place of what was mapped; `None` maps
    /// them to nothing. What lies beyond the tables' reach is left out.
    ///
    /// # Errors
    /// There is no frame for a table. A part was done then; a large page that could not be split
    /// is mapped to nothing, and the rest is as it was.
    pub fn map(
        &mut self,
        memory: &impl TableMemory,
        gfn: Gfn,
        frames: u64,
        target: Option<Target>,
    ) -> Result<(), OutOfFrames> {
        let end = gfn.0.saturating_add(frames).min(self.shape.gfn_limit());
        let run = Run { start: gfn.0, end };
        self.set(memory, run, target)?;
        if target.is_none() {
            let pinned = self.pinned.clone();
            for (start, end) in pinned {
                let part = Run { start: start.max(run.start), end: end.min(run.end) };
                let own = Target { mfn: Mfn(part.start), writable: true };
                self.set(memory, part, Some(own))?;
            }
        }
        Ok(())
    }

    /// Maps the frames from `start` to `last` to themselves, now and whenever else they would
    /// be mapped to nothing: firmware's reserved memory.
    ///
    /// # Errors
    /// There is no frame for a table.
    pub fn pin(
        &mut self,
        memory: &impl TableMemory,
        start: Mfn,
        last: Mfn,
    ) -> Result<(), OutOfFrames> {
        let run = Run { start: start.0, end: last.0.saturating_add(1).min(self.shape.gfn_limit()) };
        self.pinned.push((run.start, run.end));
        self.set(memory, run, Some(Target { mfn: start, writable: true }))
    }

    /// What a guest frame is mapped to.
    pub fn lookup(&self, memory: &impl TableMemory, gfn: Gfn) -> Option<Target> {
        if gfn.0 >= self.shape.gfn_limit() {
            return None;
        }
        let mut table = self.root;
        let mut level = self.shape.levels;
        loop {
            level = level.checked_sub(1)?;
            let entry = self.writer(memory).get(table, index(gfn.0, level));
            match Entry::decode(entry, level) {
                Entry::Empty => return None,
                Entry::Table(next) => table = next,
                Entry::Leaf(target) => {
                    return Some(target.plus(gfn.0 & frames_of(level).wrapping_sub(1)));
                }
            }
        }
    }

    /// Gives back the tables that aren't needed any more. No unit may use a translation that
    /// was cached before the last change.
    pub fn reclaim(&mut self, memory: &impl TableMemory) {
        for table in self.retired.drain(..) {
            memory.free(table);
        }
    }

    /// Gives all tables back. No unit may use them any more.
    pub fn destroy(mut self, memory: &impl TableMemory) {
        self.retire(memory, self.root, self.shape.levels.saturating_sub(1));
        self.reclaim(memory);
    }

    const fn writer<'a, M>(&self, memory: &'a M) -> Writer<'a, M> {
        Writer { memory, coherent: self.shape.coherent }
    }

    fn set(
        &mut self,
        memory: &impl TableMemory,
        run: Run,
        target: Option<Target>,
    ) -> Result<(), OutOfFrames> {
        let level = self.shape.levels.saturating_sub(1);
        self.set_in(memory, self.root, level, run, target)
    }

    /// Sets the part of `run` that one table is for; the caller has cut it so that it is.
    fn set_in(
        &mut self,
        memory: &impl TableMemory,
        table: Mfn,
        level: u32,
        run: Run,
        target: Option<Target>,
    ) -> Result<(), OutOfFrames> {
        let size = frames_of(level);
        let mut at = run.start;
        while at < run.end {
            let entry_start = at & !size.wrapping_sub(1);
            let end = run.end.min(entry_start.saturating_add(size));
            let target = target.map(|target| target.plus(at.wrapping_sub(run.start)));
            let slot = index(at, level);
            let old = Entry::decode(self.writer(memory).get(table, slot), level);
            let whole = end.wrapping_sub(at) == size;
            let fits = match target {
                Some(target) => {
                    self.shape.has_leaf(level) && target.mfn.0 & size.wrapping_sub(1) == 0
                }
                None => true,
            };
            if whole && fits {
                let entry = target.map_or(0, |target| target.entry(level));
                self.writer(memory).set(table, slot, entry);
                if let Entry::Table(below) = old {
                    self.retire(memory, below, level.saturating_sub(1));
                }
            } else if target.is_some() || !matches!(old, Entry::Empty) {
                let below = match self.table_below(memory, table, slot, level, &old) {
                    Ok(below) => below,
                    Err(error) => {
                        // Rather refuse what may be used than let pass what may not.
                        self.writer(memory).set(table, slot, 0);
                        return Err(error);
                    }
                };
                let part = Run { start: at, end };
                self.set_in(memory, below, level.saturating_sub(1), part, target)?;
            }
            at = end;
        }
        Ok(())
    }

    /// The table that an entry points to; made if it has none, with what the entry mapped.
    fn table_below(
        &self,
        memory: &impl TableMemory,
        table: Mfn,
        slot: usize,
        level: u32,
        old: &Entry,
    ) -> Result<Mfn, OutOfFrames> {
        if let Entry::Table(below) = *old {
            return Ok(below);
        }
        let writer = self.writer(memory);
        let below = writer.table()?;
        if let Entry::Leaf(target) = *old {
            let level = level.saturating_sub(1);
            for part in 0..ENTRIES {
                let target = target.plus(part.wrapping_mul(frames_of(level)));
                writer.set(below, part as usize, target.entry(level));
            }
        }
        writer.set(table, slot, below.0 << FRAME_SHIFT | READ | WRITE);
        Ok(below)
    }

    /// Notes a table and all below it as not needed.
    fn retire(&mut self, memory: &impl TableMemory, table: Mfn, level: u32) {
        if level > 0 {
            for slot in 0..ENTRIES as usize {
                let entry = self.writer(memory).get(table, slot);
                if let Entry::Table(below) = Entry::decode(entry, level) {
                    self.retire(memory, below, level.saturating_sub(1));
                }
            }
        }
        self.retired.push(table);
    }
}

/// How many frames an entry of this level maps.
const fn frames_of(level: u32) -> u64 {
    1u64.wrapping_shl(level.wrapping_mul(SHIFT))
}

/// A guest frame's entry in its table of this level.
const fn index(gfn: u64, level: u32) -> usize {
    (gfn.wrapping_shr(level.wrapping_mul(SHIFT)) & ENTRIES.wrapping_sub(1)) as usize
}
