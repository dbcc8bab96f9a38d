//! Intel VT-d: the registers and tables of a remapping unit, and the ACPI table that lists the
//! units (VT-d, chapters 8 to 10).

mod dmar;
mod queue;
mod registers;
mod tables;

pub use dmar::{
    DeviceScope, Dmar, DmarFlags, Drhd, Rmrr, ScopeType, StructureHeader, StructureType,
};
pub use queue::{Descriptor, Granularity, STATUS_WRITTEN};
pub use registers::{
    Capability, ContextCommand, ExtendedCapability, FaultRecord, FaultStatus, GlobalCommand,
    IotlbCommand, Register,
};
pub use tables::{
    AddressWidth, ContextEntry, InterruptEntry, MsiAddress, RootEntry, SecondLevelEntry,
};
