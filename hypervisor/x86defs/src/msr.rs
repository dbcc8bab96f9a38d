//! Model-specific registers: indices and the bits of some (APM volume 2, appendix A; SDM
//! volume 4).

use crate::macros::{constants, flags, open_enum};

open_enum! {
    /// Index of an MSR.
    pub struct Msr(u32) {
        /// Time-stamp counter.
        TSC = 0x10;
        /// Platform id (Intel).
        PLATFORM_ID = 0x17;
        /// Local APIC base and mode: [`ApicBase`].
        APIC_BASE = 0x1b;
        /// Power-on configuration (Intel).
        EBL_CR_POWERON = 0x2a;
        /// VMX lock and enable (Intel): [`FeatureControl`].
        FEATURE_CONTROL = 0x3a;
        /// Offset added to the TSC.
        TSC_ADJUST = 0x3b;
        /// Speculation control: [`SpecCtrl`].
        SPEC_CTRL = 0x48;
        /// Prediction command; bit 0 is an indirect branch barrier.
        PRED_CMD = 0x49;
        /// Microcode update trigger (Intel).
        BIOS_UPDT_TRIG = 0x79;
        /// Microcode revision.
        PATCH_LEVEL = 0x8b;
        /// Platform information (Intel).
        PLATFORM_INFO = 0xce;
        /// Counts at the maximum frequency.
        MPERF = 0xe7;
        /// Counts at the actual frequency.
        APERF = 0xe8;
        /// MTRR capabilities: [`MtrrCap`].
        MTRR_CAP = 0xfe;
        /// Architectural capabilities (Intel).
        ARCH_CAPABILITIES = 0x10a;
        /// L1 data cache flush; bit 0 (Intel).
        FLUSH_CMD = 0x10b;
        /// TSX control (Intel).
        TSX_CTRL = 0x122;
        /// Miscellaneous features (Intel).
        MISC_FEATURES_ENABLES = 0x140;
        /// SYSENTER: CS.
        SYSENTER_CS = 0x174;
        /// SYSENTER: RSP.
        SYSENTER_ESP = 0x175;
        /// SYSENTER: RIP.
        SYSENTER_EIP = 0x176;
        /// Machine check capabilities.
        MCG_CAP = 0x179;
        /// Machine check status.
        MCG_STATUS = 0x17a;
        /// Machine check control.
        MCG_CTL = 0x17b;
        /// Performance event select 0 (Intel).
        PERFEVTSEL0 = 0x186;
        /// Performance status (Intel).
        PERF_STATUS = 0x198;
        /// Miscellaneous enables (Intel).
        MISC_ENABLE = 0x1a0;
        /// Debug control.
        DEBUGCTL = 0x1d9;
        /// Last branch: from.
        LAST_BRANCH_FROM = 0x1db;
        /// Last branch: to.
        LAST_BRANCH_TO = 0x1dc;
        /// Last exception: from.
        LAST_INT_FROM = 0x1dd;
        /// Last exception: to.
        LAST_INT_TO = 0x1de;
        /// First of the variable MTRRs: base and mask alternate.
        MTRR_PHYS_BASE0 = 0x200;
        /// Mask of the first variable MTRR.
        MTRR_PHYS_MASK0 = 0x201;
        /// Mask of the eighth variable MTRR.
        MTRR_PHYS_MASK7 = 0x20f;
        /// Fixed MTRR: 8 times 64 KiB from 0.
        MTRR_FIX_64K_00000 = 0x250;
        /// Fixed MTRR: 8 times 16 KiB from 0x80000.
        MTRR_FIX_16K_80000 = 0x258;
        /// Fixed MTRR: 8 times 16 KiB from 0xA0000.
        MTRR_FIX_16K_A0000 = 0x259;
        /// Fixed MTRR: 8 times 4 KiB from 0xC0000; seven more follow.
        MTRR_FIX_4K_C0000 = 0x268;
        /// The last fixed MTRR.
        MTRR_FIX_4K_F8000 = 0x26f;
        /// Page attribute table: [`PAT_RESET`].
        PAT = 0x277;
        /// Default memory type: [`MtrrDefType`].
        MTRR_DEF_TYPE = 0x2ff;
        /// First machine check bank: control. Status, address and misc follow, then the others.
        MC0_CTL = 0x400;
        /// VMX basic information.
        VMX_BASIC = 0x480;
        /// VMX: allowed pin-based controls.
        VMX_PINBASED_CTLS = 0x481;
        /// VMX: allowed primary controls.
        VMX_PROCBASED_CTLS = 0x482;
        /// VMX: allowed exit controls.
        VMX_EXIT_CTLS = 0x483;
        /// VMX: allowed entry controls.
        VMX_ENTRY_CTLS = 0x484;
        /// VMX miscellaneous data.
        VMX_MISC = 0x485;
        /// VMX: CR0 bits that must be one.
        VMX_CR0_FIXED0 = 0x486;
        /// VMX: CR0 bits that may be one.
        VMX_CR0_FIXED1 = 0x487;
        /// VMX: CR4 bits that must be one.
        VMX_CR4_FIXED0 = 0x488;
        /// VMX: CR4 bits that may be one.
        VMX_CR4_FIXED1 = 0x489;
        /// VMX: highest VMCS field index.
        VMX_VMCS_ENUM = 0x48a;
        /// VMX: allowed secondary controls.
        VMX_PROCBASED_CTLS2 = 0x48b;
        /// VMX: EPT and VPID capabilities.
        VMX_EPT_VPID_CAP = 0x48c;
        /// VMX: allowed pin-based controls, without default1.
        VMX_TRUE_PINBASED_CTLS = 0x48d;
        /// VMX: allowed primary controls, without default1.
        VMX_TRUE_PROCBASED_CTLS = 0x48e;
        /// VMX: allowed exit controls, without default1.
        VMX_TRUE_EXIT_CTLS = 0x48f;
        /// VMX: allowed entry controls, without default1.
        VMX_TRUE_ENTRY_CTLS = 0x490;
        /// TSC value at which the local APIC timer fires.
        TSC_DEADLINE = 0x6e0;
        /// First x2APIC register: see [`crate::apic`].
        X2APIC_BASE = 0x800;
        /// Last x2APIC register.
        X2APIC_LAST = 0x8ff;
        /// Supervisor state components of XSAVES.
        XSS = 0xda0;
        /// Extended features: [`Efer`].
        EFER = 0xc000_0080;
        /// SYSCALL: selectors, and 32-bit EIP.
        STAR = 0xc000_0081;
        /// SYSCALL: RIP.
        LSTAR = 0xc000_0082;
        /// SYSCALL: RIP in compatibility mode.
        CSTAR = 0xc000_0083;
        /// SYSCALL: RFLAGS bits to clear.
        SFMASK = 0xc000_0084;
        /// FS base.
        FS_BASE = 0xc000_0100;
        /// GS base.
        GS_BASE = 0xc000_0101;
        /// What SWAPGS exchanges with the GS base.
        KERNEL_GS_BASE = 0xc000_0102;
        /// What RDTSCP and RDPID read.
        TSC_AUX = 0xc000_0103;
        /// TSC ratio of guests (AMD).
        TSC_RATIO = 0xc000_0104;
        /// First legacy performance event select (AMD).
        K7_EVNTSEL0 = 0xc001_0000;
        /// Last legacy performance counter (AMD).
        K7_PERFCTR3 = 0xc001_0007;
        /// System configuration (AMD).
        SYSCFG = 0xc001_0010;
        /// Hardware configuration (AMD).
        HWCR = 0xc001_0015;
        /// First I/O range base (AMD).
        IORR_BASE0 = 0xc001_0016;
        /// Last I/O range mask (AMD).
        IORR_MASK1 = 0xc001_0019;
        /// Top of memory below 4 GiB (AMD).
        TOP_MEM = 0xc001_001a;
        /// Top of memory above 4 GiB (AMD).
        TOP_MEM2 = 0xc001_001d;
        /// Patch loader (AMD).
        PATCH_LOADER = 0xc001_0020;
        /// Northbridge configuration (AMD).
        NB_CFG = 0xc001_001f;
        /// Interrupt pending and C1E (AMD).
        INT_PENDING = 0xc001_0055;
        /// MMIO configuration base (AMD).
        MMIO_CFG_BASE = 0xc001_0058;
        /// Current P-state limit (AMD).
        PSTATE_LIMIT = 0xc001_0061;
        /// First P-state definition (AMD).
        PSTATE_DEF0 = 0xc001_0064;
        /// SVM control: [`VmCr`].
        VM_CR = 0xc001_0114;
        /// Page where VMRUN saves the host's state.
        VM_HSAVE_PA = 0xc001_0117;
        /// Speculation control for guests (AMD).
        VIRT_SPEC_CTRL = 0xc001_011f;
        /// SEV status (AMD).
        SEV_STATUS = 0xc001_0131;
        /// OS-visible workarounds: how many (AMD).
        OSVW_ID_LENGTH = 0xc001_0140;
        /// OS-visible workarounds: status (AMD).
        OSVW_STATUS = 0xc001_0141;
        /// First core performance event select (AMD).
        PERF_CTL0 = 0xc001_0200;
        /// Last core performance counter (AMD).
        PERF_CTR5 = 0xc001_020b;
        /// CPUID override: leaf 7 (AMD).
        CPUID_7_FEATURES = 0xc001_1002;
        /// CPUID override: leaf 1 (AMD).
        CPUID_1_FEATURES = 0xc001_1004;
        /// CPUID override: leaf 0x80000001 (AMD).
        CPUID_EXT_FEATURES = 0xc001_1005;
        /// Load-store configuration (AMD).
        LS_CFG = 0xc001_1020;
        /// Instruction cache configuration (AMD).
        IC_CFG = 0xc001_1021;
        /// Data cache configuration (AMD).
        DC_CFG = 0xc001_1022;
        /// Bus unit configuration (AMD).
        BU_CFG = 0xc001_1023;
        /// Floating point configuration (AMD).
        FP_CFG = 0xc001_1028;
        /// Decode configuration (AMD): bit 1 makes LFENCE serializing.
        DE_CFG = 0xc001_1029;
        /// Bus unit configuration 2 (AMD).
        BU_CFG2 = 0xc001_102a;
        /// Combined unit configuration 3 (AMD).
        CU_CFG3 = 0xc001_102b;
    }
}

