//! Memory for tables that a unit reads.

use hv_core::platform::FrameMemory;
use hv_core::types::{FRAME_BYTES, Mfn};

/// Machine memory, and frames of it for a unit's tables.
pub trait TableMemory: FrameMemory {
    /// Takes a frame, of whatever content. `None` if there is none left.
    fn allocate(&self) -> Option<Mfn>;
    /// Gives a frame back.
    fn free(&self, frame: Mfn);
    /// Writes the CPUs' caches of these bytes back to memory, for units that don't see into
    /// caches. Called only if there is such a unit.
    fn write_back(&self, frame: Mfn, offset: usize, bytes: usize);
}

/// No frame for a table was left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrames;

/// How entries of tables are written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Writer<'a, M> {
    pub(super) memory: &'a M,
    /// Every unit sees into the CPUs' caches.
    pub(super) coherent: bool,
}

impl<M: TableMemory> Writer<'_, M> {
    /// A zeroed table.
    pub(super) fn table(&self) -> Result<Mfn, OutOfFrames> {
        let frame = self.memory.allocate().ok_or(OutOfFrames)?;
        self.memory.zero(frame);
        self.write_back(frame, 0, FRAME_BYTES);
        Ok(frame)
    }

    /// Writes an entry of 8 bytes.
    pub(super) fn set(&self, table: Mfn, index: usize, entry: u64) {
        let offset = index.wrapping_mul(8);
        self.memory.store_u64(table, offset, entry);
        self.write_back(table, offset, 8);
    }

    /// Reads an entry of 8 bytes.
    pub(super) fn get(&self, table: Mfn, index: usize) -> u64 {
        self.memory.load_u64(table, index.wrapping_mul(8))
    }

    fn write_back(&self, frame: Mfn, offset: usize, bytes: usize) {
        if !self.coherent {
            self.memory.write_back(frame, offset, bytes);
        }
    }
}
