//! `features.h`: feature flags reported by `XENVER_get_features` and asked for by ELF notes.

use crate::macros::{constants, open_enum};

open_enum! {
    /// A feature's bit number.
    pub struct Feature(u32) {
        /// PV: page tables may be written directly.
        WRITABLE_PAGE_TABLES = 0, "XENFEAT_writable_page_tables";
        /// PV: descriptor tables may be written directly.
        WRITABLE_DESCRIPTOR_TABLES = 1, "XENFEAT_writable_descriptor_tables";
        /// Frame numbers of the guest are its own; the hypervisor translates.
        AUTO_TRANSLATED_PHYSMAP = 2, "XENFEAT_auto_translated_physmap";
        /// The kernel runs in ring 0.
        SUPERVISOR_MODE_KERNEL = 3, "XENFEAT_supervisor_mode_kernel";
        /// PAE page directories may lie above 4 GiB.
        PAE_PGDIR_ABOVE_4GB = 4, "XENFEAT_pae_pgdir_above_4gb";
        /// PV only.
        MMU_PT_UPDATE_PRESERVE_AD = 5, "XENFEAT_mmu_pt_update_preserve_ad";
        /// PV only.
        HIGHMEM_ASSIST = 6, "XENFEAT_highmem_assist";
        /// PV only.
        GNTTAB_MAP_AVAIL_BITS = 7, "XENFEAT_gnttab_map_avail_bits";
        /// Upcalls can come on a vector.
        HVM_CALLBACK_VECTOR = 8, "XENFEAT_hvm_callback_vector";
        /// The PV clock is right in HVM containers.
        HVM_SAFE_PVCLOCK = 9, "XENFEAT_hvm_safe_pvclock";
        /// Physical interrupts can be routed over event channels.
        HVM_PIRQS = 10, "XENFEAT_hvm_pirqs";
        /// May run as dom0.
        DOM0 = 11, "XENFEAT_dom0";
        /// `XENMEMF_vnode` is understood.
        MEMORY_OP_VNODE_SUPPORTED = 13, "XENFEAT_memory_op_vnode_supported";
        /// Arm only.
        ARM_SMCCC_SUPPORTED = 14, "XENFEAT_ARM_SMCCC_supported";
        /// The RSDP may lie above 1 MiB.
        LINUX_RSDP_UNRESTRICTED = 15, "XENFEAT_linux_rsdp_unrestricted";
        /// gfn != mfn.
        NOT_DIRECT_MAPPED = 16, "XENFEAT_not_direct_mapped";
        /// gfn == mfn.
        DIRECT_MAPPED = 17, "XENFEAT_direct_mapped";
        /// `VCPUOP_register_runstate_phys_area` exists.
        RUNSTATE_PHYS_AREA = 18, "XENFEAT_runstate_phys_area";
        /// `VCPUOP_register_vcpu_time_phys_area` exists.
        VCPU_TIME_PHYS_AREA = 19, "XENFEAT_vcpu_time_phys_area";
        /// The device model sees every MSI-X vector control write.
        DM_MSIX_ALL_WRITES = 20, "XENFEAT_dm_msix_all_writes";
    }
}

impl Feature {
    /// The feature's bit in submap 0.
    #[must_use]
    pub const fn bit(self) -> u32 {
        1_u32.wrapping_shl(self.0)
    }
}

constants! {
    // The number of submaps.
    u32 {
        /// Submaps that `XENVER_get_features` has.
        XENFEAT_NR_SUBMAPS = 1;
    }
}
