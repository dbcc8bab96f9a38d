//! Policies for made-up machines, and what their guests then see.

use std::vec::Vec;

use hv_core::types::DomId;
use proptest::prelude::*;
use xen_abi::arch_x86::xen::{CPUID_NO_SUBLEAF, CpuidLeaf};

use super::features::ALLOWED;
use super::*;

const LIMITS: Limits = Limits { physical_bits: 40, xcr0: 0x207, spec_ctrl: false, pcid: true };

fn text(name: &[u8; 12]) -> (u32, u32, u32) {
    let word = |at: usize| u32::from_le_bytes(name[at..at + 4].try_into().unwrap());
    (word(0), word(8), word(4))
}

/// A processor with every feature bit set.
fn everything(vendor: &'static [u8; 12]) -> impl Fn(u32, u32) -> Leaf {
    move |leaf, subleaf| {
        let (ebx, ecx, edx) = text(vendor);
        match (leaf, subleaf) {
            (0, _) => Leaf { eax: 0x20, ebx, ecx, edx },
            (0x8000_0000, _) => Leaf { eax: 0x8000_0028, ebx, ecx, edx },
            (1, _) => Leaf { eax: 0x00a2_0f12, ebx: 0x0710_0800, ecx: !0, edx: !0 },
            (4, 0) => Leaf { eax: 0x1c00_4121, ebx: 0x01c0_003f, ecx: 0x3f, edx: 0 },
            (4, 3) => Leaf { eax: 0x1c03_c163, ebx: 0x03c0_003f, ecx: 0x3fff, edx: 0 },
            (4, _) => Leaf::ZERO,
            (0xd, 0) => Leaf { eax: 0x2e7, ebx: 0x988, ecx: 0x988, edx: 0 },
            (0xd, 2) => Leaf { eax: 0x100, ebx: 0x240, ecx: 0, edx: 0 },
            (0xd, 5) => Leaf { eax: 0x40, ebx: 0x440, ecx: 0, edx: 0 },
            (0xd, 6) => Leaf { eax: 0x200, ebx: 0x480, ecx: 2, edx: 0 },
            (0xd, 7) => Leaf { eax: 0x400, ebx: 0x680, ecx: 2, edx: 0 },
            (0xd, 9) => Leaf { eax: 8, ebx: 0x980, ecx: 0, edx: 0 },
            (0xd, 1) => Leaf { eax: !0, ebx: 0, ecx: 0x1800, edx: 0 },
            (0xd, _) => Leaf::ZERO,
            (0x8000_0008, _) => Leaf { eax: 0x0039_3930, ebx: !0, ecx: 0x700f, edx: 1 },
            _ => Leaf { eax: !0, ebx: !0, ecx: !0, edx: !0 },
        }
    }
}

fn amd() -> CpuPolicy {
    CpuPolicy::of_machine(everything(b"AuthenticAMD")).guest_max(&LIMITS)
}

fn guest(policy: CpuPolicy, vcpus: u32) -> GuestCpuid {
    let tsc = TscInfo {
        mode: 2,
        khz: 2_000_000,
        host_khz: 2_000_000,
        incarnation: 0,
        offset: 0x1_0000_0002,
        multiplier: 0x8000_0000,
        shift: -1,
        reliable: true,
        rdtscp: true,
    };
    let xen = XenInfo { domain: DomId(7), version: (4, 20), tsc, iommu_mappings: false };
    GuestCpuid::new(policy, vcpus, xen)
}

const STATE: VcpuState = VcpuState { vcpu: VcpuId(3), cr4: Cr4(0), xcr0: 1, bits64: true };

