//! The bits of control registers that go with a processor's features.

use x86defs::cpuid::{Leaf1Ecx, Leaf1Edx, Leaf7Ebx, Leaf7Ecx};
use x86defs::cr::Cr4;

use super::features::{FeatureSet, word};

const NEEDS: [(Cr4, usize, u32); 15] = [
    (Cr4::VME.union(Cr4::PVI), word::L1D, Leaf1Edx::VME.bits()),
    (Cr4::TSD, word::L1D, Leaf1Edx::TSC.bits()),
    (Cr4::DE, word::L1D, Leaf1Edx::DE.bits()),
    (Cr4::PSE, word::L1D, Leaf1Edx::PSE.bits()),
    (Cr4::PAE, word::L1D, Leaf1Edx::PAE.bits()),
    (Cr4::MCE, word::L1D, Leaf1Edx::MCE.bits()),
    (Cr4::PGE, word::L1D, Leaf1Edx::PGE.bits()),
    (Cr4::OSFXSR, word::L1D, Leaf1Edx::FXSR.bits()),
    (Cr4::OSXMMEXCPT, word::L1D, Leaf1Edx::SSE.bits()),
    (Cr4::PCIDE, word::L1C, Leaf1Ecx::PCID.bits()),
    (Cr4::OSXSAVE, word::L1C, Leaf1Ecx::XSAVE.bits()),
    (Cr4::FSGSBASE, word::L7B, Leaf7Ebx::FSGSBASE.bits()),
    (Cr4::SMEP, word::L7B, Leaf7Ebx::SMEP.bits()),
    (Cr4::SMAP, word::L7B, Leaf7Ebx::SMAP.bits()),
    (Cr4::PKE, word::L7C, Leaf7Ecx::PKU.bits()),
];

/// The bits of CR4 that a processor with these features has.
pub(super) fn cr4(features: &FeatureSet) -> Cr4 {
    let umip = features.has(word::L7C, Leaf7Ecx::UMIP.bits());
    // RDPMC for all is a matter of the kernel's alone.
    let always = if umip { Cr4::PCE | Cr4::UMIP } else { Cr4::PCE };
    let has = |(_, word, bits): &&(Cr4, usize, u32)| features.has(*word, *bits);
    NEEDS.iter().filter(has).fold(always, |sum, (bits, ..)| sum | *bits)
}
