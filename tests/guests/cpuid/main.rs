//! CPUID: the hypervisor's leaves, and what of the CPU a guest may and may not see.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::cpu::{Cpuid, cpuid, uses_vmmcall, vendor};
use guest::{ensure, ensure_eq, note};
use x86defs::cpuid::{
    Ext1Ecx, LEAF_EXT_ADDRESS, LEAF_EXT_FEATURES, LEAF_FEATURES, Leaf1Ecx, Leaf1Edx, VENDOR_INTEL,
};
use xen_abi::arch_x86::cpuid::{
    FIRST_LEAF, HVM_DOMID_PRESENT, HVM_UPCALL_VECTOR, HVM_VCPU_ID_PRESENT, LEAF_HVM,
    LEAF_HYPERCALL, LEAF_TIME, LEAF_VERSION, SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX,
};

guest::guest!("cpuid", test);

fn test() {
    hypervisor_leaves();
    time_leaf();
    cpu_features();
}

fn hypervisor_leaves() {
    let base = cpuid(FIRST_LEAF, 0);
    ensure!(base.eax >= FIRST_LEAF + LEAF_HVM, "highest leaf is {:#x}", base.eax);
    let signature = [base.ebx, base.ecx, base.edx];
    ensure_eq!(signature, [SIGNATURE_EBX, SIGNATURE_ECX, SIGNATURE_EDX], "signature");

    let version = cpuid(FIRST_LEAF + LEAF_VERSION, 0);
    ensure_eq!(version, Cpuid { eax: 4 << 16 | 20, ebx: 0, ecx: 0, edx: 0 }, "version leaf");

    let call = cpuid(FIRST_LEAF + LEAF_HYPERCALL, 0);
    ensure_eq!(call.eax, 1, "hypercall pages");
    ensure_eq!(call.ebx, FIRST_LEAF, "hypercall page MSR");

    let hvm = cpuid(FIRST_LEAF + LEAF_HVM, 0);
    let wanted = HVM_VCPU_ID_PRESENT | HVM_DOMID_PRESENT | HVM_UPCALL_VECTOR;
    ensure!(hvm.eax & wanted == wanted, "HVM features are {:#x}", hvm.eax);
    ensure_eq!(hvm.ebx, 0, "vCPU id");
    ensure_eq!(hvm.ecx, 0, "domain id");
}

fn time_leaf() {
    let time = cpuid(FIRST_LEAF + LEAF_TIME, 0);
    let scale = cpuid(FIRST_LEAF + LEAF_TIME, 1);
    let host = cpuid(FIRST_LEAF + LEAF_TIME, 2);
    note!("TSC mode {}, {} kHz, host {} kHz", time.ebx, time.ecx, host.eax);
    ensure!(time.ecx > 100_000, "TSC frequency is {} kHz", time.ecx);
    ensure!(time.ebx <= 2, "TSC mode is {}", time.ebx);
    ensure!(scale.ecx != 0, "TSC multiplier is zero");
    ensure!(host.eax > 100_000, "host TSC frequency is {} kHz", host.eax);
}

fn cpu_features() {
    let features = cpuid(LEAF_FEATURES, 0);
    let (ecx, edx) = (Leaf1Ecx(features.ecx), Leaf1Edx(features.edx));
    ensure!(ecx.contains(Leaf1Ecx::HYPERVISOR), "the hypervisor bit is clear");
    ensure!(ecx.contains(Leaf1Ecx::X2APIC), "x2APIC is hidden");
    ensure!(!ecx.intersects(Leaf1Ecx::VMX | Leaf1Ecx::MONITOR), "VMX or MONITOR shows");
    let needed = Leaf1Edx::APIC | Leaf1Edx::TSC | Leaf1Edx::MSR | Leaf1Edx::PAT | Leaf1Edx::PAE;
    ensure!(edx.contains(needed), "leaf 1 EDX is {:#x}", edx.0);
    ensure_eq!(features.ebx >> 24, 0, "APIC id of the first vCPU");

    let extended = Ext1Ecx(cpuid(LEAF_EXT_FEATURES, 0).ecx);
    ensure!(!extended.contains(Ext1Ecx::SVM), "SVM shows");
    let bits = cpuid(LEAF_EXT_ADDRESS, 0).eax & 0xff;
    ensure!((32..=52).contains(&bits), "physical addresses have {bits} bits");
    ensure!(uses_vmmcall() != (vendor() == VENDOR_INTEL), "vendor {:x?}", vendor());
}
