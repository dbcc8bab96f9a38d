//! `arch-x86/xen.h` and `arch-x86/xen-x86_64.h`: the x86 parts of common structures.

use crate::macros::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// x86 part of [`VcpuInfo`](crate::xen::VcpuInfo).
///
/// `arch_vcpu_info` in `arch-x86/xen.h`.
#[doc(alias = "arch_vcpu_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ArchVcpuInfo {
    /// PV: the faulting address.
    pub cr2: u64,
    /// Padding; zero.
    pub _pad0: u64,
}

layout!(ArchVcpuInfo, size 16, { cr2: 0, _pad0: 8 });

/// x86 part of [`SharedInfo`](crate::xen::SharedInfo); PV, but for `nmi_reason`.
///
/// `arch_shared_info` in `arch-x86/xen.h`.
#[doc(alias = "arch_shared_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ArchSharedInfo {
    /// Entries of the p2m list.
    pub max_pfn: u64,
    /// Frame of the list of lists.
    pub pfn_to_mfn_frame_list_list: u64,
    /// Why an NMI came.
    pub nmi_reason: u64,
    /// Root of the address space of `p2m_vaddr`.
    pub p2m_cr3: u64,
    /// Virtual address of the linear p2m list.
    pub p2m_vaddr: u64,
    /// Odd while the list changes.
    pub p2m_generation: u64,
}

layout!(ArchSharedInfo, size 48, {
    max_pfn: 0, pfn_to_mfn_frame_list_list: 8, nmi_reason: 16, p2m_cr3: 24, p2m_vaddr: 32,
    p2m_generation: 40,
});

/// x86 part of a domain's creation.
///
/// `xen_arch_domainconfig` in `arch-x86/xen.h`.
#[doc(alias = "xen_arch_domainconfig")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DomainConfig {
    /// `EMU_*`: devices to emulate.
    pub emulation_flags: u32,
    /// `MSR_RELAXED`.
    pub misc_flags: u32,
}

layout!(DomainConfig, size 8, { emulation_flags: 0, misc_flags: 4 });

constants! {
    // Flags of [`DomainConfig`].
    u32 {
        /// Local APIC: all that a PVH guest has.
        EMU_LAPIC = 1 << 0, "XEN_X86_EMU_LAPIC";
        /// HPET.
        EMU_HPET = 1 << 1, "XEN_X86_EMU_HPET";
        /// ACPI power management.
        EMU_PM = 1 << 2, "XEN_X86_EMU_PM";
        /// Real-time clock.
        EMU_RTC = 1 << 3, "XEN_X86_EMU_RTC";
        /// I/O APIC.
        EMU_IOAPIC = 1 << 4, "XEN_X86_EMU_IOAPIC";
        /// 8259.
        EMU_PIC = 1 << 5, "XEN_X86_EMU_PIC";
        /// VGA.
        EMU_VGA = 1 << 6, "XEN_X86_EMU_VGA";
        /// IOMMU.
        EMU_IOMMU = 1 << 7, "XEN_X86_EMU_IOMMU";
        /// 8254.
        EMU_PIT = 1 << 8, "XEN_X86_EMU_PIT";
        /// Physical interrupts over event channels.
        EMU_USE_PIRQ = 1 << 9, "XEN_X86_EMU_USE_PIRQ";
        /// PCI.
        EMU_VPCI = 1 << 10, "XEN_X86_EMU_VPCI";
        /// All of them.
        EMU_ALL = 0x7ff, "XEN_X86_EMU_ALL";
        /// Unknown MSRs read as zero instead of faulting.
        MSR_RELAXED = 1 << 0, "XEN_X86_MSR_RELAXED";
    }
}

/// One CPUID leaf of a policy.
///
/// `xen_cpuid_leaf` in `arch-x86/xen.h`.
#[doc(alias = "xen_cpuid_leaf")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuidLeaf {
    /// EAX.
    pub leaf: u32,
    /// ECX, or `CPUID_NO_SUBLEAF`.
    pub subleaf: u32,
    /// Resulting EAX.
    pub a: u32,
    /// Resulting EBX.
    pub b: u32,
    /// Resulting ECX.
    pub c: u32,
    /// Resulting EDX.
    pub d: u32,
}

layout!(CpuidLeaf, size 24, { leaf: 0, subleaf: 4, a: 8, b: 12, c: 16, d: 20 });

constants! {
    // Values of [`CpuidLeaf`].
    u32 {
        /// The leaf has no subleaves.
        CPUID_NO_SUBLEAF = 0xffff_ffff, "XEN_CPUID_NO_SUBLEAF";
    }
}

/// One MSR of a policy.
///
/// `xen_msr_entry` in `arch-x86/xen.h`.
#[doc(alias = "xen_msr_entry")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MsrEntry {
    /// Its index.
    pub idx: u32,
    /// Zero.
    pub flags: u32,
    /// Its value.
    pub val: u64,
}

layout!(MsrEntry, size 16, { idx: 0, flags: 4, val: 8 });

constants! {
    // Ports.
    u16 {
        /// A guest writes text for the hypervisor's log here.
        HVM_DEBUGCONS_IOPORT = 0xe9, "XEN_HVM_DEBUGCONS_IOPORT";
    }
}
