//! `platform.h`: `platform_op(op)`, the platform as the hardware domain's kernel sees it.

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! {
    // The version that [`PlatformOp::interface_version`] must have.
    u32 {
        /// Xen 4.20 and Linux 6.12.
        INTERFACE_VERSION = 0x0300_0001, "XENPF_INTERFACE_VERSION";
    }
}

open_enum! {
    /// Operations.
    pub struct PlatformCmd(u32) {
        /// [`SetTime32`].
        SETTIME32 = 17, "XENPF_settime32";
        /// [`AddMemtype`].
        ADD_MEMTYPE = 31, "XENPF_add_memtype";
        /// [`DelMemtype`].
        DEL_MEMTYPE = 32, "XENPF_del_memtype";
        /// [`ReadMemtype`].
        READ_MEMTYPE = 33, "XENPF_read_memtype";
        /// [`MicrocodeUpdate`].
        MICROCODE_UPDATE = 35, "XENPF_microcode_update";
        /// [`PlatformQuirk`].
        PLATFORM_QUIRK = 39, "XENPF_platform_quirk";
        /// [`PcpuVersion`].
        GET_CPU_VERSION = 48, "XENPF_get_cpu_version";
        /// [`EfiRuntimeCall`].
        EFI_RUNTIME_CALL = 49, "XENPF_efi_runtime_call";
        /// [`FirmwareInfo`].
        FIRMWARE_INFO = 50, "XENPF_firmware_info";
        /// [`EnterAcpiSleep`].
        ENTER_ACPI_SLEEP = 51, "XENPF_enter_acpi_sleep";
        /// [`ChangeFreq`].
        CHANGE_FREQ = 52, "XENPF_change_freq";
        /// [`GetIdleTime`].
        GETIDLETIME = 53, "XENPF_getidletime";
        /// [`SetProcessorPminfo`].
        SET_PROCESSOR_PMINFO = 54, "XENPF_set_processor_pminfo";
        /// [`PcpuInfo`].
        GET_CPUINFO = 55, "XENPF_get_cpuinfo";
        /// [`CpuOl`].
        CPU_ONLINE = 56, "XENPF_cpu_online";
        /// [`CpuOl`].
        CPU_OFFLINE = 57, "XENPF_cpu_offline";
        /// [`CpuHotadd`].
        CPU_HOTADD = 58, "XENPF_cpu_hotadd";
        /// [`MemHotadd`].
        MEM_HOTADD = 59, "XENPF_mem_hotadd";
        /// [`CoreParking`].
        CORE_PARKING = 60, "XENPF_core_parking";
        /// [`ResourceOp`].
        RESOURCE_OP = 61, "XENPF_resource_op";
        /// [`SetTime64`].
        SETTIME64 = 62, "XENPF_settime64";
        /// [`SymData`].
        GET_SYMBOL = 63, "XENPF_get_symbol";
        /// [`Dom0VgaConsoleInfo`]; returns its size.
        GET_DOM0_CONSOLE = 64, "XENPF_get_dom0_console";
        /// [`UcodeRevision`].
        GET_UCODE_REVISION = 65, "XENPF_get_ucode_revision";
        /// [`MicrocodeUpdate2`].
        MICROCODE_UPDATE2 = 66, "XENPF_microcode_update2";
    }
}

/// Argument of the `platform_op` hypercall.
///
/// `xen_platform_op` in `platform.h`.
#[doc(alias = "xen_platform_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PlatformOp {
    /// Which operation.
    pub cmd: PlatformCmd,
    /// `INTERFACE_VERSION`.
    pub interface_version: u32,
    /// The operation's structure.
    pub u: Payload<16>,
}

layout!(PlatformOp, size 136, { cmd: 0, interface_version: 4, u: 8 });

/// `XENPF_settime32`.
///
/// `xenpf_settime32` in `platform.h`.
#[doc(alias = "xenpf_settime32")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetTime32 {
    /// Wall clock at `system_time`: seconds since 1970.
    pub secs: u32,
    /// And nanoseconds.
    pub nsecs: u32,
    /// System time.
    pub system_time: u64,
}

