//! Which tables a function's requests are translated by: the root table (an entry per bus) and
//! the context tables (an entry per device and function).
//!
//! Source: Intel VT-d specification 4.1, 9.1 and 9.3.

use hv_core::types::{FRAME_SHIFT, Mfn};

use super::memory::{OutOfFrames, TableMemory, Writer};
use super::second_level::SecondLevel;

const PRESENT: u64 = 1 << 0;
const ADDRESS: u64 = 0x000F_FFFF_FFFF_F000;

/// The number that a unit knows a domain by. Zero is reserved where absent entries are cached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DomainTag(u16);

impl DomainTag {
    /// A domain's number, for units that tell `domains` apart. `None` if there are too few.
    pub const fn new(domain: u16, domains: u32) -> Option<Self> {
        match domain.checked_add(1) {
            Some(tag) if (tag as u32) < domains => Some(Self(tag)),
            _ => None,
        }
    }

    pub(super) const fn number(self) -> u64 {
        self.0 as u64
    }
}

/// The root table of a segment and what hangs off it.
#[derive(Debug)]
pub(super) struct Contexts {
    root: Mfn,
    coherent: bool,
}

impl Contexts {
    pub(super) fn new(memory: &impl TableMemory, coherent: bool) -> Result<Self, OutOfFrames> {
        let root = Writer { memory, coherent }.table()?;
        Ok(Self { root, coherent })
    }

    pub(super) const fn root(&self) -> Mfn {
        self.root
    }

    /// Has a function's requests translated by `tables`; `None` refuses them.
    pub(super) fn set(
        &self,
        memory: &impl TableMemory,
        bus: u8,
        devfn: u8,
        tables: Option<(&SecondLevel, DomainTag)>,
    ) -> Result<(), OutOfFrames> {
        let writer = Writer { memory, coherent: self.coherent };
        // Both tables' entries have 16 bytes; of the root's, the upper half is reserved.
        let root_slot = usize::from(bus).wrapping_mul(2);
        let mut entry = writer.get(self.root, root_slot);
        if entry & PRESENT == 0 {
            if tables.is_none() {
                return Ok(());
            }
            entry = writer.table()?.0 << FRAME_SHIFT | PRESENT;
            writer.set(self.root, root_slot, entry);
        }
        let table = Mfn((entry & ADDRESS) >> FRAME_SHIFT);
        let slot = usize::from(devfn).wrapping_mul(2);
        // The half with the present bit goes first when it ends and last when it begins.
        writer.set(table, slot, 0);
        if let Some((second_level, tag)) = tables {
            let (root, levels) = second_level.root();
            let width = u64::from(levels.saturating_sub(2));
            writer.set(table, slot.wrapping_add(1), width | tag.number() << 8);
            writer.set(table, slot, root.0 << FRAME_SHIFT | PRESENT);
        }
        Ok(())
    }
}
