//! What virtual PCI asks of the machine.

use hv_core::types::Hpa;

use super::address::{Register, Sbdf};

/// The machine's configuration space.
pub trait ConfigSpace {
    /// Reads; all ones where no function answers.
    fn read(&self, function: Sbdf, register: Register) -> u32;
    /// Writes; nothing happens where no function answers.
    fn write(&self, function: Sbdf, register: Register, value: u32);
}

/// What a device writes to signal an interrupt, and where.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsiMessage {
    /// The address.
    pub address: u64,
    /// The data.
    pub data: u32,
}

/// One interrupt of a function: its only MSI, or an entry of its MSI-X table.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MsiSource {
    /// The function.
    pub function: Sbdf,
    /// The entry of the MSI-X table; 0 for MSI.
    pub index: u16,
}

/// The machine, as virtual PCI needs it.
pub trait PciHost: ConfigSpace {
    /// Makes `source` a source of interrupts: from now on, each that it signals arrives in the
    /// domain as `guest`. Gives what to program into the device, or `None` if no vector is left.
    /// A source that is connected already gets the new message; what is programmed may change.
    fn connect(&self, source: MsiSource, guest: MsiMessage) -> Option<MsiMessage>;
    /// Ends that. The source won't signal any more; it may not be connected.
    fn disconnect(&self, source: MsiSource);
    /// Reads `bytes` (1, 2, 4 or 8) of device memory.
    fn mmio_read(&self, at: Hpa, bytes: u8) -> u64;
    /// Writes `bytes` (1, 2, 4 or 8) of device memory.
    fn mmio_write(&self, at: Hpa, bytes: u8, value: u64);
}
