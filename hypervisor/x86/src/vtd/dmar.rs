//! The ACPI table that describes the remapping hardware.
//!
//! Source: Intel VT-d specification 4.1, chapter 8.

use alloc::vec::Vec;

use crate::pci::registers::SECONDARY_BUS;
use crate::pci::{ConfigSpace, Register, Sbdf};

const HEADER_BYTES: usize = 48;
const KIND_UNIT: u16 = 0;
const KIND_RESERVED_MEMORY: u16 = 1;
const KIND_ROOT_PORTS: u16 = 2;

/// Whom a unit or a region is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// What it names.
    pub kind: ScopeKind,
    /// The IO-APIC's or HPET's number, if it is one.
    pub enumeration_id: u8,
    /// The bus that the path starts at.
    pub start_bus: u8,
    /// Device and function on each bus of the way, the last being the named one.
    pub path: Vec<(u8, u8)>,
}

/// What a [`Scope`] names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ScopeKind(pub u8);

impl ScopeKind {
    /// A PCI function.
    pub const ENDPOINT: Self = Self(1);
    /// A PCI bridge and all behind it.
    pub const BRIDGE: Self = Self(2);
    /// An IO-APIC, by the function that it interrupts as.
    pub const IO_APIC: Self = Self(3);
    /// An HPET, by the function that it interrupts as.
    pub const HPET: Self = Self(4);
}

impl Scope {
    /// The function that is named, by way of the bridges on the path.
    pub fn resolve(&self, space: &impl ConfigSpace, segment: u16) -> Option<Sbdf> {
        let mut bus = self.start_bus;
        let (last, bridges) = self.path.split_last()?;
        for (device, function) in bridges {
            let bridge = Sbdf::new(segment, bus, *device, *function);
            bus = space.read(bridge, Register::byte(SECONDARY_BUS)) as u8;
        }
        Some(Sbdf::new(segment, bus, last.0, last.1))
    }
}

/// A remapping unit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitEntry {
    /// The physical address of its registers.
    pub registers: u64,
    /// The PCI segment of its functions.
    pub segment: u16,
    /// It is for all functions that no other unit names.
    pub includes_all: bool,
    /// The functions that it names.
    pub scopes: Vec<Scope>,
}

/// Memory that firmware has functions write to, whether the system runs or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedMemory {
    /// The first byte.
    pub start: u64,
    /// The last byte.
    pub last: u64,
    /// The PCI segment of its functions.
    pub segment: u16,
    /// Those functions.
    pub scopes: Vec<Scope>,
}

/// What the hypervisor reads of the table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Dmar {
    /// How many bits the machine's physical addresses have for DMA.
    pub address_bits: u8,
    /// Units can remap interrupts too.
    pub interrupt_remapping: bool,
    /// The units.
    pub units: Vec<UnitEntry>,
    /// Memory that has to stay mapped.
    pub reserved: Vec<ReservedMemory>,
    /// Root ports whose functions may keep translations, by segment.
    pub root_ports: Vec<(u16, Vec<Scope>)>,
}

impl Dmar {
    /// Reads a whole table, header included. `None` if it or an entry is cut short.
    pub fn parse(table: &[u8]) -> Option<Self> {
        let mut dmar = Self {
            address_bits: table.get(36)?.saturating_add(1),
            interrupt_remapping: table.get(37)? & 1 != 0,
            ..Self::default()
        };
        let mut rest = table.get(HEADER_BYTES..)?;
        while !rest.is_empty() {
            let len = usize::from(u16_at(rest, 2)?).max(4);
            let (entry, after) = rest.split_at_checked(len)?;
            dmar.take(u16_at(entry, 0)?, entry)?;
            rest = after;
        }
        Some(dmar)
    }

    fn take(&mut self, kind: u16, entry: &[u8]) -> Option<()> {
        match kind {
            KIND_UNIT => self.units.push(UnitEntry {
                registers: u64_at(entry, 8)?,
                segment: u16_at(entry, 6)?,
                includes_all: entry.get(4)? & 1 != 0,
                scopes: scopes(entry.get(16..)?)?,
            }),
            KIND_RESERVED_MEMORY => {
                let (start, last) = (u64_at(entry, 8)?, u64_at(entry, 16)?);
                let scopes = scopes(entry.get(24..)?)?;
                if start <= last {
                    let segment = u16_at(entry, 6)?;
                    self.reserved.push(ReservedMemory { start, last, segment, scopes });
                }
            }
            KIND_ROOT_PORTS => {
                self.root_ports.push((u16_at(entry, 6)?, scopes(entry.get(8..)?)?));
            }
            _ => {}
        }
        Some(())
    }
}

fn scopes(bytes: &[u8]) -> Option<Vec<Scope>> {
    const FIXED_BYTES: usize = 6;
    let mut scopes = Vec::new();
    let mut rest = bytes;
    while !rest.is_empty() {
        let len = usize::from(*rest.get(1)?).max(FIXED_BYTES);
        let (scope, after) = rest.split_at_checked(len)?;
        let hops = scope.get(FIXED_BYTES..)?.chunks_exact(2);
        scopes.push(Scope {
            kind: ScopeKind(*scope.first()?),
            enumeration_id: *scope.get(4)?,
            start_bus: *scope.get(5)?,
            path: hops.filter_map(|hop| Some((*hop.first()?, *hop.get(1)?))).collect(),
        });
        rest = after;
    }
    Some(scopes)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().copied().map(u16::from_le_bytes)
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().copied().map(u64::from_le_bytes)
}
