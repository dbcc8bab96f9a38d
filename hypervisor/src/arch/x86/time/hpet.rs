//! The HPET's main counter (IA-PC HPET specification 1.0a).

use hv_core::types::Hpa;
use hv_loader::acpi::{AddressSpace, Hpet};

use crate::mm::{self, Mmio};

const CAPABILITIES_HIGH: usize = 0x04;
const CONFIGURATION: usize = 0x10;
const COUNTER: usize = 0xF0;
const ENABLE: u32 = 1 << 0;
/// A tick is at most 100 ns long.
const MAX_PERIOD_FEMTOSECONDS: u32 = 100_000_000;
const FEMTOSECONDS: u64 = 1_000_000_000_000_000;

/// The running counter.
pub struct HpetCounter {
    registers: Mmio,
    hz: u64,
}

impl HpetCounter {
    /// Starts the counter. `None` if there is none at its place.
    pub fn open(table: &Hpet) -> Option<Self> {
        if table.registers.space != AddressSpace::MEMORY {
            return None;
        }
        let registers = mm::map_mmio(Hpa(table.registers.address), 0x400)?;
        let period = registers.read_u32(CAPABILITIES_HIGH);
        if period == 0 || period > MAX_PERIOD_FEMTOSECONDS {
            return None;
        }
        registers.write_u32(CONFIGURATION, registers.read_u32(CONFIGURATION) | ENABLE);
        Some(Self { registers, hz: FEMTOSECONDS / u64::from(period) })
    }

    /// Ticks in a second.
    pub fn hz(&self) -> u64 {
        self.hz
    }

    /// The low half of the counter.
    pub fn read(&self) -> u32 {
        self.registers.read_u32(COUNTER)
    }
}
