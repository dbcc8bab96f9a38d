//! What the processor can do.

use core::arch::x86_64::{__cpuid_count, CpuidResult};

use spin::Once;
use x86defs::cpuid::{
    Ext1Ecx, Ext1Edx, Ext7Edx, LEAF_EXT_FEATURES, LEAF_EXT_MAX, LEAF_EXT_POWER, LEAF_FEATURES,
    LEAF_HYPERVISOR, LEAF_STRUCTURED, LEAF_SVM, LEAF_VENDOR, Leaf1Ecx, Leaf1Edx, Leaf7Ebx,
    Leaf7Ecx, SvmFeatures,
};

/// The features of the boot CPU, which all others must have too.
#[derive(Clone, Copy, Debug)]
pub struct Features {
    /// Vendor string.
    pub vendor: [u8; 12],
    /// Leaf 1.
    pub leaf1_ecx: Leaf1Ecx,
    /// Leaf 1.
    pub leaf1_edx: Leaf1Edx,
    /// Leaf 7.
    pub leaf7_ebx: Leaf7Ebx,
    /// Leaf 7.
    pub leaf7_ecx: Leaf7Ecx,
    /// Leaf 0x80000001.
    pub ext1_ecx: Ext1Ecx,
    /// Leaf 0x80000001.
    pub ext1_edx: Ext1Edx,
    /// The TSC runs at the same rate always.
    pub invariant_tsc: bool,
    /// SVM's features; none without SVM.
    pub svm: SvmFeatures,
    /// Pages of 1 GiB.
    pub page_1g: bool,
    /// It is QEMU's emulation (TCG), which needs some care.
    pub tcg: bool,
}

/// How TCG calls itself in [`LEAF_HYPERVISOR`].
const TCG: &[u8; 12] = b"TCGTCGTCGTCG";

static FEATURES: Once<Features> = Once::new();

/// The features.
pub fn features() -> &'static Features {
    FEATURES.call_once(read)
}

/// CPUID's answer; all zero for leaves that the CPU doesn't have.
pub fn cpuid(leaf: u32, subleaf: u32) -> CpuidResult {
    let max = __cpuid_count(leaf & 0xFFFF_0000, 0).eax;
    let known = leaf <= max && max & 0xFFFF_0000 == leaf & 0xFFFF_0000;
    if known {
        __cpuid_count(leaf, subleaf)
    } else {
        CpuidResult { eax: 0, ebx: 0, ecx: 0, edx: 0 }
    }
}

fn read() -> Features {
    let vendor = __cpuid_count(LEAF_VENDOR, 0);
    let [b0, b1, b2, b3] = vendor.ebx.to_le_bytes();
    let [d0, d1, d2, d3] = vendor.edx.to_le_bytes();
    let [c0, c1, c2, c3] = vendor.ecx.to_le_bytes();
    let (leaf1, leaf7) = (cpuid(LEAF_FEATURES, 0), cpuid(LEAF_STRUCTURED, 0));
    let ext1 = cpuid(LEAF_EXT_FEATURES, 0);
    let ext1_ecx = Ext1Ecx(ext1.ecx);
    let svm = if ext1_ecx.contains(Ext1Ecx::SVM) {
        cpuid(LEAF_SVM, 0)
    } else {
        cpuid(LEAF_EXT_MAX | 0xFFFF, 0)
    };
    let leaf = __cpuid_count(LEAF_HYPERVISOR, 0);
    let hypervisor = [leaf.ebx, leaf.ecx, leaf.edx].map(u32::to_le_bytes);
    Features {
        vendor: [b0, b1, b2, b3, d0, d1, d2, d3, c0, c1, c2, c3],
        leaf1_ecx: Leaf1Ecx(leaf1.ecx),
        leaf1_edx: Leaf1Edx(leaf1.edx),
        leaf7_ebx: Leaf7Ebx(leaf7.ebx),
        leaf7_ecx: Leaf7Ecx(leaf7.ecx),
        ext1_ecx,
        ext1_edx: Ext1Edx(ext1.edx),
        invariant_tsc: Ext7Edx(cpuid(LEAF_EXT_POWER, 0).edx).contains(Ext7Edx::INVARIANT_TSC),
        svm: SvmFeatures(svm.edx),
        page_1g: Ext1Edx(ext1.edx).contains(Ext1Edx::PAGE_1G),
        tcg: hypervisor.as_flattened() == TCG,
    }
}

/// Ends the boot with a clear message if the CPU lacks what nothing works without.
pub fn require() {
    let features = features();
    let required = [
        (
            features.ext1_edx.contains(Ext1Edx::NX),
            "no-execute pages (NX)",
            "enable it in the firmware's setup",
        ),
        (
            features.leaf1_edx.contains(Leaf1Edx::APIC),
            "a local APIC",
            "enable it in the firmware's setup",
        ),
        (
            features.ext1_ecx.contains(Ext1Ecx::SVM),
            "AMD virtualization (SVM)",
            "use an AMD CPU, and enable SVM in the firmware's setup (QEMU: -cpu max)",
        ),
        (
            features.svm.contains(SvmFeatures::NPT),
            "nested paging (NPT)",
            "use a CPU of AMD family 10h or later (QEMU: -cpu max)",
        ),
    ];
    for (present, what, way_out) in required {
        if !present {
            fatal!("this CPU lacks {what}: {way_out}");
        }
    }
}
