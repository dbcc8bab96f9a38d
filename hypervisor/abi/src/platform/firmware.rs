//! Firmware: EFI runtime services and what the boot loader learned from EFI or the BIOS.

use crate::GuestHandle;
use crate::macros::{layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

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