#[test]
fn features_of_guests() {
    let guest = guest(amd(), 4);
    let ask = |leaf, subleaf| guest.query(leaf, subleaf, &STATE);
    let one = ask(1, 0);
    assert_eq!(one.eax, 0x00a2_0f12);
    assert_eq!(one.ebx, 0x0608_0800, "APIC id 6, 8 ids, CLFLUSH size");
    for (bit, wanted) in
        [(3, 0), (5, 0), (15, 0), (17, 1), (21, 1), (24, 1), (26, 1), (27, 0), (31, 1)]
    {
        assert_eq!(one.ecx >> bit & 1, wanted, "leaf 1 ECX bit {bit}");
    }
    assert_eq!(one.edx >> 28 & 1, 1, "HTT");
    let ext = ask(0x8000_0001, 0);
    assert_eq!(ext.ecx & (1 << 2 | 1 << 10 | 1 << 22 | 1 << 23), 0, "SVM, IBS, TOPOEXT, PMU");
    assert_eq!(ext.ecx >> 1 & 1, 1, "cores, not threads");
    assert_eq!(ext.edx & 0x0183_f3ff, one.edx & 0x0183_f3ff, "AMD repeats them");
    assert_eq!(ask(0, 0).eax, 0xd);
    assert_eq!(ask(0x8000_0000, 0).eax, 0x8000_0021);
    for leaf in [
        3,
        5,
        6,
        9,
        0xa,
        0xe,
        0x10,
        0x20,
        0x8000_000a,
        0x8000_001b,
        0x8000_001f,
        0x8000_0022,
        0x4000_0006,
        0x4000_0100,
        0x5000_0000,
    ] {
        assert_eq!(ask(leaf, 0), Leaf::ZERO, "{leaf:#x}");
    }
    assert_eq!(ask(0x8000_0008, 0).eax, 0x3028, "widths of 48 and 40");
    assert_eq!(ask(0x8000_0008, 0).ebx & (1 << 14 | 1 << 15 | 1 << 24), 0, "SPEC_CTRL");
    assert_eq!(ask(7, 0).ebx >> 16 & 1, 0, "AVX-512: its state is not switched");
    assert_eq!(ask(7, 0).ebx >> 31 & 1, 0, "nor what needs it");
    assert_eq!(ask(7, 0).ecx & 1 << 16, 0, "LA57");
    assert_eq!(ask(7, 3), Leaf::ZERO);
    assert_eq!(ask(0x8000_0007, 0), Leaf { edx: 1 << 8, ..Leaf::ZERO });
}

#[test]
fn what_the_machine_lacks_is_missing() {
    let bare = |leaf, subleaf| match (leaf, subleaf) {
        (1, _) => Leaf { edx: 0x0783_fbff, ..Leaf::ZERO },
        (0x8000_0001, _) => Leaf { edx: 0x2010_0800, ..Leaf::ZERO },
        (0 | 0x8000_0000, _) => everything(b"AuthenticAMD")(leaf, subleaf),
        _ => Leaf::ZERO,
    };
    let guest = guest(CpuPolicy::of_machine(bare).guest_max(&LIMITS), 1);
    assert_eq!(guest.query(1, 0, &STATE).ecx, 1 << 31 | 1 << 24 | 1 << 21, "what is emulated");
    assert_eq!(guest.query(1, 0, &STATE).edx, 0x0783_fbff);
    assert_eq!(guest.query(0xd, 0, &STATE), Leaf::ZERO);
    assert_eq!(guest.policy().physical_bits(), 36);
    let msrs = guest.msr_policy(0x123);
    assert_eq!(msrs.efer, Efer::SCE | Efer::LME | Efer::LMA | Efer::NXE);
    assert!(!msrs.tsc_aux && !msrs.ibpb && !msrs.xss);
}

#[test]
fn state_bits() {
    let guest = guest(amd(), 4);
    let on = VcpuState { cr4: Cr4::OSXSAVE | Cr4::PKE, xcr0: 0x207, ..STATE };
    assert_eq!(guest.query(1, 0, &on).ecx >> 27 & 1, 1);
    assert_eq!(guest.query(7, 0, &on).ecx >> 4 & 1, 1);
    assert_eq!(guest.query(7, 1, &on).ecx, 0);
    assert_eq!(guest.query(0xd, 0, &STATE), Leaf { eax: 0x207, ebx: 576, ecx: 0x988, edx: 0 });
    assert_eq!(guest.query(0xd, 0, &on).ebx, 0x988);
    assert_eq!(guest.query(0xd, 0, &VcpuState { xcr0: 7, ..on }).ebx, 0x340);
    assert_eq!(guest.query(0xd, 1, &on), Leaf { eax: 0xf, ebx: 0x348, ecx: 0, edx: 0 });
    assert_eq!(guest.query(0xd, 6, &on), Leaf::ZERO);
    let intel = CpuPolicy::of_machine(everything(b"GenuineIntel")).guest_max(&LIMITS);
    let guest = super::tests::guest(intel, 4);
    let syscall =
        |bits64| guest.query(0x8000_0001, 0, &VcpuState { bits64, ..STATE }).edx >> 11 & 1;
    assert_eq!((syscall(true), syscall(false)), (1, 0));
    assert!(guest.msr_policy(0).intel);
}

