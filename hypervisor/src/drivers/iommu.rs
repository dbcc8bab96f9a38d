//! The machine's IOMMUs: dom0's devices reach what dom0 maps, and nothing else.
//!
//! [`hv_x86::vtd`] knows the hardware; this finds the units, feeds dom0's tables with each
//! change of its second stage ([`changed`]), and passes its flushes on ([`flush`]). If anything
//! is amiss at boot, the machine goes on without: dom0 is identity-mapped, so its devices work
//! all the same.
//!
//! The lock is the last to be taken: changes and flushes come from inside a domain's memory.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;
use core::ops::Range;

use hv_core::p2m::Leaf;
use hv_core::types::{DomId, FRAME_BYTES, FRAME_SHIFT, Gfn, Hpa, Mfn};
use hv_x86::pci::scan;
use hv_x86::vtd::{
    Dmar, DomainTag, Iommu, OutOfFrames, Registers, SecondLevel, TableMemory, UnitEntry, UnitError,
    window_bytes,
};
use spin::{Mutex, Once};

use super::{acpi, pci};
use crate::mm::{Mmio, frames, map_mmio, phys};
use crate::platform::Machine;

/// Mapped registers of a unit.
#[derive(Debug)]
struct UnitRegisters(Mmio);

impl Registers for UnitRegisters {
    fn read32(&self, offset: u64) -> u32 {
        self.0.read_u32(offset as usize)
    }

    fn read64(&self, offset: u64) -> u64 {
        self.0.read_u64(offset as usize)
    }

    fn write32(&self, offset: u64, value: u32) {
        self.0.write_u32(offset as usize, value);
    }

    fn write64(&self, offset: u64, value: u64) {
        self.0.write_u64(offset as usize, value);
    }
}

impl TableMemory for Machine {
    fn allocate(&self) -> Option<Mfn> {
        frames::take(0).map(Hpa::mfn)
    }

    fn free(&self, frame: Mfn) {
        frames::give(frame.hpa(), 0);
    }

    fn write_back(&self, frame: Mfn, offset: usize, bytes: usize) {
        phys::write_back(Hpa(frame.hpa().0 + offset as u64), bytes);
    }
}

/// The units, and dom0's tables.
struct State {
    iommu: Iommu<UnitRegisters>,
    tables: SecondLevel,
    tag: DomainTag,
    /// Units are on: flushes matter.
    enabled: bool,
}

static STATE: Once<Option<Mutex<State>>> = Once::new();

fn state() -> Option<&'static Mutex<State>> {
    STATE.get()?.as_ref()
}

/// Finds the units and prepares dom0's tables; `wanted` is the command line's word. Before
/// dom0's memory is populated.
pub fn init(wanted: bool) {
    STATE.call_once(|| {
        let table = acpi::machine().dmar.as_ref().filter(|_| wanted)?;
        let Some(dmar) = Dmar::parse(table) else {
            warning!("ACPI table DMAR is cut short: the machine goes on without an IOMMU");
            return None;
        };
        prepare(&dmar)
            .inspect_err(|error| warning!("{error}: the machine goes on without it"))
            .ok()
            .flatten()
            .map(Mutex::new)
    });
}

fn prepare(dmar: &Dmar) -> Result<Option<State>, UnitError> {
    if dmar.units.is_empty() {
        return Ok(None);
    }
    let units: Option<Vec<_>> = dmar.units.iter().map(map_unit).collect();
    let units = units.ok_or(OutOfFrames)?;
    let memory = &Machine;
    let iommu = Iommu::new(memory, units)?;
    let mut tables = SecondLevel::new(memory, iommu.shape())?;
    for region in &dmar.reserved {
        debug!("IOMMU: {:#x}-{:#x} stays mapped", region.start, region.last);
        tables.pin(memory, Hpa(region.start).mfn(), Hpa(region.last).mfn())?;
    }
    let Some(tag) = iommu.tag(DomId::DOM0) else { return Ok(None) };
    Ok(Some(State { iommu, tables, tag, enabled: false }))
}

