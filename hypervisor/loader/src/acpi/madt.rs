//! The Multiple APIC Description Table: processors, IO-APICs, legacy interrupt overrides.
//!
//! Source: ACPI 6.5, 5.2.12.

use alloc::vec::Vec;

use super::header::{HEADER_BYTES, REVISION};
use super::{AcpiError, Signature};
use crate::bytes::{u16_at, u32_at, u64_at};

pub(super) const KIND_LOCAL_APIC: u8 = 0;
pub(super) const KIND_IO_APIC: u8 = 1;
pub(super) const KIND_OVERRIDE: u8 = 2;
pub(super) const KIND_LOCAL_APIC_ADDRESS: u8 = 5;
pub(super) const KIND_LOCAL_X2APIC: u8 = 9;

const FLAG_ENABLED: u32 = 1 << 0;
const FLAG_ONLINE_CAPABLE: u32 = 1 << 1;
/// The local APIC address and the flags follow the header.
const ENTRIES: usize = HEADER_BYTES + 8;

/// A processor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LocalApic {
    /// The processor's number in the DSDT.
    pub uid: u32,
    /// The id that interrupts are addressed to.
    pub apic_id: u32,
    /// It can be started now.
    pub enabled: bool,
    /// It is not there, but may be plugged in.
    pub online_capable: bool,
}

/// An IO-APIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IoApic {
    /// Its id register's value.
    pub id: u8,
    /// The physical address of its registers.
    pub address: u32,
    /// The global system interrupt of its pin 0.
    pub gsi_base: u32,
}

/// An ISA interrupt that isn't wired to the GSI of its own number, or isn't edge, active-high.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Override {
    /// The ISA interrupt.
    pub irq: u8,
    /// The global system interrupt that it is wired to.
    pub gsi: u32,
    /// Polarity in bits 1:0 and trigger mode in bits 3:2, as MPS INTI flags.
    pub flags: u16,
}

impl Override {
    /// Whether the line is active-low. The ISA default is active-high.
    pub const fn active_low(self) -> bool {
        self.flags & 0b11 == 0b11
    }

    /// Whether the line is level-triggered. The ISA default is edge.
    pub const fn level(self) -> bool {
        (self.flags >> 2) & 0b11 == 0b11
    }
}

/// What the hypervisor reads of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Madt {
    /// The table's revision.
    pub revision: u8,
    /// The physical address of the local APICs' registers.
    pub local_apic_address: u64,
    /// Bit 0: a pair of 8259s is there too.
    pub flags: u32,
    /// The processors in the table's order. One that is listed as local APIC and as x2APIC
    /// appears once.
    pub cpus: Vec<LocalApic>,
    /// The IO-APICs in the table's order.
    pub io_apics: Vec<IoApic>,
    /// The overrides in the table's order.
    pub overrides: Vec<Override>,
}

impl Madt {
    /// Reads a whole table, header included.
    ///
    /// # Errors
    /// The table, or an entry of a known kind in it, is cut short.
    pub fn parse(table: &[u8]) -> Result<Self, AcpiError> {
        Self::read(table).ok_or(AcpiError::BadLength { table: Signature::MADT })
    }

    fn read(table: &[u8]) -> Option<Self> {
        let mut madt = Self {
            revision: *table.get(REVISION)?,
            local_apic_address: u64::from(u32_at(table, HEADER_BYTES)?),
            flags: u32_at(table, HEADER_BYTES + 4)?,
            cpus: Vec::new(),
            io_apics: Vec::new(),
            overrides: Vec::new(),
        };
        for (kind, entry) in entries(table) {
            madt.take(kind, entry)?;
        }
        Some(madt)
    }

    fn take(&mut self, kind: u8, entry: &[u8]) -> Option<()> {
        match kind {
            KIND_LOCAL_APIC => {
                let (uid, id) = (*entry.get(2)?, *entry.get(3)?);
                self.add_cpu(uid.into(), id.into(), u32_at(entry, 4)?);
            }
            KIND_LOCAL_X2APIC => {
                self.add_cpu(u32_at(entry, 12)?, u32_at(entry, 4)?, u32_at(entry, 8)?);
            }
            KIND_IO_APIC => self.io_apics.push(IoApic {
                id: *entry.get(2)?,
                address: u32_at(entry, 4)?,
                gsi_base: u32_at(entry, 8)?,
            }),
            KIND_OVERRIDE => self.overrides.push(Override {
                irq: *entry.get(3)?,
                gsi: u32_at(entry, 4)?,
                flags: u16_at(entry, 8)?,
            }),
            KIND_LOCAL_APIC_ADDRESS => self.local_apic_address = u64_at(entry, 4)?,
            _ => {}
        }
        Some(())
    }

    fn add_cpu(&mut self, uid: u32, apic_id: u32, flags: u32) {
        let enabled = flags & FLAG_ENABLED != 0;
        let online_capable = flags & FLAG_ONLINE_CAPABLE != 0;
        let known = self.cpus.iter().any(|cpu| cpu.enabled && cpu.apic_id == apic_id);
        // Firmware lists absent processors with the broadcast id.
        let absent = !enabled && (apic_id == 0xFF || apic_id == u32::MAX);
        if !known && !absent {
            self.cpus.push(LocalApic { uid, apic_id, enabled, online_capable });
        }
    }
}

/// The entries of a table: kind and bytes, the two bytes of entry header included. It ends at
/// the first entry that is shorter than its header or reaches past the table: some firmware
/// leaves rubbish there, and other systems boot all the same.
pub(super) fn entries(table: &[u8]) -> impl Iterator<Item = (u8, &[u8])> {
    let mut rest = table.get(ENTRIES..).unwrap_or(&[]);
    core::iter::from_fn(move || {
        let [kind, len, ..] = *rest else { return None };
        let (entry, after) = rest.split_at_checked(usize::from(len).max(2))?;
        rest = after;
        (len >= 2).then_some((kind, entry))
    })
}
