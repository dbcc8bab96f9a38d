//! One remapping unit: taking it over from firmware, switching it on, making it forget, asking
//! what went wrong.
//!
//! Source: Intel VT-d specification 4.1, chapter 6 and 11.4.

use alloc::vec::Vec;
use core::fmt;

use hv_core::types::{FRAME_SHIFT, Gpa, Mfn};

use super::memory::{OutOfFrames, TableMemory};
use super::queue::{Forget, Queue};
use super::registers::{
    CAP, CONTEXT_COMMAND, CONTEXT_GLOBAL, CONTEXT_INVALIDATE, Cap, ECAP, Ecap, FAULT_CONTROL,
    FAULT_MASK, FAULT_OVERFLOW, FAULT_PENDING, FAULT_STATUS, FAULT_STATUS_BITS, FLUSH_WRITE_BUFFER,
    GLOBAL_COMMAND, GLOBAL_STATUS, INTERRUPT_REMAPPING, IOTLB_DOMAIN, IOTLB_DRAIN, IOTLB_GLOBAL,
    IOTLB_INVALIDATE, LASTING, PROTECT, PROTECTED, PROTECTED_MEMORY, QUEUED_INVALIDATION,
    RECORD_FILLED, RECORD_READ, ROOT_TABLE, Registers, SET_ROOT_TABLE, TRANSLATION,
};

/// How often a register is read before its unit is given up: about a second.
pub(super) const SPINS: u32 = 1_000_000;

/// Why a unit can't be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnitError {
    /// It walks no tables that are known here.
    NoTables {
        /// Its capabilities.
        cap: Cap,
    },
    /// It doesn't do what it is told.
    Stuck {
        /// What it was told.
        what: &'static str,
    },
    /// It rejects what is in its invalidation queue.
    QueueStopped,
    /// There is no memory for tables.
    OutOfFrames,
}

impl From<OutOfFrames> for UnitError {
    fn from(OutOfFrames: OutOfFrames) -> Self {
        Self::OutOfFrames
    }
}

impl fmt::Display for UnitError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoTables { cap } => write!(
                f,
                "IOMMU walks tables of neither 3 nor 4 levels (capabilities {:#x}); boot with \
                 iommu=off",
                cap.0
            ),
            Self::Stuck { what } => write!(
                f,
                "IOMMU doesn't complete: {what}; update the firmware or boot with iommu=off"
            ),
            Self::QueueStopped => write!(
                f,
                "IOMMU rejects its invalidation queue; update the firmware or boot with iommu=off"
            ),
            Self::OutOfFrames => {
                write!(f, "no memory is left for the IOMMU's tables; give dom0 less memory")
            }
        }
    }
}

impl core::error::Error for UnitError {}

/// A request that a unit refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Bus, device and function of the sender.
    pub requester: u16,
    /// The address, rounded down to its page.
    pub address: Gpa,
    /// Whether it was to be written.
    pub write: bool,
    /// The specification's number for why (7.3).
    pub reason: u8,
}

/// A unit.
#[derive(Debug)]
pub(super) struct Unit<R> {
    registers: R,
    cap: Cap,
    ecap: Ecap,
    queue: Option<Queue>,
}

impl<R: Registers> Unit<R> {
    pub(super) fn new(registers: R) -> Self {
        let (cap, ecap) = (Cap(registers.read64(CAP)), Ecap(registers.read64(ECAP)));
        Self { registers, cap, ecap, queue: None }
    }

    pub(super) const fn cap(&self) -> Cap {
        self.cap
    }

    pub(super) const fn ecap(&self) -> Ecap {
        self.ecap
    }

    /// Switches on all that firmware may have left on, off.
    fn quiesce(&mut self, memory: &impl TableMemory) -> Result<(), UnitError> {
        // Interrupt remapping needs the queue, so it goes first.
        self.switch(TRANSLATION, false, "switching translation off")?;
        self.switch(INTERRUPT_REMAPPING, false, "switching interrupt remapping off")?;
        self.switch(QUEUED_INVALIDATION, false, "switching queued invalidation off")?;
        if let Some(queue) = self.queue.take() {
            queue.destroy(memory);
        }
        Ok(())
    }

    /// Has all requests translated by the tables at `root`.
    pub(super) fn enable(&mut self, memory: &impl TableMemory, root: Mfn) -> Result<(), UnitError> {
        self.quiesce(memory)?;
        // Faults are asked for, not signalled.
        self.registers.write32(FAULT_CONTROL, FAULT_MASK);
        self.faults();
        self.registers.write32(FAULT_STATUS, FAULT_STATUS_BITS);
        self.flush_write_buffer()?;

        self.registers.write64(ROOT_TABLE, root.0 << FRAME_SHIFT);
        self.command(SET_ROOT_TABLE, true);
        self.await_status(SET_ROOT_TABLE, true, "setting the root table")?;

        if self.ecap.has_queue() {
            let queue = Queue::new(memory, &self.registers, self.ecap.is_coherent())?;
            self.queue = Some(queue);
            self.switch(QUEUED_INVALIDATION, true, "switching queued invalidation on")?;
        }
        self.forget(memory, Forget::Contexts)?;
        self.forget(memory, Forget::Translations)?;
        self.switch(TRANSLATION, true, "switching translation on")?;
        self.release_protected_memory()
    }