#[test]
fn xen_leaves() {
    let guest = guest(amd(), 4);
    let ask = |leaf: u32, subleaf| {
        let Leaf { eax, ebx, ecx, edx } = guest.query(0x4000_0000 + leaf, subleaf, &STATE);
        (eax, ebx, ecx, edx)
    };
    assert_eq!(ask(0, 0), (0x4000_0005, 0x566e_6558, 0x6558_4d4d, 0x4d4d_566e));
    assert_eq!(ask(1, 0), (4 << 16 | 20, 0, 0, 0));
    assert_eq!(ask(2, 0), (1, 0x4000_0000, 0, 0));
    assert_eq!(ask(3, 0), (6, 2, 2_000_000, 0));
    assert_eq!(ask(3, 1), (2, 1, 0x8000_0000, 0xffff_ffff));
    assert_eq!(ask(3, 2), (2_000_000, 0, 0, 0));
    assert_eq!(ask(4, 0), (0x58, 3, 7, 0));
    assert_eq!(ask(4, 1), (0, 0, 0, 0));
    assert_eq!(ask(5, 0), (0, 0, 0, 0));
}

#[test]
fn leaves_round_trip() {
    let policy = amd();
    let leaves: Vec<CpuidLeaf> = policy.leaves().collect();
    assert!(leaves.len() <= CpuPolicy::max_leaves());
    assert!(
        leaves
            .iter()
            .all(|leaf| leaf.leaf <= 0xd || (0x8000_0000..=0x8000_0021).contains(&leaf.leaf))
    );
    assert_eq!(leaves[0].subleaf, CPUID_NO_SUBLEAF);
    let mut copy = CpuPolicy::of_machine(|_, _| Leaf::ZERO);
    assert_eq!(copy.overlay(leaves), Ok(()));
    assert_eq!(copy, policy);
    assert_eq!(copy.sanitise(&policy), Ok(()));
    assert_eq!(copy, policy, "it was safe already");
    assert_eq!(policy.guest_default().leaf(0x8000_0007, 0).edx, 0, "invariant TSC is on request");
    let leaf = |leaf, subleaf| CpuidLeaf { leaf, subleaf, ..Default::default() };
    for (good, bad) in [
        (leaf(0x4000_0000, !0), leaf(0x4000_0001, !0)),
        (leaf(4, 5), leaf(4, 6)),
        (leaf(7, 2), leaf(7, !0)),
        (leaf(0xd, 62), leaf(0xd, 63)),
        (leaf(0x8000_0021, !0), leaf(0x8000_0022, !0)),
        (leaf(0xc, !0), leaf(0xc, 0)),
        (leaf(0xb, 1), leaf(0xe, !0)),
    ] {
        assert_eq!(copy.overlay([good]), Ok(()), "{good:?}");
        assert_eq!(copy.overlay([bad]), Err(BadLeaf { leaf: bad.leaf, subleaf: bad.subleaf }));
    }
}

#[test]
fn a_toolstack_can_take_away() {
    let max = amd();
    let mut policy = max.guest_default();
    let one = max.leaf(1, 0);
    let without_xsave = CpuidLeaf {
        leaf: 1,
        subleaf: !0,
        a: one.eax,
        b: one.ebx,
        c: one.ecx & !(1 << 26),
        d: one.edx,
    };
    assert_eq!(policy.overlay([without_xsave]), Ok(()));
    assert_eq!(policy.sanitise(&max), Ok(()));
    assert_eq!(policy.leaf(1, 0).ecx & (1 << 28 | 1 << 12), 0, "AVX and FMA go too");
    assert_eq!(policy.leaf(7, 0).ebx & (1 << 5), 0, "and AVX2");
    assert_eq!(policy.leaf(0xd, 0), Leaf::ZERO);
    let too_many = CpuidLeaf { leaf: 0, subleaf: !0, a: 0xe, b: 0, c: 0, d: 0 };
    assert_eq!(policy.overlay([too_many]), Ok(()));
    assert_eq!(policy.sanitise(&max), Err(BadLeaf { leaf: 0, subleaf: !0 }));
}

