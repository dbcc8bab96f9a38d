//! The register file of the local APIC: the memory page of xAPIC mode and the MSRs of x2APIC
//! mode. Both end in the same [`Vlapic::read`] and [`Vlapic::write`].

use hv_core::types::Nanos;
use x86defs::apic::{DFR_CLUSTER, Esr, Lvt, Register};
use x86defs::msr::Msr;

use super::regs::{self, LvtTable};
use super::timer::Mode;
use super::{Effect, Vlapic};
use crate::fault::GpFault;

impl Vlapic {
    /// Reads from the register page, up to 8 bytes from `offset`. Registers are 32 bits wide
    /// and 16 bytes apart; what is between them reads as 0.
    pub fn mmio_read(&mut self, offset: u16, len: u8, now: impl FnOnce() -> Nanos) -> u64 {
        let register = Register(offset & !0xf);
        let within = u32::from(offset & 0xf);
        if within >= 4 {
            return 0;
        }
        let value = match register {
            Register::ID => self.apic_id << 24,
            Register::DFR => self.destination_format,
            Register::ICR_HIGH => (self.icr >> 32) as u32,
            Register::APR
            | Register::RRD
            | Register::EOI
            | Register::SELF_IPI
            | Register::LVT_CMCI => 0,
            _ => self.read(register, now).unwrap_or_else(|| {
                self.raise_error(Esr::REGISTER);
                0
            }) as u32,
        };
        let bits = u32::from(len).wrapping_mul(8);
        let mask = 1u64.checked_shl(bits).map_or(u64::MAX, |above| above.wrapping_sub(1));
        u64::from(value) >> (within.wrapping_mul(8) & 31) & mask
    }

    /// Writes to the register page. As on hardware only a 32-bit write to a register's first
    /// byte is one; an 8-byte write counts by its lower half.
    pub fn mmio_write(
        &mut self,
        offset: u16,
        len: u8,
        value: u64,
        now: impl FnOnce() -> Nanos,
    ) -> Effect {
        if offset & 0xf != 0 || len < 4 {
            return Effect::None;
        }
        let value = value as u32;
        match Register(offset & !0xf) {
            Register::EOI => self.eoi().map_or(Effect::None, Effect::Eoi),
            Register::ICR_LOW => {
                let low = value & regs::ICR_BITS;
                self.send(self.icr >> 32 << 32 | u64::from(low))
            }
            Register::ICR_HIGH => {
                self.icr = u64::from(self.icr as u32) | u64::from(value & 0xff00_0000) << 32;
                Effect::None
            }
            Register::LDR => {
                self.logical_id = value & 0xff00_0000;
                Effect::None
            }
            Register::DFR => {
                self.destination_format = value | DFR_CLUSTER;
                Effect::None
            }
            Register::ESR => self.latch_errors(),
            // Read-only registers, which the manual lets a write pass unnoticed.
            Register::ID | Register::VERSION | Register::SELF_IPI | Register::LVT_CMCI => {
                Effect::None
            }
            register => self.write(register, value, now).unwrap_or_else(|| {
                self.raise_error(Esr::REGISTER);
                Effect::None
            }),
        }
    }

    /// Reads an x2APIC MSR, APIC_BASE or TSC_DEADLINE.
    ///
    /// # Errors
    /// The APIC is not in x2APIC mode, or there is no such register to read.
    pub fn msr_read(&self, msr: u32, now: impl FnOnce() -> Nanos) -> Result<u64, GpFault> {
        match Msr(msr) {
            Msr::APIC_BASE => return Ok(self.apic_base()),
            Msr::TSC_DEADLINE => return Ok(self.tsc_deadline()),
            _ => {}
        }
        match self.x2apic_reg(msr)? {
            Register::ID => Ok(u64::from(self.apic_id)),
            Register::EOI | Register::SELF_IPI => Err(GpFault),
            register => self.read(register, now).ok_or(GpFault),
        }
    }

