//! Grant tables, version 1: how a domain lets others map its frames and copy to and from them.
//!
//! A domain's table is an array of 8-byte entries in frames that it shares with the hypervisor.
//! The domain writes an entry: "domain D may use my guest frame G". Another domain names it by
//! its index, the grant reference. While an entry is in use it is *pinned*: its `GTF_reading` and
//! `GTF_writing` bits are set, and the hypervisor keeps to what it read at the first use
//! ([`pin`]), whatever the granter writes there since.
//!
//! A mapping ([`map`]) pins the entry, is known by a handle in the table of the domain that maps
//! ([`maptrack`]), and holds a reference to the frame in that domain's second-stage map. So frames
//! outlive their owner as long as they are mapped, and nobody needs a dead domain's table: each
//! table has a serial number, and handles of an older one with the same domain number unpin
//! nothing.
//!
//! Locking: each table has one lock for entries and pins and one for handles. Never are two of
//! them held, nor is one taken under a memory's lock; memories' locks nest inside the entries'.

#![deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

mod copy;
mod frames;
mod map;
mod maptrack;
mod pin;
#[cfg(test)]
mod tests;

use core::sync::atomic::{AtomicU64, Ordering::Relaxed};

use spin::Mutex;
use xen_abi::grant_table::GrantStatus;

pub use copy::{CopyEnd, CopyPage};
pub use map::{MapRequest, Mapped, UnmapRequest, Unmapped};

use crate::memory::{DomainMemory, MemoryError};
use crate::p2m::{Frames, HostFormat};
use crate::platform::FrameMemory;
use crate::types::{DomId, FRAME_BYTES};
use frames::Shared;
use maptrack::Maptrack;

/// Bytes of an entry.
const ENTRY_BYTES: usize = size_of::<xen_abi::grant_table::EntryV1>();
/// Entries in a frame of a table.
const ENTRIES_PER_FRAME: usize = FRAME_BYTES / ENTRY_BYTES;

/// What a grant operation gives: the status goes to the caller's structure as it is.
pub type GrantResult<T> = Result<T, GrantStatus>;

/// How large a domain's table may grow.
#[derive(Clone, Copy, Debug)]
pub struct GrantLimits {
    /// Frames of entries (512 each).
    pub frames: u32,
    /// Frames of handles (256 mappings each, as the toolstack counts them).
    pub maptrack_frames: u32,
}

/// A domain's grant table: what it grants, and what it has mapped of others'. See the
/// [module](self).
#[derive(Debug)]
pub struct GrantTable {
    owner: DomId,
    /// Tells this table from an earlier one of the same domain number.
    serial: u64,
    limits: GrantLimits,
    shared: Mutex<Shared>,
    maptrack: Mutex<Maptrack>,
}

/// A domain, as grant operations see it.
#[derive(Debug)]
pub struct Party<'a, F = HostFormat> {
    /// Its memory.
    pub memory: &'a DomainMemory<F>,
    /// Its table.
    pub grants: &'a GrantTable,
}

impl<F> Clone for Party<'_, F> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<F> Copy for Party<'_, F> {}

impl GrantTable {
    /// A table of one frame.
    ///
    /// # Errors
    /// [`MemoryError::NoMemory`].
    pub fn new(
        frames: Frames<'_, impl FrameMemory>,
        owner: DomId,
        limits: GrantLimits,
    ) -> Result<Self, MemoryError> {
        static NEXT_SERIAL: AtomicU64 = AtomicU64::new(0);
        let table = Self {
            owner,
            serial: NEXT_SERIAL.fetch_add(1, Relaxed),
            limits,
            shared: Mutex::new(Shared::new()),
            maptrack: Mutex::new(Maptrack::new(limits.maptrack_frames)),
        };
        if limits.frames > 0 {
            table.grow_to(frames, 1)?;
        }
        Ok(table)
    }

    /// The version that is in use, always.
    pub const VERSION: u32 = 1;

    /// Whose table it is.
    pub fn owner(&self) -> DomId {
        self.owner
    }
}
