//! The leaves that tell how vCPUs are arranged: one package of as many cores, no threads.
//!
//! A vCPU's APIC id is twice its number (see [`apic_id`]), so every core has room for a second
//! thread that is not there. All leaves must agree on that, or kernels distrust them.

use hv_core::types::VcpuId;
use x86defs::cpuid::{Ext1Ecx, Leaf1Edx};

use super::Leaf;
use super::features::word;
use super::policy::CpuPolicy;
use crate::interrupt::apic_id;

/// Level types of leaf 0xB.
const THREADS: u32 = 1 << 8;
const CORES: u32 = 2 << 8;

/// Writes the topology of `vcpus` vCPUs into a policy.
pub(super) fn fill(policy: &mut CpuPolicy, vcpus: u32) {
    let vcpus = vcpus.clamp(1, 1 << 15);
    let ids = apic_id(VcpuId(vcpus)).next_power_of_two();
    let id_bits = ids.trailing_zeros();
    let several = vcpus > 1;
    let intel = policy.is_intel();

    let mut features = policy.features();
    let htt = [(word::L1D, Leaf1Edx::HTT.bits())];
    // AMD: the several are cores, not threads.
    let cores = [(word::E1C, Ext1Ecx::CMP_LEGACY.bits())];
    features.remove(&htt);
    features.remove(&cores);
    if several {
        features.add(&htt);
        if !intel {
            features.add(&cores);
        }
    }
    policy.set_features(&features);

    if let Some(leaf) = policy.get_mut(0x1, 0) {
        // How many ids the package has; 8 bits, of which 0 would mean none.
        let ids = if several { ids.min(0x80) } else { 1 };
        leaf.ebx = leaf.ebx & 0x0000_ffff | ids << 16;
    }
    if intel {
        caches(policy, ids);
    }
    let levels = [
        Leaf { eax: 1, ebx: 1, ecx: THREADS, edx: 0 },
        Leaf { eax: id_bits, ebx: vcpus, ecx: CORES | 1, edx: 0 },
    ];
    for (subleaf, level) in (0..).zip(levels) {
        if let Some(leaf) = policy.get_mut(0xb, subleaf) {
            *leaf = level;
        }
    }
    if !intel && let Some(leaf) = policy.get_mut(0x8000_0008, 0) {
        leaf.ecx = (id_bits & 0xf) << 12 | vcpus.wrapping_sub(1).min(0xff);
    }
}

/// Leaf 4: the last level is the package's, the others are each core's.
fn caches(policy: &mut CpuPolicy, ids: u32) {
    let cores = (ids >> 1).clamp(1, 64).wrapping_sub(1);
    for subleaf in 0..6 {
        let Some(leaf) = policy.get_mut(0x4, subleaf) else { continue };
        if leaf.eax & 0x1f == 0 {
            continue;
        }
        let level = leaf.eax >> 5 & 7;
        let sharers = if level >= 3 { ids.clamp(1, 4096).wrapping_sub(1) } else { 1 };
        leaf.eax = leaf.eax & 0x3fff | sharers << 14 | cores << 26;
    }
}