layout!(SetTime32, size 16, { secs: 0, nsecs: 4, system_time: 8 });

/// `XENPF_settime64`.
///
/// `xenpf_settime64` in `platform.h`.
#[doc(alias = "xenpf_settime64")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetTime64 {
    /// Wall clock at `system_time`: seconds since 1970.
    pub secs: u64,
    /// And nanoseconds.
    pub nsecs: u32,
    /// Zero.
    pub mbz: u32,
    /// System time.
    pub system_time: u64,
}

layout!(SetTime64, size 24, { secs: 0, nsecs: 8, mbz: 12, system_time: 16 });

/// `XENPF_add_memtype`.
///
/// `xenpf_add_memtype` in `platform.h`.
#[doc(alias = "xenpf_add_memtype")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AddMemtype {
    /// First frame.
    pub mfn: u64,
    /// How many.
    pub nr_mfns: u64,
    /// MTRR type.
    pub ty: u32,
    /// OUT: names the setting.
    pub handle: u32,
    /// OUT: MTRR.
    pub reg: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(AddMemtype, size 32, { mfn: 0, nr_mfns: 8, ty: 16, handle: 20, reg: 24, _pad0: 28 });

/// `XENPF_del_memtype`.
///
/// `xenpf_del_memtype` in `platform.h`.
#[doc(alias = "xenpf_del_memtype")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DelMemtype {
    /// The setting, or 0.
    pub handle: u32,
    /// MTRR.
    pub reg: u32,
}

layout!(DelMemtype, size 8, { handle: 0, reg: 4 });

/// `XENPF_read_memtype`.
///
/// `xenpf_read_memtype` in `platform.h`.
#[doc(alias = "xenpf_read_memtype")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ReadMemtype {
    /// IN: MTRR.
    pub reg: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: first frame.
    pub mfn: u64,
    /// OUT: how many.
    pub nr_mfns: u64,
    /// OUT: MTRR type.
    pub ty: u32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(ReadMemtype, size 32, { reg: 0, _pad0: 4, mfn: 8, nr_mfns: 16, ty: 24, _pad1: 28 });

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

/// EFI_TIME.
///
/// `xenpf_efi_time` in `platform.h`.
#[doc(alias = "xenpf_efi_time")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EfiTime {
    /// Year.
    pub year: u16,
    /// Month, from 1.
    pub month: u8,
    /// Day, from 1.
    pub day: u8,
    /// Hour.
    pub hour: u8,
    /// Minute.
    pub min: u8,
    /// Second.
    pub sec: u8,
    /// Padding.
    pub _pad0: [u8; 1],
    /// Nanosecond.
    pub ns: u32,
    /// Minutes from UTC; 0x7ff is local time.
    pub tz: i16,
    /// Daylight saving.
    pub daylight: u8,
    /// Padding.
    pub _pad1: [u8; 1],
}

layout!(EfiTime, size 16, {
    year: 0, month: 2, day: 3, hour: 4, min: 5, sec: 6, _pad0: 7, ns: 8, tz: 12, daylight: 14,
    _pad1: 15,
});

/// EFI_GUID.
///
/// `xenpf_efi_guid` in `platform.h`.
#[doc(alias = "xenpf_efi_guid")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EfiGuid {
    /// First group.
    pub data1: u32,
    /// Second group.
    pub data2: u16,
    /// Third group.
    pub data3: u16,
    /// The rest.
    pub data4: [u8; 8],
}

layout!(EfiGuid, size 16, { data1: 0, data2: 4, data3: 6, data4: 8 });