    /// Writes an x2APIC MSR, APIC_BASE or TSC_DEADLINE.
    ///
    /// # Errors
    /// The APIC is not in x2APIC mode, there is no such register to write, or a reserved bit
    /// is set.
    pub fn msr_write(
        &mut self,
        msr: u32,
        value: u64,
        now: impl FnOnce() -> Nanos,
    ) -> Result<Effect, GpFault> {
        let register = match Msr(msr) {
            Msr::APIC_BASE => return self.set_apic_base(value),
            Msr::TSC_DEADLINE => return Ok(self.set_tsc_deadline(value)),
            _ => self.x2apic_reg(msr)?,
        };
        if register == Register::ICR_LOW {
            return self.send_x2apic(value);
        }
        let value = u32::try_from(value).map_err(|_| GpFault)?;
        match register {
            Register::EOI if value == 0 => Ok(self.eoi().map_or(Effect::None, Effect::Eoi)),
            Register::SELF_IPI if value <= 0xff => Ok(self.send_self(value as u8)),
            Register::ESR if value == 0 => Ok(self.latch_errors()),
            Register::EOI | Register::SELF_IPI | Register::ESR => Err(GpFault),
            _ if value & !Self::x2apic_writable(register) != 0 => Err(GpFault),
            _ => self.write(register, value, now).ok_or(GpFault),
        }
    }

    fn x2apic_reg(&self, msr: u32) -> Result<Register, GpFault> {
        let register = Register::from_x2apic_msr(msr).filter(|_| self.is_x2apic());
        register.ok_or(GpFault)
    }

    /// The bits that x2APIC mode lets a plain register take; others raise #GP.
    fn x2apic_writable(register: Register) -> u32 {
        match register {
            Register::TPR => 0xff,
            Register::SVR => regs::SVR_BITS,
            Register::TIMER_INITIAL => u32::MAX,
            Register::TIMER_DIVIDE => regs::DIVIDE_BITS,
            // Delivery status is read-only, but a write of what was read must work.
            _ => LvtTable::writable(register).map_or(0, |bits| bits | Lvt::PENDING.bits()),
        }
    }

    /// The registers that both modes read alike.
    fn read(&self, register: Register, now: impl FnOnce() -> Nanos) -> Option<u64> {
        let value = match register {
            Register::VERSION => regs::VERSION,
            Register::TPR => u32::from(self.tpr),
            Register::PPR => u32::from(self.ppr()),
            Register::LDR => self.logical_id,
            Register::SVR => self.svr,
            Register(0x100..=0x170) => Self::vector_word(&self.isr, register),
            Register(0x180..=0x1f0) => Self::vector_word(&self.tmr, register),
            Register(0x200..=0x270) => Self::vector_word(&self.irr, register),
            Register::ESR => self.esr.bits(),
            Register::ICR_LOW if self.is_x2apic() => return Some(self.icr),
            Register::ICR_LOW => self.icr as u32,
            Register::TIMER_INITIAL => self.timer.initial(),
            Register::TIMER_CURRENT => self.timer.current(self.timer_mode(), now()),
            Register::TIMER_DIVIDE => self.timer.divide(),
            _ => return self.lvt.get(register).map(|entry| entry.bits().into()),
        };
        Some(u64::from(value))
    }

    /// The registers that both modes write alike.
    fn write(
        &mut self,
        register: Register,
        value: u32,
        now: impl FnOnce() -> Nanos,
    ) -> Option<Effect> {
        match register {
            Register::TPR => self.tpr = value as u8,
            Register::SVR => {
                self.svr = value & regs::SVR_BITS;
                if !self.is_software_enabled() {
                    self.lvt.mask_all();
                }
            }
            Register::TIMER_INITIAL => {
                if self.timer_mode() == Mode::TscDeadline {
                    return Some(Effect::None);
                }
                self.timer.load(value, now());
                return Some(Effect::Timer(self.deadline()));
            }
            Register::TIMER_DIVIDE => {
                self.timer.set_divide(value, self.timer_mode(), now());
                return Some(Effect::Timer(self.deadline()));
            }
            _ => return self.write_lvt(register, value),
        }
        Some(Effect::None)
    }

    fn write_lvt(&mut self, register: Register, value: u32) -> Option<Effect> {
        LvtTable::writable(register)?;
        let mode = self.timer_mode();
        let forced = if self.is_software_enabled() { 0 } else { Lvt::MASKED.bits() };
        self.lvt.set(register, value | forced);
        if self.timer_mode() == mode {
            return Some(Effect::None);
        }
        if (mode == Mode::TscDeadline) != (self.timer_mode() == Mode::TscDeadline) {
            self.timer.stop();
        }
        Some(Effect::Timer(self.deadline()))
    }

    const fn latch_errors(&mut self) -> Effect {
        self.esr = self.esr_pending;
        self.esr_pending = Esr(0);
        Effect::None
    }
}
