//! The MCFG: where PCI Express configuration space is mapped.
//!
//! Source: PCI Firmware Specification 3.3, 4.1.2.

use alloc::vec::Vec;

use super::header::HEADER_BYTES;
use super::{AcpiError, Signature};
use crate::bytes::{u16_at, u64_at};

/// The configuration space of a run of buses of one segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EcamRange {
    /// The physical address of bus 0 of the segment, even if `first_bus` isn't 0.
    pub base: u64,
    /// The PCI segment group.
    pub segment: u16,
    /// The first bus that is mapped.
    pub first_bus: u8,
    /// The last bus that is mapped.
    pub last_bus: u8,
}

/// What the hypervisor reads of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mcfg {
    /// The ranges in the table's order.
    pub ranges: Vec<EcamRange>,
}

impl Mcfg {
    /// Reads a whole table, header included.
    ///
    /// # Errors
    /// The table is cut short.
    pub fn parse(table: &[u8]) -> Result<Self, AcpiError> {
        const RESERVED_BYTES: usize = 8;
        const ENTRY_BYTES: usize = 16;
        let entries = table
            .get(HEADER_BYTES + RESERVED_BYTES..)
            .ok_or(AcpiError::BadLength { table: Signature::MCFG })?;
        let range = |entry: &[u8]| {
            Some(EcamRange {
                base: u64_at(entry, 0)?,
                segment: u16_at(entry, 8)?,
                first_bus: *entry.get(10)?,
                last_bus: *entry.get(11)?,
            })
        };
        let sound = |range: &EcamRange| range.base != 0 && range.first_bus <= range.last_bus;
        Ok(Self {
            ranges: entries.chunks_exact(ENTRY_BYTES).filter_map(range).filter(sound).collect(),
        })
    }
}
