//! Which features guests may have, as Xen's featureset: an array of CPUID words.
//!
//! The words and their order are those of the public header `arch-x86/cpufeatureset.h`, which
//! also marks what is for guests. What [`ALLOWED`] leaves out of that: features whose state the
//! hypervisor would have to switch and does not (control-flow enforcement, supervisor keys,
//! data breakpoint masks), and what has no use without hardware that is hidden.

use x86defs::cpuid::{
    Ext1Ecx, Ext1Edx, Ext7Edx, Ext8Ebx, Ext21Eax, Leaf1Ecx, Leaf1Edx, Leaf7Ebx, Leaf7Ecx, Leaf7Edx,
};

/// Words of a featureset.
pub const WORDS: usize = 19;

/// A bitmap of features by words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FeatureSet(pub [u32; WORDS]);

/// The register of a CPUID leaf that a word is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Register {
    A,
    B,
    C,
    D,
}

/// Where the words come from: leaf, subleaf, register. Two come from an MSR that guests lack.
pub(super) const SOURCES: [Option<(u32, u32, Register)>; WORDS] = [
    Some((0x1, 0, Register::D)),
    Some((0x1, 0, Register::C)),
    Some((0x8000_0001, 0, Register::D)),
    Some((0x8000_0001, 0, Register::C)),
    Some((0xd, 1, Register::A)),
    Some((0x7, 0, Register::B)),
    Some((0x7, 0, Register::C)),
    Some((0x8000_0007, 0, Register::D)),
    Some((0x8000_0008, 0, Register::B)),
    Some((0x7, 0, Register::D)),
    Some((0x7, 1, Register::A)),
    Some((0x8000_0021, 0, Register::A)),
    Some((0x7, 1, Register::B)),
    Some((0x7, 2, Register::D)),
    Some((0x7, 1, Register::C)),
    Some((0x7, 1, Register::D)),
    None,
    None,
    Some((0x8000_0021, 0, Register::C)),
];

/// Indices of the words.
pub(super) mod word {
    pub const L1D: usize = 0;
    pub const L1C: usize = 1;
    pub const E1D: usize = 2;
    pub const E1C: usize = 3;
    pub const XSAVE: usize = 4;
    pub const L7B: usize = 5;
    pub const L7C: usize = 6;
    pub const E7D: usize = 7;
    pub const E8B: usize = 8;
    pub const L7D: usize = 9;
    pub const L71A: usize = 10;
    pub const E21A: usize = 11;
}

/// AMD repeats these bits of leaf 1 EDX in leaf 0x80000001 EDX. They are not in the featureset.
pub(super) const COMMON_1D: u32 = 0x0183_f3ff;

/// What guests may have if the processor has it.
pub(super) const ALLOWED: FeatureSet = FeatureSet([
    leaf_1d(),
    leaf_1c(),
    ext_1d(),
    ext_1c(),
    // XSAVEOPT, XSAVEC, XGETBV with ECX = 1, XSAVES.
    0xf,
    leaf_7b(),
    leaf_7c(),
    Ext7Edx::INVARIANT_TSC.bits(),
    ext_8b(),
    leaf_7d(),
    // SHA512, SM3, SM4, AVX-VNNI, AVX512-BF16, the fast string operations, AVX-IFMA.
    0x0080_1c37,
    ext_21a(),
    0,
    // MCDT_NO.
    1 << 5,
    0,
    // AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16, PREFETCHI.
    0x4430,
    0,
    0,
    // TSA_SQ_NO, TSA_L1_NO.
    0x6,
]);

/// What the processor has for guests even if the machine's does not: it is emulated.
pub(super) const EMULATED: [(usize, u32); 2] = [
    (word::L1D, Leaf1Edx::APIC.bits()),
    (word::L1C, Leaf1Ecx::X2APIC.union(Leaf1Ecx::TSC_DEADLINE).union(Leaf1Ecx::HYPERVISOR).bits()),
];

/// What a guest only gets when its creator asks: it would not survive migration.
pub(super) const ON_REQUEST: [(usize, u32); 1] = [(word::E7D, Ext7Edx::INVARIANT_TSC.bits())];

/// SPEC_CTRL's bits, which need hardware that switches the MSR.
pub(super) const SPEC_CTRL: [(usize, u32); 2] = [
    (
        word::E8B,
        Ext8Ebx::IBRS
            .union(Ext8Ebx::STIBP)
            .union(Ext8Ebx::IBRS_ALWAYS)
            .union(Ext8Ebx::STIBP_ALWAYS)
            .union(Ext8Ebx::IBRS_SAME_MODE)
            .union(Ext8Ebx::SSBD)
            .union(Ext8Ebx::PSFD)
            .bits(),
    ),
    (word::L7D, Leaf7Edx::IBRSB.union(Leaf7Edx::STIBP).union(Leaf7Edx::SSBD).bits()),
];

