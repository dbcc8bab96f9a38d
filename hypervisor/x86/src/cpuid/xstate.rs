//! Leaf 0xD: the state that XSAVE saves, and how big it is.

use x86defs::cpuid::{Leaf1Ecx, Leaf7Ebx, Leaf7Ecx};
use x86defs::cr::Xcr0;

use super::Leaf;
use super::features::{FeatureSet, word};

/// The legacy area and the header.
const MIN_BYTES: u32 = 576;
/// Subleaf 1, ECX of a component: it is aligned in the compacted format.
const ALIGNED: u32 = 1 << 1;

const AVX512: u64 = Xcr0::OPMASK.bits() | Xcr0::ZMM_HI256.bits() | Xcr0::HI16_ZMM.bits();
const LEGACY: u64 = Xcr0::X87.bits() | Xcr0::SSE.bits();

/// Features and the state that they need, in the order of dependence.
const NEEDS: [(u64, (usize, u32)); 4] = [
    (LEGACY, (word::L1C, Leaf1Ecx::XSAVE.bits())),
    (Xcr0::AVX.bits(), (word::L1C, Leaf1Ecx::AVX.bits())),
    (AVX512, (word::L7B, Leaf7Ebx::AVX512F.bits())),
    (Xcr0::PKRU.bits(), (word::L7C, Leaf7Ecx::PKU.bits())),
];

/// Removes the features that need more state than the components `xcr0`.
pub(super) fn drop_without_state(features: &mut FeatureSet, xcr0: u64) {
    for (state, feature) in NEEDS {
        if xcr0 & state != state {
            features.remove(&[feature]);
        }
    }
}

/// Rewrites the leaf for a guest with `features`, of which at most the components `xcr0` are
/// switched. The components' own subleaves are the machine's.
pub(super) fn fill(leaf: &mut [Leaf; 63], features: &FeatureSet, xcr0: u64) {
    let [first, second, components @ ..] = leaf;
    let has = |(index, bits): (usize, u32)| features.has(index, bits);
    let offered = NEEDS.iter().filter(|(_, feature)| has(*feature));
    let xcr0 = offered.fold(0, |sum, (state, _)| sum | state) & xcr0;
    for (number, component) in (2u32..).zip(components.iter_mut()) {
        if xcr0 >> (number & 63) & 1 == 0 {
            *component = Leaf::ZERO;
        }
    }
    if xcr0 == 0 {
        (*first, *second) = (Leaf::ZERO, Leaf::ZERO);
        return;
    }
    let bytes = standard_bytes(components, xcr0);
    *first = Leaf { eax: xcr0 as u32, ebx: bytes, ecx: bytes, edx: (xcr0 >> 32) as u32 };
    *second = Leaf { eax: features.word(word::XSAVE), ..Leaf::ZERO };
}

/// Size of the standard format: up to the end of the last component in use. `components` are
/// the subleaves from 2 on.
pub(super) fn standard_bytes(components: &[Leaf], xcr0: u64) -> u32 {
    in_use(components, xcr0)
        .map(|component| component.eax.saturating_add(component.ebx))
        .fold(MIN_BYTES, u32::max)
}

/// Size of the compacted format: the components in use one after the other.
pub(super) fn compacted_bytes(components: &[Leaf], states: u64) -> u32 {
    in_use(components, states).fold(MIN_BYTES, |offset, component| {
        let start = if component.ecx & ALIGNED != 0 {
            offset.checked_next_multiple_of(64).unwrap_or(offset)
        } else {
            offset
        };
        start.saturating_add(component.eax)
    })
}

fn in_use(components: &[Leaf], states: u64) -> impl Iterator<Item = &Leaf> {
    // Bits 0 and 1 are the legacy area.
    let mut left = states >> 2;
    core::iter::from_fn(move || {
        let next = left.trailing_zeros() as usize;
        left &= left.wrapping_sub(1);
        components.get(next)
    })
}
