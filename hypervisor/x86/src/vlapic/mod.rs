//! The virtual local APIC, in xAPIC and x2APIC mode.
//!
//! [`Vlapic`] is the state machine: registers in, [`Effect`]s out. [`SharedVlapic`] is what a
//! vCPU owns: the state behind a lock that in practice only its own pCPU takes, and beside it
//! what the others need without a lock (posting a vector, asking for its identity).
//!
//! Neighbours: [`interrupt`](crate::interrupt) routes the messages that come out of here;
//! [`vioapic`](crate::vioapic) is told of the EOIs.

mod access;
mod ipi;
mod regs;
mod save;
mod shared;
#[cfg(test)]
mod tests;
pub mod timer;
mod vectors;

use hv_core::types::{Gpa, Nanos};

use x86defs::apic::{DFR_FLAT, Esr, FIRST_VECTOR, Lvt, Register, Svr, x2apic_ldr};
use x86defs::msr::ApicBase;

use crate::fault::GpFault;
use crate::interrupt::{Identity, Message};
use regs::LvtTable;
pub use shared::SharedVlapic;
use timer::{Deadline, Mode, Timer};
pub use vectors::{Posted, VectorSet};

/// What the machine must do about a register write. The state is already up to date.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing.
    None,
    /// A level-triggered interrupt with this vector ended: tell the IO-APICs.
    Eoi(u8),
    /// Send this message, with this vCPU as the sender.
    Ipi(Message),
    /// The timer changed: replace its deadline.
    Timer(Option<Deadline>),
}

/// One vCPU's local APIC.
#[derive(Clone, Debug)]
pub struct Vlapic {
    apic_id: u32,
    base: ApicBase,
    tpr: u8,
    logical_id: u32,
    destination_format: u32,
    svr: u32,
    isr: VectorSet,
    tmr: VectorSet,
    irr: VectorSet,
    /// Errors that were latched by a write to ESR, and those since.
    esr: Esr,
    esr_pending: Esr,
    icr: u64,
    lvt: LvtTable,
    timer: Timer,
}

impl Vlapic {
    /// A local APIC after reset. `x2apic` starts it in x2APIC mode, as firmware may have.
    pub fn new(apic_id: u32, bsp: bool, x2apic: bool) -> Self {
        let mut base = ApicBase(ApicBase::DEFAULT_ADDRESS) | ApicBase::ENABLE;
        base.set(ApicBase::BSP, bsp);
        base.set(ApicBase::X2APIC, x2apic);
        let mut lapic = Self {
            apic_id,
            base,
            tpr: 0,
            logical_id: 0,
            destination_format: 0,
            svr: 0,
            isr: VectorSet::default(),
            tmr: VectorSet::default(),
            irr: VectorSet::default(),
            esr: Esr(0),
            esr_pending: Esr(0),
            icr: 0,
            lvt: LvtTable::RESET,
            timer: Timer::default(),
        };
        lapic.reset();
        lapic
    }

    /// What an INIT does: all registers but APIC_BASE and the id take their reset values.
    /// The caller disarms the timer and drops what was posted.
    pub fn reset(&mut self) {
        self.tpr = 0;
        self.logical_id = if self.is_x2apic() { x2apic_ldr(self.apic_id) } else { 0 };
        self.destination_format = DFR_FLAT;
        self.svr = 0xff;
        (self.isr, self.tmr, self.irr) = Default::default();
        (self.esr, self.esr_pending, self.icr) = Default::default();
        self.lvt = LvtTable::RESET;
        self.timer = Timer::default();
    }

    /// The local APIC id.
    pub const fn apic_id(&self) -> u32 {
        self.apic_id
    }

    /// The APIC_BASE MSR.
    pub const fn apic_base(&self) -> u64 {
        self.base.0
    }

    /// Whether the APIC is in x2APIC mode.
    pub const fn is_x2apic(&self) -> bool {
        self.base.contains(ApicBase::X2APIC)
    }

    /// Whether APIC_BASE enables the APIC.
    pub const fn is_enabled(&self) -> bool {
        self.base.contains(ApicBase::ENABLE)
    }

    const fn is_software_enabled(&self) -> bool {
        Svr(self.svr).contains(Svr::ENABLE)
    }

    /// Where the registers are in memory: only in xAPIC mode.
    pub const fn mmio_base(&self) -> Option<Gpa> {
        if self.is_enabled() && !self.is_x2apic() { Some(Gpa(self.base.address())) } else { None }
    }

    /// Writes APIC_BASE. Of the mode changes only those of the manual are allowed: disabled to
    /// xAPIC to x2APIC, and from both to disabled, which resets the APIC.
    ///
    /// # Errors
    /// A reserved bit, or another mode change. Nothing has changed then.
    pub fn set_apic_base(&mut self, value: u64) -> Result<Effect, GpFault> {
        let flags = ApicBase::BSP | ApicBase::X2APIC | ApicBase::ENABLE;
        if value & !(flags.bits() | ApicBase::ADDRESS_MASK) != 0 {
            return Err(GpFault);
        }
        let value = ApicBase(value);
        let mode =
            |base: ApicBase| (base.contains(ApicBase::ENABLE), base.contains(ApicBase::X2APIC));
        match (mode(self.base), mode(value)) {
            (_, (false, true)) | ((false, _), (true, true)) | ((true, true), (true, false)) => {
                Err(GpFault)
            }
            ((true, _), (false, false)) => {
                self.base = value;
                self.reset();
                Ok(Effect::Timer(None))
            }
            ((true, false), (true, true)) => {
                self.base = value;
                self.logical_id = x2apic_ldr(self.apic_id);
                self.icr = u64::from(self.icr as u32);
                Ok(Effect::None)
            }
            _ => {
                self.base = value;
                Ok(Effect::None)
            }
        }
    }

