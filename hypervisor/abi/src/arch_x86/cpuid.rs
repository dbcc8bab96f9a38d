//! `arch-x86/cpuid.h`: the CPUID leaves that the hypervisor shows, from base 0x40000000 up.

use crate::macros::constants;

constants! {
    // The base and its signature "XenVMMXenVMM", in EBX, ECX, EDX.
    u32 {
        /// EAX of it: the highest leaf.
        FIRST_LEAF = 0x4000_0000, "XEN_CPUID_FIRST_LEAF";
        /// "XenV".
        SIGNATURE_EBX = 0x566e_6558, "XEN_CPUID_SIGNATURE_EBX";
        /// "MMXe".
        SIGNATURE_ECX = 0x6558_4d4d, "XEN_CPUID_SIGNATURE_ECX";
        /// "nVMM".
        SIGNATURE_EDX = 0x4d4d_566e, "XEN_CPUID_SIGNATURE_EDX";
        /// Highest leaf above the base.
        MAX_NUM_LEAVES = 5, "XEN_CPUID_MAX_NUM_LEAVES";
    }
}

constants! {
    // Leaves, as offsets from the base.
    u32 {
        /// EAX: `major << 16 | minor`.
        LEAF_VERSION = 1;
        /// EAX: hypercall pages; EBX: MSR that writes one; ECX, EDX: features.
        LEAF_HYPERCALL = 2;
        /// By subleaf: TSC mode and frequency; offset and scale; host frequency.
        LEAF_TIME = 3;
        /// EAX: `HVM_*`; EBX: vCPU id; ECX: domain id.
        LEAF_HVM = 4;
        /// EBX: machine address width.
        LEAF_PV = 5;
    }
}

constants! {
    // EAX of the time leaf, subleaf 0, and its modes (EBX).
    u32 {
        /// RDTSC is emulated.
        CPUID_TSC_EMULATED = 1 << 0, "XEN_CPUID_TSC_EMULATED";
        /// The host's TSC is reliable.
        CPUID_HOST_TSC_RELIABLE = 1 << 1, "XEN_CPUID_HOST_TSC_RELIABLE";
        /// RDTSCP can be used.
        CPUID_RDTSCP_INSTR_AVAIL = 1 << 2, "XEN_CPUID_RDTSCP_INSTR_AVAIL";
        /// Emulate if needed.
        CPUID_TSC_MODE_DEFAULT = 0, "XEN_CPUID_TSC_MODE_DEFAULT";
        /// Always emulate.
        CPUID_TSC_MODE_ALWAYS_EMULATE = 1, "XEN_CPUID_TSC_MODE_ALWAYS_EMULATE";
        /// Never emulate.
        CPUID_TSC_MODE_NEVER_EMULATE = 2, "XEN_CPUID_TSC_MODE_NEVER_EMULATE";
        /// Removed mode.
        CPUID_TSC_MODE_PVRDTSCP = 3, "XEN_CPUID_TSC_MODE_PVRDTSCP";
    }
}

constants! {
    // EAX of the HVM leaf.
    u32 {
        /// The CPU virtualizes APIC registers.
        HVM_APIC_ACCESS_VIRT = 1 << 0, "XEN_HVM_CPUID_APIC_ACCESS_VIRT";
        /// The CPU virtualizes x2APIC accesses.
        HVM_X2APIC_VIRT = 1 << 1, "XEN_HVM_CPUID_X2APIC_VIRT";
        /// Foreign mappings have IOMMU entries.
        HVM_IOMMU_MAPPINGS = 1 << 2, "XEN_HVM_CPUID_IOMMU_MAPPINGS";
        /// EBX is the vCPU id.
        HVM_VCPU_ID_PRESENT = 1 << 3, "XEN_HVM_CPUID_VCPU_ID_PRESENT";
        /// ECX is the domain id.
        HVM_DOMID_PRESENT = 1 << 4, "XEN_HVM_CPUID_DOMID_PRESENT";
        /// 15-bit destination ids.
        HVM_EXT_DEST_ID = 1 << 5, "XEN_HVM_CPUID_EXT_DEST_ID";
        /// Per-vCPU upcall vectors work.
        HVM_UPCALL_VECTOR = 1 << 6, "XEN_HVM_CPUID_UPCALL_VECTOR";
    }
}

constants! {
    // The MSR that writes the hypercall page.
    u32 {
        /// As in EBX of the hypercall leaf; writing `gfn << 12 | page` fills that page.
        HYPERCALL_PAGE_MSR = 0x4000_0000;
    }
}
