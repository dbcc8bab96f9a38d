//! What can be wrong with the host's ACPI tables.

use core::fmt;

use super::Signature;

/// Why ACPI tables can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum AcpiError {
    /// No RSDP where one may be.
    NoRsdp,
    /// A table's memory can't be read.
    Unreadable {
        /// The table, or what it should have been.
        table: Signature,
        /// Its physical address.
        address: u64,
    },
    /// A table isn't what its pointer promised.
    WrongSignature {
        /// The table that should have been there.
        expected: Signature,
        /// Its physical address.
        address: u64,
    },
    /// A table's bytes don't add up to zero.
    BadChecksum {
        /// The table.
        table: Signature,
    },
    /// A table ends early, or is of an impossible length.
    BadLength {
        /// The table.
        table: Signature,
    },
    /// A table that this hypervisor can't do without isn't there.
    Missing {
        /// The table.
        table: Signature,
    },
}

impl fmt::Display for AcpiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::NoRsdp => {
                write!(f, "firmware has no ACPI RSDP; enable ACPI in the firmware's setup")
            }
            Self::Unreadable { table, address } => {
                write!(f, "ACPI table {table} at {address:#x} can't be read; update the firmware")
            }
            Self::WrongSignature { expected, address } => {
                write!(f, "ACPI table at {address:#x} is not {expected}; update the firmware")
            }
            Self::BadChecksum { table } => {
                write!(f, "ACPI table {table} has a wrong checksum; update the firmware")
            }
            Self::BadLength { table } => {
                write!(f, "ACPI table {table} has an impossible length; update the firmware")
            }
            Self::Missing { table } => {
                write!(f, "firmware has no ACPI table {table}; enable ACPI in the firmware's setup")
            }
        }
    }
}

impl core::error::Error for AcpiError {}