flags! {
    /// EFER.
    pub struct Efer(u64) {
        /// SYSCALL and SYSRET.
        SCE = 1 << 0;
        /// Long mode wanted.
        LME = 1 << 8;
        /// Long mode active.
        LMA = 1 << 10;
        /// No-execute pages.
        NXE = 1 << 11;
        /// SVM.
        SVME = 1 << 12;
        /// Segment limits in 64-bit mode.
        LMSLE = 1 << 13;
        /// Fast FXSAVE and FXRSTOR.
        FFXSR = 1 << 14;
        /// Translation cache extension.
        TCE = 1 << 15;
        /// Automatic IBRS.
        AIBRSE = 1 << 21;
    }
}

flags! {
    /// APIC_BASE.
    pub struct ApicBase(u64) {
        /// The boot CPU.
        BSP = 1 << 8;
        /// x2APIC mode.
        X2APIC = 1 << 10;
        /// The local APIC is on.
        ENABLE = 1 << 11;
    }
}

impl ApicBase {
    /// The register page's address.
    pub const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;
    /// The register page's address at reset.
    pub const DEFAULT_ADDRESS: u64 = 0xfee0_0000;

    /// The register page's physical address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 & Self::ADDRESS_MASK
    }
}

flags! {
    /// VM_CR.
    pub struct VmCr(u64) {
        /// Debugging by JTAG is off.
        DPD = 1 << 0;
        /// INIT becomes #SX.
        R_INIT = 1 << 1;
        /// A20 masking is off.
        DIS_A20M = 1 << 2;
        /// LOCK and SVMDIS can't be written.
        LOCK = 1 << 3;
        /// EFER.SVME can't be set.
        SVMDIS = 1 << 4;
    }
}

