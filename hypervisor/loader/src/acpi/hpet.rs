//! The HPET table: where the High Precision Event Timer is.
//!
//! Source: IA-PC HPET specification 1.0a, 3.2.4.

use super::header::HEADER_BYTES;
use super::{AcpiError, Register, Signature};
use crate::bytes::u16_at;

/// What the hypervisor reads of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Hpet {
    /// Where its registers are.
    pub registers: Register,
    /// Which HPET of the machine this is.
    pub number: u8,
    /// The shortest period in periodic mode that loses no interrupt, in ticks.
    pub min_ticks: u16,
    /// Page protection and OEM attributes.
    pub attributes: u8,
}

impl Hpet {
    /// Reads a whole table, header included.
    ///
    /// # Errors
    /// The table is cut short.
    pub fn parse(table: &[u8]) -> Result<Self, AcpiError> {
        Self::read(table).ok_or(AcpiError::BadLength { table: Signature::HPET })
    }

    fn read(table: &[u8]) -> Option<Self> {
        Some(Self {
            registers: Register::read(table, HEADER_BYTES + 4)?,
            number: *table.get(HEADER_BYTES + 16)?,
            min_ticks: u16_at(table, HEADER_BYTES + 17)?,
            attributes: *table.get(HEADER_BYTES + 19)?,
        })
    }
}
