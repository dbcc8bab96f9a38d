//! `arch-x86/hvm/start_info.h`: what a PVH guest finds at EBX. Addresses are guest physical; zero
//! means absent.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

constants! {
    // Magic of [`StartInfo`].
    u32 {
        /// "xEn3" with the top bit of "E" set.
        START_MAGIC_VALUE = 0x336e_c578, "XEN_HVM_START_MAGIC_VALUE";
    }
}

/// The start of day structure, version 1.
///
/// `hvm_start_info` in `arch-x86/hvm/start_info.h`.
#[doc(alias = "hvm_start_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct StartInfo {
    /// `START_MAGIC_VALUE`.
    pub magic: u32,
    /// 1; version 0 ends before `memmap_paddr`.
    pub version: u32,
    /// `SIF_*`.
    pub flags: u32,
    /// Entries of the module list.
    pub nr_modules: u32,
    /// The list of [`ModlistEntry`].
    pub modlist_paddr: u64,
    /// Command line, NUL-terminated.
    pub cmdline_paddr: u64,
    /// ACPI RSDP.
    pub rsdp_paddr: u64,
    /// The list of [`MemmapEntry`].
    pub memmap_paddr: u64,
    /// Its entries.
    pub memmap_entries: u32,
    /// Must be zero.
    pub reserved: u32,
}

layout!(StartInfo, size 56, {
    magic: 0, version: 4, flags: 8, nr_modules: 12, modlist_paddr: 16, cmdline_paddr: 24,
    rsdp_paddr: 32, memmap_paddr: 40, memmap_entries: 48, reserved: 52,
});

/// One module.
///
/// `hvm_modlist_entry` in `arch-x86/hvm/start_info.h`.
#[doc(alias = "hvm_modlist_entry")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ModlistEntry {
    /// Its address.
    pub paddr: u64,
    /// Its bytes.
    pub size: u64,
    /// Its command line, NUL-terminated.
    pub cmdline_paddr: u64,
    /// Must be zero.
    pub reserved: u64,
}

layout!(ModlistEntry, size 32, { paddr: 0, size: 8, cmdline_paddr: 16, reserved: 24 });

/// One range of the memory map.
///
/// `hvm_memmap_table_entry` in `arch-x86/hvm/start_info.h`.
#[doc(alias = "hvm_memmap_table_entry")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemmapEntry {
    /// Its address.
    pub addr: u64,
    /// Its bytes.
    pub size: u64,
    /// Its type.
    pub ty: MemmapType,
    /// Must be zero.
    pub reserved: u32,
}

layout!(MemmapEntry, size 24, { addr: 0, size: 8, ty: 16, reserved: 20 });

open_enum! {
    /// Type of a range: ACPI's address range types.
    pub struct MemmapType(u32) {
        /// Usable.
        RAM = 1, "XEN_HVM_MEMMAP_TYPE_RAM";
        /// Not usable.
        RESERVED = 2, "XEN_HVM_MEMMAP_TYPE_RESERVED";
        /// Reclaimable ACPI tables.
        ACPI = 3, "XEN_HVM_MEMMAP_TYPE_ACPI";
        /// ACPI NVS.
        NVS = 4, "XEN_HVM_MEMMAP_TYPE_NVS";
        /// Faulty, or not this guest's.
        UNUSABLE = 5, "XEN_HVM_MEMMAP_TYPE_UNUSABLE";
        /// Disabled.
        DISABLED = 6, "XEN_HVM_MEMMAP_TYPE_DISABLED";
        /// Persistent.
        PMEM = 7, "XEN_HVM_MEMMAP_TYPE_PMEM";
    }
}