    /// Lets requests pass untranslated, as before [`Self::enable`].
    pub(super) fn disable(&mut self, memory: &impl TableMemory) -> Result<(), UnitError> {
        self.quiesce(memory)
    }

    /// Returns once nothing is used any more that was cached before.
    pub(super) fn forget(
        &mut self,
        memory: &impl TableMemory,
        what: Forget,
    ) -> Result<(), UnitError> {
        self.flush_write_buffer()?;
        if let Some(queue) = &mut self.queue {
            return queue.forget(memory, &self.registers, what);
        }
        let iotlb = self.ecap.iotlb_offset().wrapping_add(8);
        let (register, command, what) = match what {
            Forget::Contexts => (CONTEXT_COMMAND, CONTEXT_GLOBAL, "context invalidation"),
            Forget::Translations => (iotlb, IOTLB_GLOBAL | IOTLB_DRAIN, "IOTLB invalidation"),
            Forget::TranslationsOf(tag) => {
                let command = IOTLB_DOMAIN | IOTLB_DRAIN | tag.number() << 32;
                (iotlb, command, "IOTLB invalidation")
            }
        };
        // Both registers have their "now" bit at the top.
        const NOW: u64 = CONTEXT_INVALIDATE & IOTLB_INVALIDATE;
        self.registers.write64(register, command | NOW);
        spin(what, || self.registers.read64(register) & NOW == 0)
    }

    fn flush_write_buffer(&self) -> Result<(), UnitError> {
        if !self.cap.needs_write_buffer_flush() {
            return Ok(());
        }
        self.command(FLUSH_WRITE_BUFFER, true);
        self.await_status(FLUSH_WRITE_BUFFER, false, "flushing the write buffer")
    }

    fn release_protected_memory(&self) -> Result<(), UnitError> {
        if !self.cap.has_protected_memory() {
            return Ok(());
        }
        let value = self.registers.read32(PROTECTED_MEMORY);
        if value & (PROTECT | PROTECTED) == 0 {
            return Ok(());
        }
        self.registers.write32(PROTECTED_MEMORY, value & !PROTECT);
        spin("releasing protected memory", || {
            self.registers.read32(PROTECTED_MEMORY) & PROTECTED == 0
        })
    }

    /// Brings a lasting state about.
    fn switch(&self, bit: u32, on: bool, what: &'static str) -> Result<(), UnitError> {
        if (self.registers.read32(GLOBAL_STATUS) & bit != 0) == on {
            return Ok(());
        }
        self.command(bit, on);
        self.await_status(bit, on, what)
    }

    /// Gives a command, repeating all lasting states.
    fn command(&self, bit: u32, on: bool) {
        let lasting = self.registers.read32(GLOBAL_STATUS) & LASTING;
        let command = if on { lasting | bit } else { lasting & !bit };
        self.registers.write32(GLOBAL_COMMAND, command);
    }

    fn await_status(&self, bit: u32, on: bool, what: &'static str) -> Result<(), UnitError> {
        spin(what, || (self.registers.read32(GLOBAL_STATUS) & bit != 0) == on)
    }

    /// Takes the faults that were recorded. If there were more than records, the rest is lost.
    pub(super) fn faults(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if self.registers.read32(FAULT_STATUS) & (FAULT_PENDING | FAULT_OVERFLOW) == 0 {
            return faults;
        }
        for index in 0..self.cap.fault_record_count() {
            let record = self.cap.fault_records().wrapping_add(index << 4);
            let high = self.registers.read64(record.wrapping_add(8));
            if high & RECORD_FILLED == 0 {
                continue;
            }
            faults.push(Fault {
                requester: high as u16,
                address: Gpa(self.registers.read64(record) & !0xFFF),
                write: high & RECORD_READ == 0,
                reason: (high >> 32) as u8,
            });
            // Only the topmost bit can be written; writing one clears it.
            let top = record.wrapping_add(12);
            self.registers.write32(top, (RECORD_FILLED >> 32) as u32);
        }
        self.registers.write32(FAULT_STATUS, FAULT_OVERFLOW);
        faults
    }
}

/// Waits until `done`, but not for ever.
fn spin(what: &'static str, done: impl Fn() -> bool) -> Result<(), UnitError> {
    for _ in 0..SPINS {
        if done() {
            return Ok(());
        }
        core::hint::spin_loop();
    }
    Err(UnitError::Stuck { what })
}
