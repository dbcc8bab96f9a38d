//! SVM on a pCPU: switching it on, and its address space ids.
#![expect(unsafe_code, reason = "EFER.SVME and VMSAVE")]

use core::arch::asm;
use core::arch::x86_64::__cpuid;

use hv_core::types::Hpa;
use x86defs::msr::Msr;
use x86defs::vmcb::Vmcb;

use crate::arch::x86::cpu::msr;
use crate::mm::FrameBox;

const EFER_SVME: u64 = 1 << 12;
const VM_CR_SVMDIS: u64 = 1 << 4;
/// CPUID 0x8000000A EDX.
const NESTED_PAGING: u32 = 1;

/// Why a CPU can't run guests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unsupported {
    /// CPUID doesn't offer SVM.
    NoSvm,
    /// SVM is there, but without nested paging.
    NoNestedPaging,
    /// The firmware switched SVM off.
    DisabledByFirmware,
    /// There is no memory for what SVM keeps of the host.
    NoMemory,
}

impl core::fmt::Display for Unsupported {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::NoSvm => "the CPU has no AMD-V (SVM): use a machine that has it",
            Self::NoNestedPaging => "the CPU's AMD-V has no nested paging (NPT): use a newer one",
            Self::DisabledByFirmware => {
                "the firmware switched AMD-V (SVM) off: enable it in the firmware's setup"
            }
            Self::NoMemory => "there is no memory left for AMD-V's save areas",
        })
    }
}

/// What one pCPU needs to run guests.
pub struct SvmCpu {
    /// VMRUN keeps the host's own state here; only the CPU touches it.
    _host_save: FrameBox<[u8; 4096]>,
    /// VMSAVE's copy of the host's FS, GS, TR, LDTR and system-call MSRs.
    host_vmcb: FrameBox<Vmcb>,
    next_asid: u32,
    asid_count: u32,
    generation: u64,
}

/// An address space id that is valid on one pCPU, in one generation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asid {
    /// The id; 0 before the first.
    pub id: u32,
    /// The generation of the pCPU in which it was handed out.
    pub generation: u64,
}

impl SvmCpu {
    /// Turns SVM on for the calling pCPU, once its GDT, TSS, GS base and system-call MSRs have
    /// their final values.
    ///
    /// # Errors
    /// If the CPU lacks SVM or nested paging, or the firmware locked SVM off.
    pub fn enable() -> Result<Self, Unsupported> {
        if __cpuid(0x8000_0001).ecx & 1 << 2 == 0 {
            return Err(Unsupported::NoSvm);
        }
        let svm = __cpuid(0x8000_000a);
        if svm.edx & NESTED_PAGING == 0 {
            return Err(Unsupported::NoNestedPaging);
        }
        if msr::read(Msr::VM_CR).is_some_and(|vm_cr| vm_cr & VM_CR_SVMDIS != 0) {
            return Err(Unsupported::DisabledByFirmware);
        }
        let host_save = FrameBox::<[u8; 4096]>::try_zeroed().ok_or(Unsupported::NoMemory)?;
        let host_vmcb = FrameBox::<Vmcb>::try_zeroed().ok_or(Unsupported::NoMemory)?;
        let efer = msr::read(Msr::EFER).unwrap_or(0);
        // SAFETY: SVM is there; the bit only allows its instructions.
        unsafe { msr::write(Msr::EFER, efer | EFER_SVME) };
        // SAFETY: a frame of this pCPU's own, for good.
        unsafe { msr::write(Msr::VM_HSAVE_PA, host_save.hpa().0) };
        // SAFETY: SVME is set, and RAX holds the machine address of a frame of this pCPU's own.
        unsafe { asm!("vmsave rax", in("rax") host_vmcb.hpa().0, options(nostack)) };
        Ok(Self {
            _host_save: host_save,
            host_vmcb,
            next_asid: 1,
            asid_count: svm.ebx.max(2),
            generation: 1,
        })
    }

    /// The machine address of the host's VMSAVE area.
    pub(super) fn host_vmcb(&self) -> Hpa {
        self.host_vmcb.hpa()
    }

    /// Whether translations tagged with `asid` may still be cached and used here.
    pub(super) fn is_current(&self, asid: Asid) -> bool {
        asid.id != 0 && asid.generation == self.generation
    }

    /// A fresh id, and whether the whole TLB must be flushed before it is used.
    pub(super) fn new_asid(&mut self) -> (Asid, bool) {
        let wrapped = self.next_asid >= self.asid_count;
        if wrapped {
            self.next_asid = 1;
            self.generation += 1;
        }
        let asid = Asid { id: self.next_asid, generation: self.generation };
        self.next_asid += 1;
        (asid, wrapped)
    }
}
