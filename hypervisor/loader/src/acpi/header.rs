//! The header that all tables but RSDP and FACS start with, and checksums.

use core::fmt;

use crate::bytes::{array, u32_at};

/// Bytes in a table's header.
pub(super) const HEADER_BYTES: usize = 36;
/// Where the header keeps the checksum.
const CHECKSUM: usize = 9;
/// Where the header keeps the table's revision.
pub(super) const REVISION: usize = 8;
const LENGTH: usize = 4;

/// A table's four-letter name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Signature(pub [u8; 4]);

impl Signature {
    /// Differentiated System Description Table.
    pub const DSDT: Self = Self(*b"DSDT");
    /// DMA Remapping table.
    pub const DMAR: Self = Self(*b"DMAR");
    /// Fixed ACPI Description Table.
    pub const FADT: Self = Self(*b"FACP");
    /// High Precision Event Timer table.
    pub const HPET: Self = Self(*b"HPET");
    /// Multiple APIC Description Table.
    pub const MADT: Self = Self(*b"APIC");
    /// PCI Express memory-mapped configuration space.
    pub const MCFG: Self = Self(*b"MCFG");
    /// Root System Description Table.
    pub const RSDT: Self = Self(*b"RSDT");
    /// Extended System Description Table.
    pub const XSDT: Self = Self(*b"XSDT");
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0.escape_ascii())
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The name and the length that a table's header states.
pub(super) fn name_and_len(header: &[u8]) -> Option<(Signature, u32)> {
    Some((Signature(array(header, 0)?), u32_at(header, LENGTH)?))
}

/// The sum of all bytes; zero for a sound table.
pub(super) fn sum(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum.wrapping_add(*byte))
}

/// Writes a table's length and checksum into its header, which must be there.
pub(super) fn seal(table: &mut [u8]) {
    let len = u32::try_from(table.len()).unwrap_or(u32::MAX);
    if let Some(field) = table.get_mut(LENGTH..).and_then(|rest| rest.first_chunk_mut()) {
        *field = len.to_le_bytes();
    }
    seal_sum(table, CHECKSUM);
}

/// Sets the byte at `at` so that all bytes add up to zero.
pub(super) fn seal_sum(bytes: &mut [u8], at: usize) {
    if let Some(checksum) = bytes.get_mut(at) {
        *checksum = 0;
    }
    let rest = sum(bytes);
    if let Some(checksum) = bytes.get_mut(at) {
        *checksum = rest.wrapping_neg();
    }
}