fn map_unit(unit: &UnitEntry) -> Option<(u16, UnitRegisters)> {
    let at = Hpa(unit.registers);
    let first = UnitRegisters(map_mmio(at, FRAME_BYTES)?);
    let bytes = window_bytes(&first) as usize;
    let registers = match bytes {
        FRAME_BYTES => first,
        _ => UnitRegisters(map_mmio(at, bytes)?),
    };
    Some((unit.segment, registers))
}

/// The frames of the units' registers, which no domain may reach.
pub fn register_frames() -> Vec<Range<Gfn>> {
    let table = acpi::machine().dmar.as_ref();
    let units = table.and_then(|table| Dmar::parse(table)).unwrap_or_default().units;
    let frames = |unit: &UnitEntry| {
        let start = unit.registers >> FRAME_SHIFT;
        let bytes = map_mmio(Hpa(unit.registers), FRAME_BYTES)
            .map_or(FRAME_BYTES as u64, |registers| window_bytes(&UnitRegisters(registers)));
        Gfn(start)..Gfn(start + (bytes >> FRAME_SHIFT))
    };
    units.iter().map(frames).collect()
}

/// Switches the units on. `false` if devices reach all memory: there is no unit, or it doesn't
/// work.
pub fn enable() -> bool {
    let Some(state) = state() else { return false };
    let state = &mut *state.lock();
    match try_enable(state) {
        Ok(()) => {
            info!("IOMMU: dom0's devices reach dom0's memory alone");
            true
        }
        Err(error) => {
            warning!("{error}: the machine goes on without it");
            let _ = state.iommu.disable(&Machine);
            state.enabled = false;
            false
        }
    }
}

fn try_enable(state: &mut State) -> Result<(), UnitError> {
    let config = pci::config();
    let mut segments: BTreeSet<u16> = config.windows().map(|window| window.segment).collect();
    segments.insert(0);
    let functions = segments.into_iter().flat_map(|segment| scan(config, segment, 0..=u8::MAX));
    let buses: BTreeSet<_> =
        functions.map(|found| (found.sbdf.segment(), found.sbdf.bus())).collect();
    for (segment, bus) in buses {
        state.iommu.attach_bus(&Machine, segment, bus, Some((&state.tables, state.tag)))?;
    }
    state.iommu.enable(&Machine)?;
    state.enabled = true;
    Ok(())
}

/// Follows a change of a domain's second stage.
pub fn changed(domain: DomId, gfn: Gfn, order: u32, leaf: Option<Leaf>) {
    if domain != DomId::DOM0 {
        return;
    }
    let Some(state) = state() else { return };
    let state = &mut *state.lock();
    let target = leaf.map(Into::into);
    if state.tables.map(&Machine, gfn, 1 << order, target).is_err() {
        // What could not be changed is mapped to nothing.
        error!("no memory for the IOMMU's tables: devices can't reach {:#x}", gfn.gpa().0);
    }
    if state.enabled && leaf.is_some() && state.iommu.caches_absent() {
        forget(state);
    }
}

/// Returns once no device uses a translation of the domain's that was cached before.
pub fn flush(domain: DomId) {
    if domain != DomId::DOM0 {
        return;
    }
    let Some(state) = state() else { return };
    let state = &mut *state.lock();
    if state.enabled {
        forget(state);
    }
    state.tables.reclaim(&Machine);
}

fn forget(state: &mut State) {
    if let Err(error) = state.iommu.flush(&Machine, state.tag) {
        // What was taken from dom0 may be given to others: devices must not reach it.
        fatal!("{error}");
    }
}

/// Whether devices are kept from memory that isn't their domain's.
pub fn is_enabled() -> bool {
    state().is_some_and(|state| state.lock().enabled)
}

/// Says whether there is an IOMMU, and which requests it has refused since the last call.
pub fn report() {
    let Some(state) = state().filter(|_| is_enabled()) else {
        say!("  no IOMMU is in use: devices reach all memory");
        return;
    };
    say!("  an IOMMU is in use");
    let faults = state.lock().iommu.faults();
    for (segment, fault) in faults {
        let bus = (fault.requester >> 8) as u8;
        let function = hv_x86::pci::Sbdf::from_devfn(segment, bus, fault.requester as u8);
        let what = if fault.write { "write to" } else { "read of" };
        say!("  {function}: {what} {:#x} refused, reason {}", fault.address.0, fault.reason);
    }
}