open_enum! {
    /// EFI runtime services.
    pub struct EfiFunction(u32) {
        /// [`EfiTime`], resolution and accuracy.
        GET_TIME = 1, "XEN_EFI_get_time";
        /// [`EfiTime`].
        SET_TIME = 2, "XEN_EFI_set_time";
        /// [`EfiTime`].
        GET_WAKEUP_TIME = 3, "XEN_EFI_get_wakeup_time";
        /// [`EfiTime`].
        SET_WAKEUP_TIME = 4, "XEN_EFI_set_wakeup_time";
        /// Result in `misc`.
        GET_NEXT_HIGH_MONOTONIC_COUNT = 5, "XEN_EFI_get_next_high_monotonic_count";
        /// [`EfiVariable`].
        GET_VARIABLE = 6, "XEN_EFI_get_variable";
        /// [`EfiVariable`].
        SET_VARIABLE = 7, "XEN_EFI_set_variable";
        /// [`EfiNextVariable`].
        GET_NEXT_VARIABLE_NAME = 8, "XEN_EFI_get_next_variable_name";
        /// [`EfiVariableInfo`].
        QUERY_VARIABLE_INFO = 9, "XEN_EFI_query_variable_info";
        /// Capsules: not rendered.
        QUERY_CAPSULE_CAPABILITIES = 10, "XEN_EFI_query_capsule_capabilities";
        /// Capsules: not rendered.
        UPDATE_CAPSULE = 11, "XEN_EFI_update_capsule";
    }
}

/// `XENPF_efi_runtime_call`.
///
/// `xenpf_efi_runtime_call` in `platform.h`.
#[doc(alias = "xenpf_efi_runtime_call")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EfiRuntimeCall {
    /// IN: which service.
    pub function: EfiFunction,
    /// IN, OUT: attributes, by service.
    pub misc: u32,
    /// OUT: EFI_STATUS.
    pub status: u64,
    /// By service.
    pub u: Payload<5>,
}

layout!(EfiRuntimeCall, size 56, { function: 0, misc: 4, status: 8, u: 16 });

/// Member of [`EfiRuntimeCall`]: a variable.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EfiVariable {
    /// UTF-16 text.
    pub name: GuestHandle,
    /// Bytes of `data`.
    pub size: u64,
    /// Its value.
    pub data: GuestHandle,
    /// Whose it is.
    pub vendor_guid: EfiGuid,
}

layout!(EfiVariable, size 40, { name: 0, size: 8, data: 16, vendor_guid: 24 });

/// Member of [`EfiRuntimeCall`]: the next variable.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EfiNextVariable {
    /// Bytes of `name`.
    pub size: u64,
    /// UTF-16 text.
    pub name: GuestHandle,
    /// Whose it is.
    pub vendor_guid: EfiGuid,
}

layout!(EfiNextVariable, size 32, { size: 0, name: 8, vendor_guid: 16 });

/// Member of [`EfiRuntimeCall`]: space for variables.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EfiVariableInfo {
    /// IN: attributes.
    pub attr: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: bytes in all.
    pub max_store_size: u64,
    /// OUT: bytes left.
    pub remain_store_size: u64,
    /// OUT: bytes of one variable.
    pub max_size: u64,
}

layout!(EfiVariableInfo, size 32, {
    attr: 0, _pad0: 4, max_store_size: 8, remain_store_size: 16, max_size: 24,
});

open_enum! {
    /// What [`FirmwareInfo`] asks for.
    pub struct FirmwareInfoType(u32) {
        /// [`FirmwareDiskInfo`].
        DISK_INFO = 1, "XEN_FW_DISK_INFO";
        /// [`FirmwareMbrSignature`].
        DISK_MBR_SIGNATURE = 2, "XEN_FW_DISK_MBR_SIGNATURE";
        /// [`FirmwareVbeddc`].
        VBEDDC_INFO = 3, "XEN_FW_VBEDDC_INFO";
        /// By index.
        EFI_INFO = 4, "XEN_FW_EFI_INFO";
        /// One byte.
        KBD_SHIFT_FLAGS = 5, "XEN_FW_KBD_SHIFT_FLAGS";
    }
}

open_enum! {
    /// Index of `EFI_INFO`.
    pub struct FirmwareEfiIndex(u32) {
        /// u32: version.
        VERSION = 0, "XEN_FW_EFI_VERSION";
        /// u64 address, u32 entries.
        CONFIG_TABLE = 1, "XEN_FW_EFI_CONFIG_TABLE";
        /// [`FirmwareEfiVendor`].
        VENDOR = 2, "XEN_FW_EFI_VENDOR";
        /// [`FirmwareEfiMem`].
        MEM_INFO = 3, "XEN_FW_EFI_MEM_INFO";
        /// u32: version of the runtime services.
        RT_VERSION = 4, "XEN_FW_EFI_RT_VERSION";
        /// PCI option ROM.
        PCI_ROM = 5, "XEN_FW_EFI_PCI_ROM";
        /// Apple's properties.
        APPLE_PROPERTIES = 6, "XEN_FW_EFI_APPLE_PROPERTIES";
    }
}

