//! What the firmware's ACPI tables say of the machine.

use alloc::vec::Vec;

use hv_boot::info::{self, BootInfo};
use hv_loader::acpi::{AcpiError, Fadt, Hpet, Madt, Mcfg, Rsdp, Signature, Tables};
use spin::Once;

use crate::mm::phys::Firmware;

/// The tables that the hypervisor uses itself, read once.
#[derive(Debug)]
pub struct Machine {
    /// All tables' places.
    pub tables: Tables,
    /// Processors, IO-APICs, overrides.
    pub madt: Madt,
    /// Power management: PM timer, sleep and reset registers.
    pub fadt: Fadt,
    /// The HPET.
    pub hpet: Option<Hpet>,
    /// PCI Express configuration space.
    pub mcfg: Mcfg,
    /// Intel's IOMMUs: the whole table.
    pub dmar: Option<Vec<u8>>,
}

static MACHINE: Once<Machine> = Once::new();

/// Reads the tables. Ends the boot if those are missing that dom0 can't do without.
pub fn init(info: &BootInfo) {
    match read(info) {
        Ok(machine) => MACHINE.call_once(|| machine),
        Err(error) => fatal!("the firmware's ACPI tables can't be used: {error}"),
    };
}

/// The machine's description.
///
/// # Panics
/// Before [`init`].
pub fn machine() -> &'static Machine {
    MACHINE.get().expect("ACPI tables are read at boot")
}

/// The description, if it has been read yet: for code that runs in a panic.
pub fn machine_if_known() -> Option<&'static Machine> {
    MACHINE.get()
}

fn read(info: &BootInfo) -> Result<Machine, AcpiError> {
    let memory = Firmware;
    let rsdp = match &info.rsdp {
        info::Rsdp::Search => Rsdp::scan_bios(&memory)?,
        info::Rsdp::At(at) => Rsdp::at(&memory, at.0)?,
        info::Rsdp::Copy(copy) => Rsdp::parse(copy).ok_or(AcpiError::NoRsdp)?,
    };
    let tables = Tables::new(&memory, rsdp)?;
    for table in tables.iter() {
        debug!("ACPI: {} at {:#x}, {} bytes", table.signature, table.address, table.len);
    }
    let load = |signature| tables.load(&memory, signature);
    // A broken table of these is as good as none.
    let optional = |signature| load(signature).ok();
    Ok(Machine {
        madt: Madt::parse(&load(Signature::MADT)?)?,
        fadt: Fadt::parse(&load(Signature::FADT)?)?,
        hpet: optional(Signature::HPET).and_then(|table| Hpet::parse(&table).ok()),
        mcfg: optional(Signature::MCFG)
            .and_then(|table| Mcfg::parse(&table).ok())
            .unwrap_or_default(),
        dmar: optional(Signature::DMAR),
        tables,
    })
}
