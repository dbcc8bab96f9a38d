//! Model-specific registers: which a guest reaches, which it is shown, which do nothing.
//!
//! [`MsrState::read`] and [`MsrState::write`] handle RDMSR and WRMSR exits. What lives elsewhere
//! (local APIC, control block) comes back as a [`Read`] or [`Write`] that says where.
//! [`MsrPolicy`] holds what depends on the kind of guest; it follows from its CPUID policy.

pub mod hypercall_page;
mod mtrr;
mod passthrough;

use hv_core::types::Gfn;
use x86defs::msr::{Efer, Msr, VmCr, is_valid_pat};
use xen_abi::arch_x86::cpuid::HYPERCALL_PAGE_MSR;

use crate::fault::GpFault;
pub use mtrr::Mtrrs;
pub use passthrough::{Access, SVM_MAP_BYTES, passed, svm_map};

/// HWCR: the TSC counts at the frequency of P-state 0. Linux complains without it.
const HWCR_TSC_FREQUENCY: u64 = 1 << 24;
/// DE_CFG: LFENCE serializes.
const DE_CFG_LFENCE: u64 = 1 << 1;
/// PRED_CMD: the indirect branch barrier.
const PRED_CMD_IBPB: u64 = 1 << 0;
/// MISC_ENABLE: fast strings; no branch trace, no event sampling.
const MISC_ENABLE: u64 = 1 | 1 << 11 | 1 << 12;
/// The registers of a local APIC in x2APIC mode.
const APIC_MSRS: core::ops::RangeInclusive<u32> = Msr::X2APIC_BASE.0..=Msr::X2APIC_LAST.0;

/// The instruction that makes a hypercall on this processor.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HypercallInstruction {
    /// AMD's.
    #[default]
    Vmmcall,
    /// Intel's.
    Vmcall,
}

/// What of the registers depends on the domain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsrPolicy {
    /// The guest's processor is Intel's, else AMD's.
    pub intel: bool,
    /// The guest's physical address width.
    pub physical_bits: u8,
    /// Bits of EFER that its features let it set.
    pub efer: Efer,
    /// TSC_ADJUST exists.
    pub tsc_adjust: bool,
    /// RDTSCP or RDPID, and thus TSC_AUX, exist.
    pub tsc_aux: bool,
    /// XSS exists. No supervisor states are offered: it can only be 0.
    pub xss: bool,
    /// SPEC_CTRL exists, and the hardware switches it by itself.
    pub spec_ctrl: bool,
    /// PRED_CMD exists.
    pub ibpb: bool,
    /// The microcode revision to show: the host's PATCH_LEVEL.
    pub patch_level: u64,
}

impl Default for MsrPolicy {
    fn default() -> Self {
        Self {
            intel: false,
            physical_bits: 36,
            efer: Efer::SCE | Efer::LME | Efer::LMA | Efer::NXE,
            tsc_adjust: false,
            tsc_aux: false,
            xss: false,
            spec_ctrl: false,
            ibpb: false,
            patch_level: 0,
        }
    }
}

/// Where the value of an MSR comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Read {
    /// Here it is.
    Value(u64),
    /// [`Vlapic::msr_read`](crate::vlapic::Vlapic::msr_read).
    LocalApic,
    /// The control block holds it.
    ControlBlock,
    /// EFER as the guest sees it.
    Efer,
    /// The guest's TSC.
    Tsc,
}

/// What the machine must do about a WRMSR that was not refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Write {
    /// Nothing.
    Done,
    /// [`Vlapic::msr_write`](crate::vlapic::Vlapic::msr_write).
    LocalApic,
    /// Put the value, which is valid, into the control block.
    ControlBlock,
    /// Write the value, which is valid, to the machine's register of the same number: a command
    /// that leaves no state behind.
    Hardware,
    /// Set the guest's EFER to this.
    Efer(Efer),
    /// Add this (modulo 2^64) to the guest's TSC.
    ShiftTsc(u64),
    /// Load TSC_AUX with this while the vCPU runs; [`MsrState::tsc_aux`] keeps it.
    TscAux(u32),
    /// Fill this guest frame with [`hypercall_page`].
    HypercallPage(Gfn),
}

