//! The register file of the local APIC: the memory page of xAPIC mode and the MSRs of x2APIC
//! mode. Both end in the same [`Vlapic::read`] and [`Vlapic::write`].

use hv_core::types::Nanos;

use super::regs::{self, Lvt, Reg};
use super::timer::Mode;
use super::{Effect, Vlapic};
use crate::fault::GpFault;

/// The first x2APIC MSR.
pub const X2APIC_FIRST: u32 = 0x800;
/// The last one.
pub const X2APIC_LAST: u32 = 0x8ff;

impl Vlapic {
    /// Reads from the register page, up to 8 bytes from `offset`. Registers are 32 bits wide
    /// and 16 bytes apart; what is between them reads as 0.
    pub fn mmio_read(&mut self, offset: u16, len: u8, now: impl FnOnce() -> Nanos) -> u64 {
        let reg = Reg(offset >> 4);
        let within = u32::from(offset & 0xf);
        if within >= 4 {
            return 0;
        }
        let value = match reg {
            Reg::ID => self.apic_id << 24,
            Reg::DFR => self.destination_format,
            Reg::ICR_HIGH => (self.icr >> 32) as u32,
            Reg::APR | Reg::RRD | Reg::EOI | Reg::SELF_IPI | Reg::LVT_CMCI => 0,
            _ => self.read(reg, now).unwrap_or_else(|| {
                self.raise_error(regs::ESR_ILLEGAL_REGISTER);
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
        match Reg(offset >> 4) {
            Reg::EOI => self.eoi().map_or(Effect::None, Effect::Eoi),
            Reg::ICR => {
                let low = value & regs::ICR_BITS;
                self.send(self.icr >> 32 << 32 | u64::from(low))
            }
            Reg::ICR_HIGH => {
                self.icr = u64::from(self.icr as u32) | u64::from(value & 0xff00_0000) << 32;
                Effect::None
            }
            Reg::LDR => {
                self.logical_id = value & 0xff00_0000;
                Effect::None
            }
            Reg::DFR => {
                self.destination_format = value | 0x0fff_ffff;
                Effect::None
            }
            Reg::ESR => self.latch_errors(),
            // Read-only registers, which the manual lets a write pass unnoticed.
            Reg::ID | Reg::VERSION | Reg::SELF_IPI | Reg::LVT_CMCI => Effect::None,
            reg => self.write(reg, value, now).unwrap_or_else(|| {
                self.raise_error(regs::ESR_ILLEGAL_REGISTER);
                Effect::None
            }),
        }
    }

    /// Reads an x2APIC MSR.
    ///
    /// # Errors
    /// The APIC is not in x2APIC mode, or there is no such register to read.
    pub fn msr_read(&mut self, msr: u32, now: impl FnOnce() -> Nanos) -> Result<u64, GpFault> {
        match self.x2apic_reg(msr)? {
            Reg::ID => Ok(u64::from(self.apic_id)),
            Reg::EOI | Reg::SELF_IPI => Err(GpFault),
            reg => self.read(reg, now).ok_or(GpFault),
        }
    }

    /// Writes an x2APIC MSR.
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
        let reg = self.x2apic_reg(msr)?;
        if reg == Reg::ICR {
            return self.send_x2apic(value);
        }
        let value = u32::try_from(value).map_err(|_| GpFault)?;
        match reg {
            Reg::EOI if value == 0 => Ok(self.eoi().map_or(Effect::None, Effect::Eoi)),
            Reg::SELF_IPI if value <= 0xff => Ok(self.send_self(value as u8)),
            Reg::ESR if value == 0 => Ok(self.latch_errors()),
            Reg::EOI | Reg::SELF_IPI | Reg::ESR => Err(GpFault),
            _ if value & !Self::x2apic_writable(reg) != 0 => Err(GpFault),
            _ => self.write(reg, value, now).ok_or(GpFault),
        }
    }

    fn x2apic_reg(&self, msr: u32) -> Result<Reg, GpFault> {
        let index = msr.wrapping_sub(X2APIC_FIRST);
        if !self.is_x2apic() || index > X2APIC_LAST.wrapping_sub(X2APIC_FIRST) {
            return Err(GpFault);
        }
        Ok(Reg(index as u16))
    }

    /// The bits that x2APIC mode lets a plain register take; others raise #GP.
    fn x2apic_writable(reg: Reg) -> u32 {
        match reg {
            Reg::TPR => 0xff,
            Reg::SVR => regs::SVR_BITS,
            Reg::TIMER_INITIAL => u32::MAX,
            Reg::TIMER_DIVIDE => 0xb,
            // Delivery status is read-only, but a write of what was read must work.
            _ => Lvt::writable(reg).map_or(0, |bits| bits | 1 << 12),
        }
    }

    /// The registers that both modes read alike.
    fn read(&self, reg: Reg, now: impl FnOnce() -> Nanos) -> Option<u64> {
        let value = match reg {
            Reg::VERSION => regs::VERSION,
            Reg::TPR => u32::from(self.tpr),
            Reg::PPR => u32::from(self.ppr()),
            Reg::LDR => self.logical_id,
            Reg::SVR => self.svr,
            Reg(0x10..=0x17) => Self::vector_word(&self.isr, reg),
            Reg(0x18..=0x1f) => Self::vector_word(&self.tmr, reg),
            Reg(0x20..=0x27) => Self::vector_word(&self.irr, reg),
            Reg::ESR => self.esr,
            Reg::ICR if self.is_x2apic() => return Some(self.icr),
            Reg::ICR => self.icr as u32,
            Reg::TIMER_INITIAL => self.timer.initial(),
            Reg::TIMER_CURRENT => self.timer.current(self.timer_mode(), now()),
            Reg::TIMER_DIVIDE => self.timer.divide(),
            _ => return self.lvt.get(reg).map(u64::from),
        };
        Some(u64::from(value))
    }

    /// The registers that both modes write alike.
    fn write(&mut self, reg: Reg, value: u32, now: impl FnOnce() -> Nanos) -> Option<Effect> {
        match reg {
            Reg::TPR => self.tpr = value as u8,
            Reg::SVR => {
                self.svr = value & regs::SVR_BITS;
                if !self.is_software_enabled() {
                    self.lvt.mask_all();
                }
            }
            Reg::TIMER_INITIAL => {
                if self.timer_mode() == Mode::TscDeadline {
                    return Some(Effect::None);
                }
                self.timer.load(value, now());
                return Some(Effect::Timer(self.deadline()));
            }
            Reg::TIMER_DIVIDE => {
                self.timer.set_divide(value, self.timer_mode(), now());
                return Some(Effect::Timer(self.deadline()));
            }
            _ => return self.write_lvt(reg, value),
        }
        Some(Effect::None)
    }

    fn write_lvt(&mut self, reg: Reg, value: u32) -> Option<Effect> {
        Lvt::writable(reg)?;
        let mode = self.timer_mode();
        let forced = if self.is_software_enabled() { 0 } else { regs::LVT_MASKED };
        self.lvt.set(reg, value | forced);
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
        self.esr_pending = 0;
        Effect::None
    }
}
