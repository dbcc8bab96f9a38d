//! Configuration space as memory (PCI Express's enhanced configuration access mechanism).

use hv_core::types::Gpa;

use super::address::Sbdf;

/// The memory window of a run of buses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcamWindow {
    /// Where bus 0 of the segment is, or would be.
    pub base: u64,
    /// The segment.
    pub segment: u16,
    /// The first bus that is there.
    pub first_bus: u8,
    /// The last bus that is there.
    pub last_bus: u8,
}

impl EcamWindow {
    /// log2 of a bus's bytes.
    const BUS_SHIFT: u32 = 20;
    /// log2 of a function's bytes.
    const FUNCTION_SHIFT: u32 = 12;

    /// The first address.
    pub const fn start(&self) -> u64 {
        self.base.saturating_add((self.first_bus as u64) << Self::BUS_SHIFT)
    }

    /// One past the last address.
    pub const fn end(&self) -> u64 {
        self.base.saturating_add((self.last_bus as u64).saturating_add(1) << Self::BUS_SHIFT)
    }

    /// Whose configuration space an address is in, and at which offset.
    pub const fn decode(&self, at: Gpa) -> Option<(Sbdf, u16)> {
        if at.0 < self.start() || at.0 >= self.end() {
            return None;
        }
        let offset = at.0.wrapping_sub(self.base);
        let (bus, devfn) = (offset >> Self::BUS_SHIFT, offset >> Self::FUNCTION_SHIFT);
        Some((Sbdf::from_devfn(self.segment, bus as u8, devfn as u8), offset as u16 & 0xFFF))
    }

    /// Where a function's configuration space is, if it is in this window.
    pub const fn address(&self, function: Sbdf) -> Option<u64> {
        let bus = function.bus();
        if self.segment != function.segment() || bus < self.first_bus || bus > self.last_bus {
            return None;
        }
        let offset = (function.requester() as u64) << Self::FUNCTION_SHIFT;
        self.base.checked_add(offset)
    }
}
