//! Guest frames that the second stage never maps, so that each access to them exits.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::ops::Range;

use hv_core::types::Gfn;
use hv_x86::pci::Pages;
use spin::{RwLock, RwLockReadGuard};

/// The frames of devices that the hypervisor emulates or hides.
///
/// The lock is taken before the p2m's, and only when something is mapped or moved.
#[derive(Debug, Default)]
pub struct HiddenFrames {
    fixed: Box<[Range<Gfn>]>,
    /// MSI-X tables, which move with their devices' memory.
    tables: RwLock<Vec<Pages>>,
}

/// The frames as of now: they don't change while this is there.
pub struct Hidden<'a> {
    fixed: &'a [Range<Gfn>],
    tables: RwLockReadGuard<'a, Vec<Pages>>,
}

impl HiddenFrames {
    /// Frames that are hidden forever, and no MSI-X tables.
    pub fn new(fixed: Box<[Range<Gfn>]>) -> Self {
        Self { fixed, tables: RwLock::default() }
    }

    /// What is hidden as of now.
    pub fn read(&self) -> Hidden<'_> {
        Hidden { fixed: &self.fixed, tables: self.tables.read() }
    }

    /// Changes which frames hold MSI-X tables. They can't be mapped any more once this returns,
    /// but those that are mapped stay so.
    pub fn set_tables(&self, tables: Vec<Pages>) {
        *self.tables.write() = tables;
    }
}

impl Hidden<'_> {
    /// Whether any of `count` frames from `start` on is hidden.
    pub fn any(&self, start: Gfn, count: u64) -> bool {
        let end = start.0.saturating_add(count);
        let overlaps = |from: u64, to: u64| from < end && start.0 < to;
        self.fixed.iter().any(|range| overlaps(range.start.0, range.end.0))
            || self
                .tables
                .iter()
                .any(|pages| overlaps(pages.start.0, pages.start.0.saturating_add(pages.count)))
    }
}