/// The registers that only software knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MsrState {
    /// MTRRs.
    pub mtrrs: Mtrrs,
    /// TSC_ADJUST.
    pub tsc_adjust: u64,
    /// TSC_AUX.
    pub tsc_aux: u32,
}

/// The state of the vCPU that a write may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Context {
    /// EFER as the guest sees it.
    pub efer: Efer,
    /// CR0.PG is set.
    pub paging: bool,
}

impl MsrState {
    /// A vCPU's registers after reset, with these MTRRs.
    pub const fn new(mtrrs: Mtrrs) -> Self {
        Self { mtrrs, tsc_adjust: 0, tsc_aux: 0 }
    }

    /// RDMSR.
    ///
    /// # Errors
    /// The guest has no such register.
    pub fn read(&self, index: u32, policy: &MsrPolicy) -> Result<Read, GpFault> {
        if APIC_MSRS.contains(&index) {
            return Ok(Read::LocalApic);
        }
        let msr = Msr(index);
        let value = match msr {
            Msr::APIC_BASE | Msr::TSC_DEADLINE => return Ok(Read::LocalApic),
            Msr::EFER => return Ok(Read::Efer),
            Msr::TSC => return Ok(Read::Tsc),
            Msr::PAT => return Ok(Read::ControlBlock),
            Msr::SPEC_CTRL if policy.spec_ctrl => return Ok(Read::ControlBlock),
            _ if is_switched(msr) => return Ok(Read::ControlBlock),
            Msr::TSC_ADJUST if policy.tsc_adjust => self.tsc_adjust,
            Msr::TSC_AUX if policy.tsc_aux => u64::from(self.tsc_aux),
            Msr::XSS if policy.xss => 0,
            Msr(HYPERCALL_PAGE_MSR) => 0,
            Msr::PATCH_LEVEL => policy.patch_level,
            // No banks.
            Msr::MCG_CAP | Msr::MCG_STATUS => 0,
            _ if let Some(value) = self.mtrrs.read(msr) => value,
            _ if let Some(value) = constant(msr, policy.intel) => value,
            _ => return Err(GpFault),
        };
        Ok(Read::Value(value))
    }

    /// WRMSR. `tsc` gives the guest's TSC now.
    ///
    /// # Errors
    /// The guest has no such register, or it does not take this value.
    pub fn write(
        &mut self,
        index: u32,
        value: u64,
        policy: &MsrPolicy,
        context: Context,
        tsc: impl FnOnce() -> u64,
    ) -> Result<Write, GpFault> {
        if APIC_MSRS.contains(&index) {
            return Ok(Write::LocalApic);
        }
        let msr = Msr(index);
        match msr {
            Msr::APIC_BASE | Msr::TSC_DEADLINE => Ok(Write::LocalApic),
            Msr::EFER => write_efer(Efer(value), policy, context).map(Write::Efer),
            Msr::TSC => Ok(self.shift_tsc(value.wrapping_sub(tsc()))),
            Msr::TSC_ADJUST if policy.tsc_adjust => {
                Ok(self.shift_tsc(value.wrapping_sub(self.tsc_adjust)))
            }
            Msr::TSC_AUX if policy.tsc_aux => {
                self.tsc_aux = u32::try_from(value).map_err(|_| GpFault)?;
                Ok(Write::TscAux(self.tsc_aux))
            }
            Msr::PAT if is_valid_pat(value) => Ok(Write::ControlBlock),
            Msr::SPEC_CTRL if policy.spec_ctrl => Ok(Write::ControlBlock),
            // Where the permission map lets it through, this is not reached.
            Msr::PRED_CMD if policy.ibpb && value == PRED_CMD_IBPB => Ok(Write::Hardware),
            _ if is_switched(msr) => Ok(Write::ControlBlock),
            Msr::XSS if policy.xss && value == 0 => Ok(Write::Done),
            // The page's index among the hypercall pages, of which there is one, is in the
            // low bits.
            Msr(HYPERCALL_PAGE_MSR) if value & 0xfff == 0 => {
                Ok(Write::HypercallPage(Gfn(value >> 12)))
            }
            Msr::MCG_STATUS => Ok(Write::Done),
            Msr::MCG_CAP | Msr::PAT | Msr::XSS | Msr(HYPERCALL_PAGE_MSR) => Err(GpFault),
            _ => match self.mtrrs.write(msr, value, policy.physical_bits) {
                Some(result) => result.map(|()| Write::Done),
                None if ignores_writes(msr, policy.intel) => Ok(Write::Done),
                None => Err(GpFault),
            },
        }
    }

