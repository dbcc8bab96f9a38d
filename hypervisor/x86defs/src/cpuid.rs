//! CPUID leaves and their feature bits (APM volume 3, appendix E; SDM volume 2, CPUID).

use crate::macros::{constants, flags};

constants! {
    u32 {
        /// Highest basic leaf (EAX), vendor (EBX, EDX, ECX).
        LEAF_VENDOR = 0x0;
        /// Family, model, features: [`Leaf1Ecx`], [`Leaf1Edx`].
        LEAF_FEATURES = 0x1;
        /// Caches (Intel), by subleaf.
        LEAF_CACHES = 0x4;
        /// MONITOR and MWAIT.
        LEAF_MONITOR = 0x5;
        /// Thermal and power: [`Leaf6Eax`].
        LEAF_POWER = 0x6;
        /// Structured features, by subleaf: [`Leaf7Ebx`], [`Leaf7Ecx`], [`Leaf7Edx`].
        LEAF_STRUCTURED = 0x7;
        /// Performance monitoring.
        LEAF_PERFMON = 0xa;
        /// Topology, by subleaf; EDX is the x2APIC id.
        LEAF_TOPOLOGY = 0xb;
        /// XSAVE areas, by subleaf.
        LEAF_XSAVE = 0xd;
        /// TSC and crystal frequency.
        LEAF_TSC = 0x15;
        /// Frequencies in MHz.
        LEAF_FREQUENCY = 0x16;
        /// First leaf that hypervisors use.
        LEAF_HYPERVISOR = 0x4000_0000;
        /// Highest extended leaf (EAX).
        LEAF_EXT_MAX = 0x8000_0000;
        /// Extended features: [`Ext1Ecx`], [`Ext1Edx`].
        LEAF_EXT_FEATURES = 0x8000_0001;
        /// First of three leaves with the brand string.
        LEAF_BRAND = 0x8000_0002;
        /// L1 caches (AMD).
        LEAF_EXT_L1 = 0x8000_0005;
        /// L2 and L3 caches.
        LEAF_EXT_L2 = 0x8000_0006;
        /// Power: [`Ext7Edx`].
        LEAF_EXT_POWER = 0x8000_0007;
        /// EAX: physical address width 7..0, virtual 15..8, guest physical 23..16. EBX:
        /// [`Ext8Ebx`]. ECX: APIC id size 15..12, threads less one 7..0.
        LEAF_EXT_ADDRESS = 0x8000_0008;
        /// SVM: revision (EAX), address space ids (EBX), [`SvmFeatures`] (EDX).
        LEAF_SVM = 0x8000_000a;
        /// Caches (AMD), by subleaf.
        LEAF_EXT_CACHES = 0x8000_001d;
        /// Topology (AMD).
        LEAF_EXT_TOPOLOGY = 0x8000_001e;
        /// Memory encryption (AMD).
        LEAF_EXT_ENCRYPTION = 0x8000_001f;
        /// More features (AMD): [`Ext21Eax`].
        LEAF_EXT_FEATURES2 = 0x8000_0021;
    }
}

