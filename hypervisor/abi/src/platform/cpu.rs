//! pCPUs: hotplug, power, microcode, MSRs.

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XENPF_microcode_update`.
///
/// `xenpf_microcode_update` in `platform.h`.
#[doc(alias = "xenpf_microcode_update")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MicrocodeUpdate {
    /// Microcode.
    pub data: GuestHandle,
    /// Bytes.
    pub length: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(MicrocodeUpdate, size 16, { data: 0, length: 8, _pad0: 12 });

/// `XENPF_microcode_update2`.
///
/// `xenpf_microcode_update2` in `platform.h`.
#[doc(alias = "xenpf_microcode_update2")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MicrocodeUpdate2 {
    /// Bit 0: force.
    pub flags: u32,
    /// Bytes.
    pub length: u32,
    /// Microcode.
    pub data: GuestHandle,
}

layout!(MicrocodeUpdate2, size 16, { flags: 0, length: 4, data: 8 });

/// `XENPF_get_ucode_revision`.
///
/// `xenpf_ucode_revision` in `platform.h`.
#[doc(alias = "xenpf_ucode_revision")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct UcodeRevision {
    /// IN: pCPU.
    pub cpu: u32,
    /// OUT: family, model, stepping.
    pub signature: u32,
    /// OUT: platform flags (Intel).
    pub pf: u32,
    /// OUT: revision.
    pub revision: u32,
}

layout!(UcodeRevision, size 16, { cpu: 0, signature: 4, pf: 8, revision: 12 });

/// `XENPF_platform_quirk`.
///
/// `xenpf_platform_quirk` in `platform.h`.
#[doc(alias = "xenpf_platform_quirk")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PlatformQuirk {
    /// Which quirk.
    pub quirk_id: u32,
}

layout!(PlatformQuirk, size 4, { quirk_id: 0 });

/// `XENPF_enter_acpi_sleep`.
///
/// `xenpf_enter_acpi_sleep` in `platform.h`.
#[doc(alias = "xenpf_enter_acpi_sleep")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EnterAcpiSleep {
    /// PM1a control, or sleep control.
    pub val_a: u16,
    /// PM1b control, or sleep status.
    pub val_b: u16,
    /// S-state.
    pub sleep_state: u32,
    /// Bit 0: extended registers.
    pub flags: u32,
}

layout!(EnterAcpiSleep, size 12, { val_a: 0, val_b: 2, sleep_state: 4, flags: 8 });

/// `XENPF_change_freq`.
///
/// `xenpf_change_freq` in `platform.h`.
#[doc(alias = "xenpf_change_freq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ChangeFreq {
    /// Zero.
    pub flags: u32,
    /// pCPU.
    pub cpu: u32,
    /// Hz.
    pub freq: u64,
}

layout!(ChangeFreq, size 16, { flags: 0, cpu: 4, freq: 8 });

/// `XENPF_getidletime`.
///
/// `xenpf_getidletime` in `platform.h`.
#[doc(alias = "xenpf_getidletime")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetIdleTime {
    /// IN, OUT: pCPUs.
    pub cpumap_bitmap: GuestHandle,
    /// IN: bits of it.
    pub cpumap_nr_cpus: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: u64 nanoseconds.
    pub idletime: GuestHandle,
    /// OUT: system time.
    pub now: u64,
}

layout!(GetIdleTime, size 32, {
    cpumap_bitmap: 0, cpumap_nr_cpus: 8, _pad0: 12, idletime: 16, now: 24,
});

/// `XENPF_set_processor_pminfo`.
///
/// `xenpf_set_processor_pminfo` in `platform.h`.
#[doc(alias = "xenpf_set_processor_pminfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetProcessorPminfo {
    /// ACPI processor id.
    pub id: u32,
    /// What is told.
    pub ty: PminfoType,
    /// ACPI objects: read by type; not rendered further.
    pub u: Payload<13>,
}

layout!(SetProcessorPminfo, size 112, { id: 0, ty: 4, u: 8 });

open_enum! {
    /// What [`SetProcessorPminfo`] tells.
    pub struct PminfoType(u32) {
        /// Idle states.
        CX = 0, "XEN_PM_CX";
        /// P-states.
        PX = 1, "XEN_PM_PX";
        /// Throttling.
        TX = 2, "XEN_PM_TX";
        /// Capabilities.
        PDC = 3, "XEN_PM_PDC";
    }
}

/// `XENPF_get_cpuinfo`.
///
/// `xenpf_pcpuinfo` in `platform.h`.
#[doc(alias = "xenpf_pcpuinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PcpuInfo {
    /// IN: pCPU.
    pub xen_cpuid: u32,
    /// OUT: highest present.
    pub max_present: u32,
    /// OUT: `PCPU_FLAGS_*`.
    pub flags: u32,
    /// OUT: APIC id.
    pub apic_id: u32,
    /// OUT: ACPI id.
    pub acpi_id: u32,
}

layout!(PcpuInfo, size 20, { xen_cpuid: 0, max_present: 4, flags: 8, apic_id: 12, acpi_id: 16 });

constants! {
    // Flags of [`PcpuInfo`].
    u32 {
        /// Online.
        PCPU_FLAGS_ONLINE = 1, "XEN_PCPU_FLAGS_ONLINE";
        /// No such pCPU.
        PCPU_FLAGS_INVALID = 2, "XEN_PCPU_FLAGS_INVALID";
    }
}

/// `XENPF_get_cpu_version`.
///
/// `xenpf_pcpu_version` in `platform.h`.
#[doc(alias = "xenpf_pcpu_version")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PcpuVersion {
    /// IN: pCPU.
    pub xen_cpuid: u32,
    /// OUT: highest present.
    pub max_present: u32,
    /// OUT: vendor.
    pub vendor_id: [u8; 12],
    /// OUT: family.
    pub family: u32,
    /// OUT: model.
    pub model: u32,
    /// OUT: stepping.
    pub stepping: u32,
}

layout!(PcpuVersion, size 32, {
    xen_cpuid: 0, max_present: 4, vendor_id: 8, family: 20, model: 24, stepping: 28,
});

/// `XENPF_cpu_online` and `XENPF_cpu_offline`.
///
/// `xenpf_cpu_ol` in `platform.h`.
#[doc(alias = "xenpf_cpu_ol")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuOl {
    /// pCPU.
    pub cpuid: u32,
}

layout!(CpuOl, size 4, { cpuid: 0 });

/// `XENPF_cpu_hotadd`.
///
/// `xenpf_cpu_hotadd` in `platform.h`.
#[doc(alias = "xenpf_cpu_hotadd")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuHotadd {
    /// APIC id.
    pub apic_id: u32,
    /// ACPI id.
    pub acpi_id: u32,
    /// Proximity domain.
    pub pxm: u32,
}

layout!(CpuHotadd, size 12, { apic_id: 0, acpi_id: 4, pxm: 8 });

/// `XENPF_mem_hotadd`.
///
/// `xenpf_mem_hotadd` in `platform.h`.
#[doc(alias = "xenpf_mem_hotadd")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemHotadd {
    /// First frame.
    pub spfn: u64,
    /// Past the last frame.
    pub epfn: u64,
    /// Proximity domain.
    pub pxm: u32,
    /// Flags.
    pub flags: u32,
}

layout!(MemHotadd, size 24, { spfn: 0, epfn: 8, pxm: 16, flags: 20 });

/// `XENPF_core_parking`.
///
/// `xenpf_core_parking` in `platform.h`.
#[doc(alias = "xenpf_core_parking")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CoreParking {
    /// 1 sets, 2 tells.
    pub ty: u32,
    /// Parked pCPUs.
    pub idle_nums: u32,
}

layout!(CoreParking, size 8, { ty: 0, idle_nums: 4 });

/// One access of [`ResourceOp`].
///
/// `xenpf_resource_entry` in `platform.h`.
#[doc(alias = "xenpf_resource_entry")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ResourceEntry {
    /// IN: 0 read, 1 write; OUT: 0 or an error.
    pub cmd_or_ret: u32,
    /// Zero.
    pub rsvd: u32,
    /// MSR.
    pub idx: u64,
    /// Its value.
    pub val: u64,
}

layout!(ResourceEntry, size 24, { cmd_or_ret: 0, rsvd: 4, idx: 8, val: 16 });

/// `XENPF_resource_op`.
///
/// `xenpf_resource_op` in `platform.h`.
#[doc(alias = "xenpf_resource_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ResourceOp {
    /// How many.
    pub nr_entries: u32,
    /// pCPU.
    pub cpu: u32,
    /// [`ResourceEntry`] entries.
    pub entries: GuestHandle,
}

layout!(ResourceOp, size 16, { nr_entries: 0, cpu: 4, entries: 8 });