/// Process context identifiers.
pub(super) const PCID: [(usize, u32); 2] =
    [(word::L1C, Leaf1Ecx::PCID.bits()), (word::L7B, Leaf7Ebx::INVPCID.bits())];

const fn leaf_1d() -> u32 {
    use Leaf1Edx as F;
    let old = F::FPU.union(F::VME).union(F::DE).union(F::PSE).union(F::TSC).union(F::MSR);
    let paging = F::PAE.union(F::PGE).union(F::PAT).union(F::PSE36).union(F::MTRR);
    let system = F::MCE.union(F::MCA).union(F::APIC).union(F::SEP).union(F::HTT).union(F::SS);
    let code = F::CX8.union(F::CMOV).union(F::CLFSH).union(F::MMX).union(F::FXSR);
    old.union(paging).union(system).union(code).union(F::SSE).union(F::SSE2).bits()
}

const fn leaf_1c() -> u32 {
    use Leaf1Ecx as F;
    let sse = F::SSE3.union(F::SSSE3).union(F::SSE4_1).union(F::SSE4_2);
    let avx = F::XSAVE.union(F::AVX).union(F::FMA).union(F::F16C);
    let code = F::PCLMULQDQ.union(F::CX16).union(F::MOVBE).union(F::POPCNT).union(F::AES);
    let system = F::PCID.union(F::X2APIC).union(F::TSC_DEADLINE).union(F::HYPERVISOR);
    sse.union(avx).union(code).union(F::RDRAND).union(system).bits()
}

const fn ext_1d() -> u32 {
    use Ext1Edx as F;
    let system = F::SYSCALL.union(F::NX).union(F::PAGE_1G).union(F::RDTSCP).union(F::LONG_MODE);
    let code = F::MMXEXT.union(F::FFXSR).union(F::EXT_3DNOW).union(F::AMD_3DNOW);
    system.union(code).bits()
}

const fn ext_1c() -> u32 {
    use Ext1Ecx as F;
    let system = F::CMP_LEGACY.union(F::CR8_LEGACY);
    let code = F::LAHF.union(F::ABM).union(F::SSE4A).union(F::MISALIGN_SSE).union(F::PREFETCH);
    system.union(code).union(F::XOP).union(F::FMA4).union(F::TBM).bits()
}

const fn leaf_7b() -> u32 {
    use Leaf7Ebx as F;
    let system = F::FSGSBASE.union(F::TSC_ADJUST).union(F::SMEP).union(F::SMAP).union(F::INVPCID);
    let fpu = F::FDP_EXCPTN.union(F::NO_FPU_CS_DS);
    let code = F::BMI1.union(F::BMI2).union(F::AVX2).union(F::ERMS).union(F::RDSEED).union(F::ADX);
    let cache = F::CLFLUSHOPT.union(F::CLWB).union(F::SHA);
    let avx512 = F::AVX512F.union(F::AVX512DQ).union(F::AVX512IFMA).union(F::AVX512CD);
    let avx512 = avx512.union(F::AVX512BW).union(F::AVX512VL);
    system.union(fpu).union(code).union(cache).union(avx512).bits()
}

const fn leaf_7c() -> u32 {
    use Leaf7Ecx as F;
    let code = F::PREFETCHWT1.union(F::UMIP).union(F::PKU).union(F::GFNI).union(F::VAES);
    let code = code.union(F::VPCLMULQDQ).union(F::RDPID);
    let avx512 = F::AVX512VBMI.union(F::AVX512VBMI2).union(F::AVX512VNNI);
    let avx512 = avx512.union(F::AVX512BITALG).union(F::AVX512VPOPCNTDQ);
    code.union(avx512).bits()
}

const fn leaf_7d() -> u32 {
    use Leaf7Edx as F;
    const AVX512_FP16: u32 = 1 << 23;
    let code = F::FSRM.union(F::MD_CLEAR).union(F::SERIALIZE);
    let speculation = F::IBRSB.union(F::STIBP).union(F::SSBD);
    code.union(speculation).bits() | AVX512_FP16
}

const fn ext_8b() -> u32 {
    use Ext8Ebx as F;
    const BTC_NO: u32 = 1 << 29;
    const IBPB_RET: u32 = 1 << 30;
    let code = F::CLZERO.union(F::RSTR_FP_ERR_PTRS).union(F::NO_LMSL);
    let speculation = F::IBPB.union(F::IBRS).union(F::STIBP).union(F::IBRS_ALWAYS);
    let speculation = speculation.union(F::STIBP_ALWAYS).union(F::IBRS_SAME_MODE);
    let speculation = speculation.union(F::SSBD).union(F::SSB_NO).union(F::PSFD);
    code.union(speculation).bits() | BTC_NO | IBPB_RET
}