flags! {
    /// Leaf 1, ECX.
    pub struct Leaf1Ecx(u32) {
        /// SSE3.
        SSE3 = 1 << 0;
        /// PCLMULQDQ.
        PCLMULQDQ = 1 << 1;
        /// 64-bit debug store.
        DTES64 = 1 << 2;
        /// MONITOR and MWAIT.
        MONITOR = 1 << 3;
        /// Debug store by CPL.
        DSCPL = 1 << 4;
        /// VMX.
        VMX = 1 << 5;
        /// SMX.
        SMX = 1 << 6;
        /// Enhanced SpeedStep.
        EIST = 1 << 7;
        /// Thermal monitor 2.
        TM2 = 1 << 8;
        /// SSSE3.
        SSSE3 = 1 << 9;
        /// Silicon debug.
        SDBG = 1 << 11;
        /// FMA.
        FMA = 1 << 12;
        /// CMPXCHG16B.
        CX16 = 1 << 13;
        /// xTPR update control.
        XTPR = 1 << 14;
        /// Performance capabilities MSR.
        PDCM = 1 << 15;
        /// Process context identifiers.
        PCID = 1 << 17;
        /// Direct cache access.
        DCA = 1 << 18;
        /// SSE4.1.
        SSE4_1 = 1 << 19;
        /// SSE4.2.
        SSE4_2 = 1 << 20;
        /// x2APIC.
        X2APIC = 1 << 21;
        /// MOVBE.
        MOVBE = 1 << 22;
        /// POPCNT.
        POPCNT = 1 << 23;
        /// Local APIC timer at a TSC value.
        TSC_DEADLINE = 1 << 24;
        /// AES.
        AES = 1 << 25;
        /// XSAVE.
        XSAVE = 1 << 26;
        /// CR4.OSXSAVE is set.
        OSXSAVE = 1 << 27;
        /// AVX.
        AVX = 1 << 28;
        /// F16C.
        F16C = 1 << 29;
        /// RDRAND.
        RDRAND = 1 << 30;
        /// Under a hypervisor.
        HYPERVISOR = 1 << 31;
    }
}

flags! {
    /// Leaf 1, EDX.
    pub struct Leaf1Edx(u32) {
        /// FPU.
        FPU = 1 << 0;
        /// Virtual 8086 extensions.
        VME = 1 << 1;
        /// Debugging extensions.
        DE = 1 << 2;
        /// 4 MiB pages.
        PSE = 1 << 3;
        /// TSC.
        TSC = 1 << 4;
        /// MSRs.
        MSR = 1 << 5;
        /// Physical address extension.
        PAE = 1 << 6;
        /// Machine check exception.
        MCE = 1 << 7;
        /// CMPXCHG8B.
        CX8 = 1 << 8;
        /// A local APIC, switched on.
        APIC = 1 << 9;
        /// SYSENTER.
        SEP = 1 << 11;
        /// MTRRs.
        MTRR = 1 << 12;
        /// Global pages.
        PGE = 1 << 13;
        /// Machine check architecture.
        MCA = 1 << 14;
        /// CMOV.
        CMOV = 1 << 15;
        /// Page attribute table.
        PAT = 1 << 16;
        /// 36-bit 4 MiB pages.
        PSE36 = 1 << 17;
        /// Serial number.
        PSN = 1 << 18;
        /// CLFLUSH.
        CLFSH = 1 << 19;
        /// Debug store.
        DS = 1 << 21;
        /// Thermal control MSRs.
        ACPI = 1 << 22;
        /// MMX.
        MMX = 1 << 23;
        /// FXSAVE.
        FXSR = 1 << 24;
        /// SSE.
        SSE = 1 << 25;
        /// SSE2.
        SSE2 = 1 << 26;
        /// Self snoop.
        SS = 1 << 27;
        /// More than one logical CPU in EBX 23..16.
        HTT = 1 << 28;
        /// Thermal monitor.
        TM = 1 << 29;
        /// Pending break enable.
        PBE = 1 << 31;
    }
}

flags! {
    /// Leaf 6, EAX.
    pub struct Leaf6Eax(u32) {
        /// Digital temperature sensor.
        DTS = 1 << 0;
        /// Turbo.
        TURBO = 1 << 1;
        /// The local APIC timer always runs.
        ARAT = 1 << 2;
    }
}

