//! The physical-to-machine map of a domain: which machine frame stands behind each guest frame.
//!
//! It is the radix tree that the hardware walks: four levels of 512 entries over 36-bit guest
//! frame numbers (48-bit addresses), in the hardware's [`format`](Stage2Format). Mappings are
//! 4 KiB, 2 MiB or 1 GiB; larger ones are split when a part changes. Why a frame is mapped (its
//! [`P2mKind`]) is in bits of the entry that the hardware ignores, so a lookup needs nothing else.
//!
//! No table but the root is ever empty: the last entry that goes takes its table along. Removed
//! tables and frames are given back by a [`FlushBatch`] after its flush.
//!
//! [`P2m`] has no lock of its own; the domain's memory has one.

mod batch;
mod change;
mod format;
mod kind;
mod teardown;
#[cfg(test)]
mod tests;
mod walk;

pub use batch::{FlushBatch, Stage2Listener};
pub use format::{Entry, Ept, HostFormat, Npt, Stage2Format};
pub use kind::{Leaf, P2mKind};
pub use walk::Walk;

use crate::frame::{FrameKind, FrameTable, Request};
use crate::platform::FrameMemory;
use crate::types::{DomId, Gfn, Mfn};

/// Guest frame numbers are below this: 48-bit guest-physical addresses.
pub const GFN_LIMIT: u64 = 1 << 36;
/// log2 of the entries of a table.
const TABLE_SHIFT: u32 = 9;
/// Entries of a table.
const ENTRIES: usize = 1 << TABLE_SHIFT;
/// The level of the root table.
const ROOT_LEVEL: u32 = 3;

/// The order of a 2 MiB mapping.
pub const ORDER_2M: u32 = TABLE_SHIFT;
/// The order of a 1 GiB mapping.
pub const ORDER_1G: u32 = 2 * TABLE_SHIFT;

/// Machine memory and the table of its frames: what every operation on memory needs.
#[derive(Debug)]
pub struct Frames<'a, M> {
    /// Access to what is in the frames.
    pub memory: &'a M,
    /// Who owns them.
    pub table: &'a FrameTable,
}

impl<M> Clone for Frames<'_, M> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<M> Copy for Frames<'_, M> {}

/// Why the map can't be changed as asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum P2mError {
    /// Beyond the guest's address space, not aligned to the order, or of no known order.
    BadAddress,
    /// Something is mapped there.
    Occupied,
    /// No frame for a table, or the domain's limit of tables is reached.
    NoMemory,
}

/// What a lookup found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Found {
    /// What this very frame is mapped to; `None` for a hole.
    pub leaf: Option<Leaf>,
    /// The order of the mapping, or of the largest aligned hole, that the frame lies in.
    pub order: u32,
}

/// A domain's map. See the [module](self).
#[derive(Debug)]
pub struct P2m<F> {
    format: F,
    root: Mfn,
    owner: DomId,
    tables: u64,
    table_limit: u64,
    highest: u64,
    /// Guest frames are below this: [`GFN_LIMIT`], or 0 once the root is gone.
    limit: u64,
}

/// One entry: a table and an index in it.
#[derive(Clone, Copy, Debug)]
struct Slot {
    table: Mfn,
    index: usize,
}

impl Slot {
    fn load(self, memory: &impl FrameMemory) -> u64 {
        memory.load_u64(self.table, self.index * 8)
    }

    fn store(self, memory: &impl FrameMemory, entry: u64) {
        memory.store_u64(self.table, self.index * 8, entry);
    }
}

/// The index of a guest frame in its table of `level`.
const fn index_of(gfn: u64, level: u32) -> usize {
    (gfn >> (level * TABLE_SHIFT)) as usize & (ENTRIES - 1)
}

impl<F: Stage2Format> P2m<F> {
    /// An empty map for `owner`.
    ///
    /// # Errors
    /// [`P2mError::NoMemory`] if there is no frame for the root table.
    pub fn new(
        frames: Frames<'_, impl FrameMemory>,
        format: F,
        owner: DomId,
    ) -> Result<Self, P2mError> {
        let request = Request::new(0, FrameKind::Table, owner);
        let root = frames.table.alloc_zeroed(frames.memory, &request);
        let root = root.ok_or(P2mError::NoMemory)?;
        Ok(Self {
            format,
            root,
            owner,
            tables: 1,
            table_limit: u64::MAX,
            highest: 0,
            limit: GFN_LIMIT,
        })
    }

    /// The root table: what the CPU is told.
    pub fn root(&self) -> Mfn {
        self.root
    }

    /// Frames that the tables take.
    pub fn tables(&self) -> u64 {
        self.tables
    }

    /// How many frames the tables may take.
    pub fn table_limit(&self) -> u64 {
        self.table_limit
    }

    /// Limits the frames of new tables; those that exist stay.
    pub fn set_table_limit(&mut self, frames: u64) {
        self.table_limit = frames;
    }

    /// The highest guest frame that was ever mapped.
    pub fn highest(&self) -> Gfn {
        Gfn(self.highest)
    }

    /// What a guest frame stands for.
    #[inline]
    pub fn lookup(&self, memory: &impl FrameMemory, gfn: Gfn) -> Found {
        if gfn.0 >= self.limit {
            return Found { leaf: None, order: 0 };
        }
        let mut table = self.root;
        let mut level = ROOT_LEVEL;
        loop {
            let order = level * TABLE_SHIFT;
            let entry = Slot { table, index: index_of(gfn.0, level) }.load(memory);
            match self.format.decode(entry, level) {
                Entry::Empty => return Found { leaf: None, order },
                Entry::Leaf(leaf) => {
                    let offset = gfn.0 & ((1 << order) - 1);
                    return Found { leaf: Some(leaf.plus(offset)), order };
                }
                Entry::Table(next) => {
                    table = next;
                    level -= 1;
                }
            }
        }
    }

    /// The mappings of `[from, to)`, in order.
    pub fn walk<'a, M: FrameMemory>(&'a self, memory: &'a M, from: Gfn, to: Gfn) -> Walk<'a, F, M> {
        Walk::new(self, memory, from, to)
    }

    /// Whether the CPUs have mappings of 1 GiB.
    pub fn has_1g(&self) -> bool {
        self.format.has_1g()
    }

    fn alloc_table(
        &mut self,
        frames: Frames<'_, impl FrameMemory>,
        zeroed: bool,
    ) -> Result<Mfn, P2mError> {
        if self.tables >= self.table_limit {
            return Err(P2mError::NoMemory);
        }
        let request = Request::new(0, FrameKind::Table, self.owner);
        let table = if zeroed {
            frames.table.alloc_zeroed(frames.memory, &request)
        } else {
            frames.table.alloc(&request)
        };
        self.tables += u64::from(table.is_some());
        table.ok_or(P2mError::NoMemory)
    }

    /// Gives back a table that no entry points to any more. CPUs may still have that entry
    /// cached, empty as the table may have been: a flush is due.
    fn free_table(&mut self, table: Mfn, batch: &mut FlushBatch<'_>) {
        batch.mark_stale();
        self.tables -= 1;
        batch.release(table, 1);
    }
}