flags! {
    /// FEATURE_CONTROL.
    pub struct FeatureControl(u64) {
        /// Can't be written any more.
        LOCK = 1 << 0;
        /// VMX inside SMX.
        VMX_IN_SMX = 1 << 1;
        /// VMX outside SMX.
        VMX_OUTSIDE_SMX = 1 << 2;
    }
}

flags! {
    /// SPEC_CTRL.
    pub struct SpecCtrl(u64) {
        /// Indirect branch restricted speculation.
        IBRS = 1 << 0;
        /// Single thread indirect branch predictors.
        STIBP = 1 << 1;
        /// Speculative store bypass disable.
        SSBD = 1 << 2;
        /// Predictive store forwarding disable (AMD).
        PSFD = 1 << 7;
    }
}

flags! {
    /// MTRR_CAP; the low byte is the number of variable MTRRs.
    pub struct MtrrCap(u64) {
        /// Fixed MTRRs exist.
        FIXED = 1 << 8;
        /// Write combining exists.
        WC = 1 << 10;
        /// SMM MTRRs exist.
        SMRR = 1 << 11;
    }
}

flags! {
    /// MTRR_DEF_TYPE; the low byte is the default [`MemoryType`].
    pub struct MtrrDefType(u64) {
        /// Fixed MTRRs are on.
        FIXED_ENABLE = 1 << 10;
        /// MTRRs are on.
        ENABLE = 1 << 11;
    }
}

open_enum! {
    /// Memory type in MTRRs and PAT entries.
    pub struct MemoryType(u8) {
        /// Uncacheable.
        UC = 0;
        /// Write combining.
        WC = 1;
        /// Write through.
        WT = 4;
        /// Write protected.
        WP = 5;
        /// Write back.
        WB = 6;
        /// Uncacheable unless the MTRR says write combining; PAT only.
        UC_MINUS = 7;
    }
}

constants! {
    u64 {
        /// PAT at reset: WB, WT, UC-, UC, twice.
        PAT_RESET = 0x0007_0406_0007_0406;
        /// Mask bit of a variable MTRR: it is valid.
        MTRR_PHYS_MASK_VALID = 1 << 11;
    }
}

/// Whether every entry of a PAT value is a type that the CPU accepts.
#[must_use]
pub const fn is_valid_pat(pat: u64) -> bool {
    let mut rest = pat;
    let mut left = 8;
    while left != 0 {
        if !matches!(rest as u8, 0 | 1 | 4..=7) {
            return false;
        }
        rest >>= 8;
        left -= 1;
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pat_entries() {
        assert!(is_valid_pat(PAT_RESET));
        assert!(is_valid_pat(0x0007_0106_0007_0406));
        assert!(!is_valid_pat(0x0200_0000_0000_0000));
        assert!(!is_valid_pat(0xff));
    }

    #[test]
    fn apic_base_address() {
        assert_eq!(ApicBase(0xfee0_0900).address(), ApicBase::DEFAULT_ADDRESS);
        assert!(ApicBase(0xfee0_0900).contains(ApicBase::BSP | ApicBase::ENABLE));
    }
}