flags! {
    /// Leaf 7, subleaf 0, EBX.
    pub struct Leaf7Ebx(u32) {
        /// RDFSBASE and its kin.
        FSGSBASE = 1 << 0;
        /// TSC_ADJUST.
        TSC_ADJUST = 1 << 1;
        /// SGX.
        SGX = 1 << 2;
        /// BMI1.
        BMI1 = 1 << 3;
        /// HLE.
        HLE = 1 << 4;
        /// AVX2.
        AVX2 = 1 << 5;
        /// FPU data pointer only on errors.
        FDP_EXCPTN = 1 << 6;
        /// SMEP.
        SMEP = 1 << 7;
        /// BMI2.
        BMI2 = 1 << 8;
        /// Enhanced REP MOVSB.
        ERMS = 1 << 9;
        /// INVPCID.
        INVPCID = 1 << 10;
        /// RTM.
        RTM = 1 << 11;
        /// Cache monitoring.
        PQM = 1 << 12;
        /// No FPU CS and DS.
        NO_FPU_CS_DS = 1 << 13;
        /// MPX.
        MPX = 1 << 14;
        /// Cache allocation.
        PQE = 1 << 15;
        /// AVX-512 F.
        AVX512F = 1 << 16;
        /// AVX-512 DQ.
        AVX512DQ = 1 << 17;
        /// RDSEED.
        RDSEED = 1 << 18;
        /// ADX.
        ADX = 1 << 19;
        /// SMAP.
        SMAP = 1 << 20;
        /// AVX-512 IFMA.
        AVX512IFMA = 1 << 21;
        /// CLFLUSHOPT.
        CLFLUSHOPT = 1 << 23;
        /// CLWB.
        CLWB = 1 << 24;
        /// Processor trace.
        PT = 1 << 25;
        /// AVX-512 CD.
        AVX512CD = 1 << 28;
        /// SHA.
        SHA = 1 << 29;
        /// AVX-512 BW.
        AVX512BW = 1 << 30;
        /// AVX-512 VL.
        AVX512VL = 1 << 31;
    }
}

flags! {
    /// Leaf 7, subleaf 0, ECX.
    pub struct Leaf7Ecx(u32) {
        /// PREFETCHWT1.
        PREFETCHWT1 = 1 << 0;
        /// AVX-512 VBMI.
        AVX512VBMI = 1 << 1;
        /// UMIP.
        UMIP = 1 << 2;
        /// Protection keys of user pages.
        PKU = 1 << 3;
        /// CR4.PKE is set.
        OSPKE = 1 << 4;
        /// UMWAIT.
        WAITPKG = 1 << 5;
        /// AVX-512 VBMI2.
        AVX512VBMI2 = 1 << 6;
        /// Shadow stacks.
        CET_SS = 1 << 7;
        /// GFNI.
        GFNI = 1 << 8;
        /// VAES.
        VAES = 1 << 9;
        /// VPCLMULQDQ.
        VPCLMULQDQ = 1 << 10;
        /// AVX-512 VNNI.
        AVX512VNNI = 1 << 11;
        /// AVX-512 BITALG.
        AVX512BITALG = 1 << 12;
        /// AVX-512 VPOPCNTDQ.
        AVX512VPOPCNTDQ = 1 << 14;
        /// 57-bit virtual addresses.
        LA57 = 1 << 16;
        /// RDPID.
        RDPID = 1 << 22;
        /// Bus lock detection.
        BUS_LOCK_DETECT = 1 << 24;
        /// CLDEMOTE.
        CLDEMOTE = 1 << 25;
        /// MOVDIRI.
        MOVDIRI = 1 << 27;
        /// MOVDIR64B.
        MOVDIR64B = 1 << 28;
        /// ENQCMD.
        ENQCMD = 1 << 29;
        /// Protection keys of supervisor pages.
        PKS = 1 << 31;
    }
}

