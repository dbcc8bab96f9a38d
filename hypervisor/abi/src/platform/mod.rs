//! `platform.h`: `platform_op(op)`, the platform as the hardware domain's kernel sees it.
//!
//! By what they are about: `firmware` (EFI and BIOS), `cpu` (pCPUs, power, microcode).

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod cpu;
mod firmware;

pub use cpu::*;
pub use firmware::*;

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
        /// [`Dom0VgaConsoleInfo`](crate::xen::Dom0VgaConsoleInfo); returns its size.
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