const fn ext_21a() -> u32 {
    use Ext21Eax as F;
    // NO_NEST_BP, FS_GS_NS, VERW_CLEAR; fast strings; EPSF, FSRSC, PREFETCHI; SBPB, IBPB_BRTYPE,
    // SRSO_NO, SRSO_US_NO.
    const UNNAMED: u32 = 0x23 | 0xc00 | 0x001c_0000 | 0x7800_0000;
    F::LFENCE_SERIALIZING.union(F::NULL_SELECTOR_CLEARS_BASE).union(F::AUTO_IBRS).bits() | UNNAMED
}

/// A feature, and what needs it.
type Dependency = ((usize, u32), &'static [(usize, u32)]);

/// In an order in which one pass suffices.
const DEPENDENCIES: [Dependency; 6] = [
    (
        (word::L1C, Leaf1Ecx::XSAVE.bits()),
        &[
            (word::XSAVE, u32::MAX),
            (word::L1C, Leaf1Ecx::AVX.bits()),
            (word::L7C, Leaf7Ecx::PKU.bits()),
        ],
    ),
    (
        (word::L1C, Leaf1Ecx::AVX.bits()),
        &[
            (word::L1C, Leaf1Ecx::FMA.union(Leaf1Ecx::F16C).bits()),
            (word::E1C, Ext1Ecx::XOP.union(Ext1Ecx::FMA4).bits()),
            (word::L7B, Leaf7Ebx::AVX2.bits()),
            (word::L7C, Leaf7Ecx::VAES.union(Leaf7Ecx::VPCLMULQDQ).bits()),
        ],
    ),
    (
        (word::L7B, Leaf7Ebx::AVX2.bits()),
        // AVX-VNNI and AVX-IFMA; AVX-VNNI-INT8, AVX-NE-CONVERT, AVX-VNNI-INT16.
        &[(word::L7B, Leaf7Ebx::AVX512F.bits()), (word::L71A, 1 << 4 | 1 << 23), (15, 0x430)],
    ),
    (
        (word::L7B, Leaf7Ebx::AVX512F.bits()),
        &[
            (
                word::L7B,
                Leaf7Ebx::AVX512DQ
                    .union(Leaf7Ebx::AVX512IFMA)
                    .union(Leaf7Ebx::AVX512CD)
                    .union(Leaf7Ebx::AVX512BW)
                    .union(Leaf7Ebx::AVX512VL)
                    .bits(),
            ),
            (
                word::L7C,
                Leaf7Ecx::AVX512VBMI
                    .union(Leaf7Ecx::AVX512VBMI2)
                    .union(Leaf7Ecx::AVX512VNNI)
                    .union(Leaf7Ecx::AVX512BITALG)
                    .union(Leaf7Ecx::AVX512VPOPCNTDQ)
                    .bits(),
            ),
            (word::L7D, 1 << 23),
            (word::L71A, 1 << 5),
        ],
    ),
    (
        (word::E1D, Ext1Edx::LONG_MODE.bits()),
        &[
            (word::L1C, Leaf1Ecx::PCID.bits()),
            (word::E1C, Ext1Ecx::LAHF.bits()),
            (word::E1D, Ext1Edx::PAGE_1G.bits()),
        ],
    ),
    ((word::L1C, Leaf1Ecx::PCID.bits()), &[(word::L7B, Leaf7Ebx::INVPCID.bits())]),
];

impl FeatureSet {
    /// A word; 0 beyond the last.
    pub fn word(&self, index: usize) -> u32 {
        self.0.get(index).copied().unwrap_or(0)
    }

    /// Whether all of `bits` of a word are there.
    pub(super) fn has(&self, index: usize, bits: u32) -> bool {
        self.word(index) & bits == bits
    }

    pub(super) fn add(&mut self, features: &[(usize, u32)]) {
        for (index, bits) in features {
            if let Some(word) = self.0.get_mut(*index) {
                *word |= bits;
            }
        }
    }

    pub(super) fn remove(&mut self, features: &[(usize, u32)]) {
        for (index, bits) in features {
            if let Some(word) = self.0.get_mut(*index) {
                *word &= !bits;
            }
        }
    }

    /// Keeps what is in `other` too.
    pub(super) fn intersect(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(mine, theirs)| *mine &= theirs);
    }

    /// Removes what lacks something that it builds on.
    pub(super) fn drop_orphans(&mut self) {
        for ((index, bits), dependents) in DEPENDENCIES {
            if !self.has(index, bits) {
                self.remove(dependents);
            }
        }
    }
}