flags! {
    /// Leaf 7, subleaf 0, EDX.
    pub struct Leaf7Edx(u32) {
        /// Fast short REP MOVSB.
        FSRM = 1 << 4;
        /// MD_CLEAR.
        MD_CLEAR = 1 << 10;
        /// SERIALIZE.
        SERIALIZE = 1 << 14;
        /// Control-flow: indirect branch tracking.
        CET_IBT = 1 << 20;
        /// SPEC_CTRL.IBRS and PRED_CMD.IBPB.
        IBRSB = 1 << 26;
        /// SPEC_CTRL.STIBP.
        STIBP = 1 << 27;
        /// FLUSH_CMD.
        L1D_FLUSH = 1 << 28;
        /// ARCH_CAPABILITIES.
        ARCH_CAPS = 1 << 29;
        /// CORE_CAPABILITIES.
        CORE_CAPS = 1 << 30;
        /// SPEC_CTRL.SSBD.
        SSBD = 1 << 31;
    }
}

flags! {
    /// Leaf 0x80000001, ECX.
    pub struct Ext1Ecx(u32) {
        /// LAHF in 64-bit mode.
        LAHF = 1 << 0;
        /// The HTT bit doesn't mean hyperthreading.
        CMP_LEGACY = 1 << 1;
        /// SVM.
        SVM = 1 << 2;
        /// Extended APIC registers.
        EXT_APIC = 1 << 3;
        /// LOCK MOV CR0 means MOV CR8.
        CR8_LEGACY = 1 << 4;
        /// LZCNT.
        ABM = 1 << 5;
        /// SSE4A.
        SSE4A = 1 << 6;
        /// Misaligned SSE.
        MISALIGN_SSE = 1 << 7;
        /// PREFETCH.
        PREFETCH = 1 << 8;
        /// OS-visible workarounds.
        OSVW = 1 << 9;
        /// Instruction based sampling.
        IBS = 1 << 10;
        /// XOP.
        XOP = 1 << 11;
        /// SKINIT.
        SKINIT = 1 << 12;
        /// Watchdog timer.
        WDT = 1 << 13;
        /// Lightweight profiling.
        LWP = 1 << 15;
        /// FMA4.
        FMA4 = 1 << 16;
        /// Translation cache extension.
        TCE = 1 << 17;
        /// Node id MSR.
        NODEID_MSR = 1 << 19;
        /// TBM.
        TBM = 1 << 21;
        /// Topology extensions.
        TOPOEXT = 1 << 22;
        /// Core performance counters.
        PERFCTR_CORE = 1 << 23;
        /// Northbridge performance counters.
        PERFCTR_NB = 1 << 24;
        /// Data breakpoint extension.
        DBEXT = 1 << 26;
        /// L2 performance counters.
        PERFCTR_L2 = 1 << 28;
        /// MONITORX.
        MONITORX = 1 << 29;
    }
}

flags! {
    /// Leaf 0x80000001, EDX.
    pub struct Ext1Edx(u32) {
        /// SYSCALL.
        SYSCALL = 1 << 11;
        /// No-execute pages.
        NX = 1 << 20;
        /// MMX extensions.
        MMXEXT = 1 << 22;
        /// Fast FXSAVE.
        FFXSR = 1 << 25;
        /// 1 GiB pages.
        PAGE_1G = 1 << 26;
        /// RDTSCP.
        RDTSCP = 1 << 27;
        /// Long mode.
        LONG_MODE = 1 << 29;
        /// 3DNow! extensions.
        EXT_3DNOW = 1 << 30;
        /// 3DNow!.
        AMD_3DNOW = 1 << 31;
    }
}

flags! {
    /// Leaf 0x80000007, EDX.
    pub struct Ext7Edx(u32) {
        /// Hardware P-states.
        HW_PSTATE = 1 << 7;
        /// The TSC's rate never changes.
        INVARIANT_TSC = 1 << 8;
        /// Core performance boost.
        CPB = 1 << 9;
    }
}