    /// What routing must know of this APIC.
    pub const fn identity(&self) -> Identity {
        let mut flags = 0;
        if self.is_enabled() {
            flags |= Identity::ENABLED;
        }
        if self.is_software_enabled() {
            flags |= Identity::ACCEPTS_VECTORS;
        }
        if self.is_x2apic() {
            flags |= Identity::X2APIC;
        }
        if self.destination_format >> 28 != 0xf {
            flags |= Identity::CLUSTER;
        }
        Identity::new(self.apic_id, self.logical_id, flags)
    }

    /// Makes `vector` pending, as an interrupt that arrives.
    pub fn set_irr(&mut self, vector: u8, level: bool) {
        if u32::from(vector) < FIRST_VECTOR {
            self.raise_error(Esr::RECEIVE_VECTOR);
            return;
        }
        self.irr.insert(vector);
        if level {
            self.tmr.insert(vector);
        } else {
            self.tmr.remove(vector);
        }
    }

    /// Whether any vector is pending, whatever its priority.
    pub fn has_pending(&self) -> bool {
        !self.irr.is_empty()
    }

    /// The highest vector that waits to be taken, whatever the priority of what runs now.
    pub fn highest_pending(&self) -> Option<u8> {
        if self.is_enabled() && self.is_software_enabled() { self.irr.highest() } else { None }
    }

    /// The vector to inject now if the vCPU takes interrupts: pending and above the processor
    /// priority.
    pub fn highest_deliverable(&self) -> Option<u8> {
        self.highest_pending().filter(|vector| vector & 0xf0 > self.ppr() & 0xf0)
    }

    /// Whether `vector` could be injected now, were it pending and the vCPU took interrupts.
    pub fn would_deliver(&self, vector: u8) -> bool {
        self.is_enabled() && self.is_software_enabled() && vector & 0xf0 > self.ppr() & 0xf0
    }

    /// Moves a vector from pending to in service: it is being injected.
    pub fn ack(&mut self, vector: u8) {
        self.irr.remove(vector);
        self.isr.insert(vector);
    }

    /// Ends the interrupt of highest priority. Gives its vector if it is level-triggered: the
    /// IO-APICs must hear of it.
    pub fn eoi(&mut self) -> Option<u8> {
        let vector = self.isr.highest()?;
        self.isr.remove(vector);
        self.tmr.contains(vector).then_some(vector)
    }

    /// The processor priority: the higher of the task's and that of the interrupt in service.
    pub fn ppr(&self) -> u8 {
        let served = self.isr.highest().unwrap_or(0) & 0xf0;
        if self.tpr & 0xf0 >= served { self.tpr } else { served }
    }

    /// CR8: the task priority's upper half.
    pub const fn cr8(&self) -> u8 {
        self.tpr >> 4
    }

    /// Sets the task priority by CR8.
    pub const fn set_cr8(&mut self, value: u8) {
        self.tpr = value << 4;
    }

    /// When the timer has to be looked at next.
    pub fn deadline(&self) -> Option<Deadline> {
        self.timer.deadline(self.timer_mode())
    }

    /// Looks at the timer: fires it if it is due. Gives its next deadline. `tsc` is the guest's.
    pub fn expire_timer(&mut self, now: Nanos, tsc: u64) -> Option<Deadline> {
        if self.timer.expire(self.timer_mode(), now, tsc) {
            self.raise_local(self.lvt.timer());
        }
        self.deadline()
    }

    /// The TSC-deadline MSR.
    pub fn tsc_deadline(&self) -> u64 {
        self.timer.tsc_deadline()
    }

    /// Writes the TSC-deadline MSR, which does nothing in the timer's other modes.
    pub fn set_tsc_deadline(&mut self, value: u64) -> Effect {
        if self.timer_mode() != Mode::TscDeadline || !self.is_enabled() {
            return Effect::None;
        }
        self.timer.set_tsc_deadline(value);
        Effect::Timer(self.deadline())
    }

    const fn timer_mode(&self) -> Mode {
        Mode::from_lvt(self.lvt.timer())
    }

    /// Makes a local interrupt pending that has no delivery mode (timer, error).
    fn raise_local(&mut self, lvt: Lvt) {
        if !lvt.contains(Lvt::MASKED) {
            self.set_irr(lvt.vector(), false);
        }
    }

    /// Records an error and raises the error interrupt.
    fn raise_error(&mut self, error: Esr) {
        let new = !self.esr_pending.contains(error);
        self.esr_pending |= error;
        let lvt = self.lvt.error();
        // An error entry with an illegal vector must not raise an error about itself.
        if new && u32::from(lvt.vector()) >= FIRST_VECTOR {
            self.raise_local(lvt);
        }
    }

    /// Takes in what other pCPUs posted.
    pub(crate) fn take_posted(&mut self, posted: &Posted) {
        posted.take(&mut self.irr, &mut self.tmr);
        let illegal = self.irr.word(0) & 0xffff;
        if illegal != 0 {
            (0..16).for_each(|vector| self.irr.remove(vector));
            self.raise_error(Esr::RECEIVE_VECTOR);
        }
    }

    fn vector_word(set: &VectorSet, register: Register) -> u32 {
        set.word(usize::from(register.0 >> 4 & 7))
    }
}
