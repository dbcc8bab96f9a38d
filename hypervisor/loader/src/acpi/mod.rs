//! ACPI tables: reading the host's, and writing the control domain's.
//!
//! - [`Tables`] lists the host's tables, found from the RSDP through [`PhysRead`].
//! - [`Madt`], [`Fadt`], [`Mcfg`], [`Hpet`] are what this hypervisor reads of them; the DMAR
//!   is read where it is used, from [`Tables::load`]'s bytes.
//! - [`dom0`] composes the tables that the control domain sees.
//!
//! Source: ACPI specification 6.5, chapter 5.

pub mod dom0;
mod error;
mod fadt;
mod header;
mod hpet;
mod madt;
mod mcfg;
mod tables;
#[cfg(test)]
mod tests;

pub use error::AcpiError;
pub use fadt::{AddressSpace, Fadt, Register, SleepType};
pub use header::Signature;
pub use hpet::Hpet;
pub use madt::{IoApic, LocalApic, Madt, Override};
pub use mcfg::{EcamRange, Mcfg};
pub use tables::{Rsdp, Table, Tables};

/// Reads physical memory of the host: firmware tables, the BIOS area.
pub trait PhysRead {
    /// Fills `into` from physical address `address`. `false` if that memory can't be read.
    #[must_use]
    fn read(&self, address: u64, into: &mut [u8]) -> bool;
}