    const fn shift_tsc(&mut self, by: u64) -> Write {
        self.tsc_adjust = self.tsc_adjust.wrapping_add(by);
        Write::ShiftTsc(by)
    }
}

/// What the processor switches with the control block, and hardly ever exits for.
const fn is_switched(msr: Msr) -> bool {
    matches!(msr.0, 0x174..=0x176 | 0xc000_0081..=0xc000_0084 | 0xc000_0100..=0xc000_0102)
}

fn write_efer(new: Efer, policy: &MsrPolicy, context: Context) -> Result<Efer, GpFault> {
    let changed = Efer(new.0 ^ context.efer.0);
    if !policy.efer.contains(new) || context.paging && changed.contains(Efer::LME) {
        return Err(GpFault);
    }
    // LMA follows LME and paging; what is written to it is ignored.
    Ok(Efer(new.0 & !Efer::LMA.0 | context.efer.0 & Efer::LMA.0))
}

/// Registers whose value never changes, most of them because what they control is not there.
const fn constant(msr: Msr, intel: bool) -> Option<u64> {
    let value = match msr {
        Msr::HWCR => HWCR_TSC_FREQUENCY,
        Msr::DE_CFG => DE_CFG_LFENCE,
        Msr::VM_CR => VmCr::LOCK.bits() | VmCr::SVMDIS.bits(),
        Msr::MISC_ENABLE => MISC_ENABLE,
        // Locked, with VMX off.
        Msr::FEATURE_CONTROL => 1,
        Msr::PLATFORM_ID | Msr::EBL_CR_POWERON | Msr::DEBUGCTL => 0,
        Msr(0x1db..=0x1de) => 0,
        _ if is_nothing(msr) => 0,
        _ => return None,
    };
    if is_of_vendor(msr, intel) { Some(value) } else { None }
}

const fn ignores_writes(msr: Msr, intel: bool) -> bool {
    let ignored = match msr {
        Msr::HWCR | Msr::DE_CFG | Msr::DEBUGCTL | Msr::PATCH_LOADER => true,
        Msr::MISC_ENABLE | Msr::BIOS_UPDT_TRIG | Msr::PATCH_LEVEL => true,
        _ => is_nothing(msr),
    };
    ignored && is_of_vendor(msr, intel)
}

/// Registers that read as 0 and take any value: AMD's, which kernels access without asking
/// CPUID first.
const fn is_nothing(msr: Msr) -> bool {
    match msr {
        Msr::SYSCFG | Msr::NB_CFG | Msr::INT_PENDING | Msr::MMIO_CFG_BASE => true,
        Msr::TOP_MEM | Msr::TOP_MEM2 | Msr::OSVW_ID_LENGTH | Msr::OSVW_STATUS => true,
        Msr::LS_CFG | Msr::IC_CFG | Msr::DC_CFG | Msr::BU_CFG | Msr::FP_CFG => true,
        Msr::BU_CFG2 | Msr::CU_CFG3 => true,
        // Legacy and core performance counters, I/O ranges, P-states, sampling.
        Msr(0xc001_0000..=0xc001_0007 | 0xc001_0200..=0xc001_020b) => true,
        Msr(0xc001_0016..=0xc001_0019 | 0xc001_0061..=0xc001_006b) => true,
        Msr(0xc001_1030..=0xc001_103d) => true,
        _ => false,
    }
}

const fn is_of_vendor(msr: Msr, intel: bool) -> bool {
    match msr {
        Msr(0xc001_0000..=0xc001_ffff) => !intel,
        Msr::MISC_ENABLE | Msr::FEATURE_CONTROL | Msr::PLATFORM_ID | Msr::EBL_CR_POWERON => intel,
        _ => true,
    }
}

#[cfg(test)]
mod tests;
