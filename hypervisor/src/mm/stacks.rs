//! Stacks: each is mapped above a page that is not, so that an overflow faults.

use core::sync::atomic::{AtomicU64, Ordering};

use hv_boot::page_table::Mapping;
use hv_core::types::FRAME_BYTES;

use super::{frames, layout, tables};

const FRAME: u64 = FRAME_BYTES as u64;

/// A stack. It is never taken down.
#[derive(Clone, Copy, Debug)]
pub struct Stack {
    top: u64,
}

static NEXT: AtomicU64 = AtomicU64::new(layout::STACKS);

impl Stack {
    /// A new stack of `1 << order` frames. `None` if there is no memory.
    pub fn new(order: u32) -> Option<Self> {
        let bytes = FRAME << order;
        let virt = NEXT.fetch_add(bytes + FRAME, Ordering::Relaxed) + FRAME;
        let phys = frames::take(order)?.0;
        tables::map(Mapping { virt, phys, bytes, flags: tables::DATA, largest: 1 }).ok()?;
        Some(Self { top: virt + bytes })
    }

    /// The address after its last byte, a multiple of 4096.
    pub fn top(self) -> u64 {
        self.top
    }
}