#[test]
fn intel_caches() {
    let intel = CpuPolicy::of_machine(everything(b"GenuineIntel")).guest_max(&LIMITS);
    let guest = guest(intel, 4);
    assert_eq!(guest.query(4, 0, &STATE).eax, 0x0c00_4121, "two ids share L1, four cores");
    assert_eq!(guest.query(4, 3, &STATE).eax, 0x0c01_c163, "eight ids share L3");
    assert_eq!(guest.query(4, 5, &STATE), Leaf::ZERO);
    assert_eq!(guest.query(0x8000_0001, 0, &STATE).ecx & 2, 0);
}

proptest! {
    /// Every leaf agrees about the number of vCPUs and their ids.
    #[test]
    fn topologies_agree(vcpus in 1u32..=128, intel: bool) {
        let vendor = if intel { b"GenuineIntel" } else { b"AuthenticAMD" };
        let policy = CpuPolicy::of_machine(everything(vendor)).guest_max(&LIMITS);
        let guest = guest(policy, vcpus);
        let last = VcpuState { vcpu: VcpuId(vcpus - 1), ..STATE };
        let id = 2 * (vcpus - 1);
        prop_assert_eq!(guest.query(1, 0, &last).ebx >> 24, id);
        let (smt, core) = (guest.query(0xb, 0, &last), guest.query(0xb, 1, &last));
        prop_assert_eq!((smt.eax, smt.ebx, smt.ecx, smt.edx), (1, 1, 0x100, id));
        prop_assert_eq!((core.ebx, core.ecx, core.edx), (vcpus, 0x201, id));
        prop_assert_eq!(id >> core.eax, 0);
        prop_assert_eq!(guest.query(0xb, 2, &last), Leaf { ecx: 2, edx: id, ..Leaf::ZERO });
        if !intel {
            let size = guest.query(0x8000_0008, 0, &last).ecx;
            prop_assert_eq!(size, core.eax << 12 | (vcpus - 1));
        }
        prop_assert_eq!(guest.query(1, 0, &last).edx >> 28 & 1, u32::from(vcpus > 1));
    }

    /// Whatever a toolstack writes, the outcome is within the maximum.
    #[test]
    fn sanitised_policies_are_safe(leaves in proptest::collection::vec(
        (prop_oneof![0u32..0xe, 0x8000_0000u32..0x8000_0022], 0u32..63, any::<[u32; 4]>()), 0..40)) {
        let max = amd();
        let mut policy = max.guest_default();
        for (leaf, subleaf, [a, b, c, d]) in leaves {
            let subleaf = if matches!(leaf, 4 | 7 | 0xb | 0xd) { subleaf } else { !0 };
            let (a, c) = if leaf & 0xfff_ffff == 0 { (a & 0x8000_000f, c) } else { (a, c) };
            let _ = policy.overlay([CpuidLeaf { leaf, subleaf, a, b, c, d }]);
        }
        if policy.sanitise(&max).is_ok() {
            let (mine, most) = (policy.features(), max.features());
            for index in 0..WORDS {
                prop_assert_eq!(mine.word(index) & !most.word(index), 0);
                prop_assert_eq!(most.word(index) & !ALLOWED.word(index), 0);
            }
            prop_assert_eq!(policy.xcr0() & !LIMITS.xcr0, 0);
            prop_assert!(policy.physical_bits() <= 40);
            let state = VcpuState { xcr0: 0x207, ..STATE };
            let guest = guest(policy, 3);
            for leaf in (0..0x20).chain(0x8000_0000..0x8000_0030) {
                guest.query(leaf, 1, &state);
            }
            guest.msr_policy(0);
        }
    }
}