flags! {
    /// Leaf 0x80000008, EBX.
    pub struct Ext8Ebx(u32) {
        /// CLZERO.
        CLZERO = 1 << 0;
        /// XSAVE always saves error pointers.
        RSTR_FP_ERR_PTRS = 1 << 2;
        /// RDPRU.
        RDPRU = 1 << 4;
        /// WBNOINVD.
        WBNOINVD = 1 << 9;
        /// PRED_CMD.IBPB.
        IBPB = 1 << 12;
        /// SPEC_CTRL.IBRS.
        IBRS = 1 << 14;
        /// SPEC_CTRL.STIBP.
        STIBP = 1 << 15;
        /// IBRS may stay on.
        IBRS_ALWAYS = 1 << 16;
        /// STIBP may stay on.
        STIBP_ALWAYS = 1 << 17;
        /// IBRS protects the same mode.
        IBRS_SAME_MODE = 1 << 19;
        /// EFER.LMSLE doesn't exist.
        NO_LMSL = 1 << 20;
        /// SPEC_CTRL.SSBD.
        SSBD = 1 << 24;
        /// VIRT_SPEC_CTRL.
        VIRT_SSBD = 1 << 25;
        /// Not vulnerable to speculative store bypass.
        SSB_NO = 1 << 26;
        /// SPEC_CTRL.PSFD.
        PSFD = 1 << 28;
    }
}

flags! {
    /// Leaf 0x8000000A, EDX.
    pub struct SvmFeatures(u32) {
        /// Nested paging.
        NPT = 1 << 0;
        /// Virtual branch records.
        LBR_VIRT = 1 << 1;
        /// VM_CR can be locked.
        SVM_LOCK = 1 << 2;
        /// The next RIP is saved.
        NRIPS = 1 << 3;
        /// TSC_RATIO.
        TSC_RATE = 1 << 4;
        /// Clean bits.
        VMCB_CLEAN = 1 << 5;
        /// TLB flushes by address space.
        FLUSH_BY_ASID = 1 << 6;
        /// Decode assists.
        DECODE_ASSISTS = 1 << 7;
        /// PAUSE filter.
        PAUSE_FILTER = 1 << 10;
        /// PAUSE filter threshold.
        PAUSE_THRESHOLD = 1 << 12;
        /// AVIC.
        AVIC = 1 << 13;
        /// Virtual VMSAVE and VMLOAD.
        VMSAVE_VIRT = 1 << 15;
        /// Virtual global interrupt flag.
        VGIF = 1 << 16;
        /// Guest mode execute trap.
        GMET = 1 << 17;
        /// x2APIC mode of AVIC.
        X2AVIC = 1 << 18;
        /// Supervisor shadow stack check.
        SSS_CHECK = 1 << 19;
        /// SPEC_CTRL is virtual.
        SPEC_CTRL_VIRT = 1 << 20;
        /// Read-only guest page tables.
        RO_GPT = 1 << 21;
        /// Machine check intercept override.
        HOST_MCE_OVERRIDE = 1 << 23;
        /// INVLPGB and TLBSYNC in guests.
        TLBI_CTL = 1 << 24;
        /// Virtual NMI.
        VNMI = 1 << 25;
        /// Virtual instruction based sampling.
        IBS_VIRT = 1 << 26;
        /// VMRUN faults on VMCB addresses that it should not touch.
        SVME_ADDR_CHK = 1 << 28;
    }
}

flags! {
    /// Leaf 0x80000021, EAX.
    pub struct Ext21Eax(u32) {
        /// LFENCE always serializes.
        LFENCE_SERIALIZING = 1 << 2;
        /// A null selector clears the base.
        NULL_SELECTOR_CLEARS_BASE = 1 << 6;
        /// Automatic IBRS.
        AUTO_IBRS = 1 << 8;
        /// CPUID can be made to fault.
        CPUID_USER_DIS = 1 << 17;
    }
}

/// Vendor string of AMD: EBX, EDX, ECX of leaf 0.
pub const VENDOR_AMD: [u8; 12] = *b"AuthenticAMD";
/// Vendor string of Hygon, whose CPUs are AMD's.
pub const VENDOR_HYGON: [u8; 12] = *b"HygonGenuine";
/// Vendor string of Intel.
pub const VENDOR_INTEL: [u8; 12] = *b"GenuineIntel";