/// `XENPF_firmware_info`.
///
/// `xenpf_firmware_info` in `platform.h`.
#[doc(alias = "xenpf_firmware_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FirmwareInfo {
    /// IN: what.
    pub ty: FirmwareInfoType,
    /// IN: which.
    pub index: u32,
    /// OUT: by type.
    pub u: Payload<4>,
}

layout!(FirmwareInfo, size 40, { ty: 0, index: 4, u: 8 });

/// Member of [`FirmwareInfo`]: a BIOS disk.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FirmwareDiskInfo {
    /// Number.
    pub device: u8,
    /// EDD version.
    pub version: u8,
    /// EDD bits.
    pub interface_support: u16,
    /// Geometry.
    pub legacy_max_cylinder: u16,
    /// Geometry.
    pub legacy_max_head: u8,
    /// Geometry.
    pub legacy_sectors_per_track: u8,
    /// OUT: EDD parameters.
    pub edd_params: GuestHandle,
}

layout!(FirmwareDiskInfo, size 16, {
    device: 0, version: 1, interface_support: 2, legacy_max_cylinder: 4, legacy_max_head: 6,
    legacy_sectors_per_track: 7, edd_params: 8,
});

/// Member of [`FirmwareInfo`]: a disk's signature.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FirmwareMbrSignature {
    /// Number.
    pub device: u8,
    /// Padding.
    pub _pad0: [u8; 3],
    /// Signature.
    pub mbr_signature: u32,
}

layout!(FirmwareMbrSignature, size 8, { device: 0, _pad0: 1, mbr_signature: 4 });

/// Member of [`FirmwareInfo`]: the monitor.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FirmwareVbeddc {
    /// VBE/DDC bits.
    pub capabilities: u8,
    /// Seconds.
    pub edid_transfer_time: u8,
    /// Padding.
    pub _pad0: [u8; 6],
    /// OUT: 128 bytes.
    pub edid: GuestHandle,
}

layout!(FirmwareVbeddc, size 16, { capabilities: 0, edid_transfer_time: 1, _pad0: 2, edid: 8 });

/// Member of [`FirmwareInfo`]: the firmware's vendor.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FirmwareEfiVendor {
    /// OUT: revision.
    pub revision: u32,
    /// IN: bytes of `name`.
    pub bufsz: u32,
    /// OUT: UTF-16 text.
    pub name: GuestHandle,
}

layout!(FirmwareEfiVendor, size 16, { revision: 0, bufsz: 4, name: 8 });

/// Member of [`FirmwareInfo`]: an EFI memory descriptor.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FirmwareEfiMem {
    /// IN: address; OUT: start.
    pub addr: u64,
    /// IN, OUT: bytes.
    pub size: u64,
    /// OUT: attributes.
    pub attr: u64,
    /// OUT: type.
    pub ty: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(FirmwareEfiMem, size 32, { addr: 0, size: 8, attr: 16, ty: 24, _pad0: 28 });

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

/// `XENPF_get_symbol`.
///
/// `xenpf_symdata` in `platform.h`.
#[doc(alias = "xenpf_symdata")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SymData {
    /// IN: room; OUT: bytes.
    pub namelen: u32,
    /// IN, OUT: number; 0 is the first.
    pub symnum: u32,
    /// OUT: text.
    pub name: GuestHandle,
    /// OUT: address.
    pub address: u64,
    /// OUT: type letter.
    pub ty: u8,
    /// Padding.
    pub _pad0: [u8; 7],
}

layout!(SymData, size 32, { namelen: 0, symnum: 4, name: 8, address: 16, ty: 24, _pad0: 25 });
