//! Intel VT-d: DMA goes where the sender's domain says, and nowhere else.
//!
//! [`Dmar`] is firmware's description. An [`Iommu`] is all units of the machine: it decides by
//! which tables each function's requests are translated, and each domain's tables
//! ([`SecondLevel`]) follow its second stage. Registers are reached through [`Registers`],
//! tables through [`TableMemory`]. Interrupt remapping is not used, and switched off where
//! firmware left it on.
//!
//! The way up: parse the table; map each unit's registers; [`Iommu::new`]; a [`SecondLevel`]
//! for the control domain with all its memory and [`Dmar::reserved`]
//! ([`SecondLevel::pin`]); [`Iommu::attach_bus`] for each bus; [`Iommu::enable`]. From then on
//! [`SecondLevel::map`] with each change, and [`Iommu::flush`] followed by
//! [`SecondLevel::reclaim`] where translations were taken away.

mod context;
mod dmar;
mod memory;
mod queue;
mod registers;
mod second_level;
#[cfg(test)]
mod tests;
mod unit;

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use hv_core::types::DomId;

use crate::pci::Sbdf;
use context::Contexts;
pub use context::DomainTag;
pub use dmar::{Dmar, ReservedMemory, Scope, ScopeKind, UnitEntry};
pub use memory::{OutOfFrames, TableMemory};
use queue::Forget;
pub use registers::{Cap, Ecap, Registers, window_bytes};
pub use second_level::{SecondLevel, Shape, Target};
use unit::Unit;
pub use unit::{Fault, UnitError};

/// The machine's units. It needs a lock around it.
#[derive(Debug)]
pub struct Iommu<R> {
    units: Vec<(u16, Unit<R>)>,
    /// By segment. Units of a segment share them: each reads only its own functions' entries.
    contexts: BTreeMap<u16, Contexts>,
    shape: Shape,
    domains: u32,
    caches_absent: bool,
}

impl<R: Registers> Iommu<R> {
    /// Prepares units, given by segment and registers; none is switched on.
    ///
    /// # Errors
    /// A unit can't walk tables of 3 or 4 levels that the others can, or there is no memory.
    pub fn new(
        memory: &impl TableMemory,
        units: impl IntoIterator<Item = (u16, R)>,
    ) -> Result<Self, UnitError> {
        let units: Vec<_> =
            units.into_iter().map(|(segment, registers)| (segment, Unit::new(registers))).collect();
        let caps = || units.iter().map(|(_, unit)| unit.cap());
        let all_have = |levels| caps().all(|cap| cap.has_levels(levels));
        let levels = match [4, 3].into_iter().find(|levels| all_have(*levels)) {
            Some(levels) => levels,
            None => return Err(UnitError::NoTables { cap: caps().next().unwrap_or(Cap(0)) }),
        };
        let shape = Shape {
            levels,
            has_2m: caps().all(|cap| cap.has_page_order(9)),
            has_1g: caps().all(|cap| cap.has_page_order(18)),
            coherent: units.iter().all(|(_, unit)| unit.ecap().is_coherent()),
        };
        let domains = caps().map(Cap::domains).min().unwrap_or(0);
        let caches_absent = caps().any(Cap::caches_absent);
        let mut contexts = BTreeMap::new();
        for (segment, _) in &units {
            if !contexts.contains_key(segment) {
                contexts.insert(*segment, Contexts::new(memory, shape.coherent)?);
            }
        }
        Ok(Self { units, contexts, shape, domains, caches_absent })
    }

    /// What tables every unit can walk: for [`SecondLevel::new`].
    pub const fn shape(&self) -> Shape {
        self.shape
    }

    /// The number that units know a domain by. `None` if they can't tell so many apart.
    pub const fn tag(&self, domain: DomId) -> Option<DomainTag> {
        DomainTag::new(domain.0, self.domains)
    }

    /// Whether [`Self::flush`] is needed after mappings were added, too.
    pub const fn caches_absent(&self) -> bool {
        self.caches_absent
    }

    /// Has the requests of a function translated by `tables`; `None` refuses them. If the unit
    /// is on, [`Self::flush_all`] makes it so.
    ///
    /// # Errors
    /// There is no memory for a table.
    pub fn attach(
        &self,
        memory: &impl TableMemory,
        function: Sbdf,
        tables: Option<(&SecondLevel, DomainTag)>,
    ) -> Result<(), OutOfFrames> {
        match self.contexts.get(&function.segment()) {
            Some(contexts) => contexts.set(memory, function.bus(), function.devfn(), tables),
            None => Ok(()),
        }
    }

    /// [`Self::attach`] for all functions of a bus: also those that only ever appear as senders,
    /// as bridges make them up.
    ///
    /// # Errors
    /// There is no memory for a table.
    pub fn attach_bus(
        &self,
        memory: &impl TableMemory,
        segment: u16,
        bus: u8,
        tables: Option<(&SecondLevel, DomainTag)>,
    ) -> Result<(), OutOfFrames> {
        for devfn in 0..=u8::MAX {
            self.attach(memory, Sbdf::from_devfn(segment, bus, devfn), tables)?;
        }
        Ok(())
    }

    /// Switches all units on. Requests of functions that weren't attached are refused.
    ///
    /// # Errors
    /// A unit doesn't work; those before it are on.
    pub fn enable(&mut self, memory: &impl TableMemory) -> Result<(), UnitError> {
        for (segment, unit) in &mut self.units {
            if let Some(contexts) = self.contexts.get(segment) {
                unit.enable(memory, contexts.root())?;
            }
        }
        Ok(())
    }

    /// Switches all units off: for a restart, or after an error.
    ///
    /// # Errors
    /// A unit doesn't work; the others are off.
    pub fn disable(&mut self, memory: &impl TableMemory) -> Result<(), UnitError> {
        let mut result = Ok(());
        for (_, unit) in &mut self.units {
            result = unit.disable(memory).and(result);
        }
        result
    }

    /// Returns once no device can use a translation of this domain that was cached before.
    ///
    /// # Errors
    /// A unit doesn't work.
    pub fn flush(&mut self, memory: &impl TableMemory, domain: DomainTag) -> Result<(), UnitError> {
        self.forget(memory, Forget::TranslationsOf(domain))
    }

    /// Returns once all units have forgotten everything: after [`Self::attach`].
    ///
    /// # Errors
    /// A unit doesn't work.
    pub fn flush_all(&mut self, memory: &impl TableMemory) -> Result<(), UnitError> {
        self.forget(memory, Forget::Contexts)?;
        self.forget(memory, Forget::Translations)
    }

    fn forget(&mut self, memory: &impl TableMemory, what: Forget) -> Result<(), UnitError> {
        for (_, unit) in &mut self.units {
            unit.forget(memory, what)?;
        }
        Ok(())
    }

    /// Takes the requests that were refused since the last call, each with its segment.
    pub fn faults(&self) -> Vec<(u16, Fault)> {
        self.units
            .iter()
            .flat_map(|(segment, unit)| unit.faults().into_iter().map(|fault| (*segment, fault)))
            .collect()
    }
}
