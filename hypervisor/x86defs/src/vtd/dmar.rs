//! The ACPI table DMAR, which lists remapping units and what they cover (VT-d, chapter 8). In
//! the table nothing is aligned.

use crate::macros::{flags, layout, open_enum};
use zerocopy::little_endian::{U16, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// What follows the 36-byte ACPI header; remapping structures follow it.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Dmar {
    /// Bits of a DMA address, less one.
    pub host_address_width: u8,
    /// [`DmarFlags`].
    pub flags: u8,
    /// Reserved.
    pub _pad0: [u8; 10],
}

layout!(Dmar, size 12, { host_address_width: 0, flags: 1, _pad0: 2 });

flags! {
    /// Flags of the platform.
    pub struct DmarFlags(u8) {
        /// Interrupts can be remapped.
        INTR_REMAP = 1 << 0;
        /// Firmware asks not to switch to x2APIC mode.
        X2APIC_OPT_OUT = 1 << 1;
        /// Firmware asks for DMA protection from boot on.
        DMA_CTRL_PLATFORM_OPT_IN = 1 << 2;
    }
}

open_enum! {
    /// Type of a remapping structure.
    pub struct StructureType(u16) {
        /// A remapping unit: [`Drhd`].
        DRHD = 0;
        /// Memory that devices use since boot: [`Rmrr`].
        RMRR = 1;
        /// Ports with device TLBs.
        ATSR = 2;
        /// Proximity domain of a unit.
        RHSA = 3;
        /// Names of devices.
        ANDD = 4;
    }
}

/// Head of every remapping structure.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct StructureHeader {
    /// A [`StructureType`].
    pub kind: U16,
    /// Bytes, with this head.
    pub length: U16,
}

layout!(StructureHeader, size 4, { kind: 0, length: 2 });

/// A remapping unit; device scopes follow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Drhd {
    /// The head.
    pub header: StructureHeader,
    /// Bit 0: covers all devices of the segment that no other unit covers.
    pub flags: u8,
    /// log2 of the register pages, in bits 3..0.
    pub size: u8,
    /// PCI segment.
    pub segment: U16,
    /// Physical address of the registers.
    pub base: U64,
}

layout!(Drhd, size 16, { header: 0, flags: 4, size: 5, segment: 6, base: 8 });

impl Drhd {
    /// `flags`: covers all devices of the segment that no other unit covers.
    pub const INCLUDE_PCI_ALL: u8 = 1;
}

/// Memory that devices use since boot; device scopes follow.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct Rmrr {
    /// The head.
    pub header: StructureHeader,
    /// Reserved.
    pub _pad0: U16,
    /// PCI segment.
    pub segment: U16,
    /// First byte.
    pub base: U64,
    /// Last byte.
    pub limit: U64,
}

layout!(Rmrr, size 24, { header: 0, _pad0: 4, segment: 6, base: 8, limit: 16 });

open_enum! {
    /// Type of a device scope.
    pub struct ScopeType(u8) {
        /// One PCI function.
        ENDPOINT = 1;
        /// A PCI bridge and all below it.
        BRIDGE = 2;
        /// An I/O APIC, by its id.
        IOAPIC = 3;
        /// An HPET, by its number.
        HPET = 4;
        /// A named device.
        NAMESPACE = 5;
    }
}

/// A device that a structure covers; a path of device and function pairs follows.
#[derive(Clone, Copy, Debug, Default, FromBytes, IntoBytes, KnownLayout, Immutable, Unaligned)]
#[repr(C)]
pub struct DeviceScope {
    /// A [`ScopeType`].
    pub kind: u8,
    /// Bytes, with the path.
    pub length: u8,
    /// Reserved.
    pub _pad0: U16,
    /// Id of the I/O APIC, HPET or named device.
    pub enumeration_id: u8,
    /// Bus on which the path starts.
    pub start_bus: u8,
}

layout!(DeviceScope, size 6, {
    kind: 0, length: 1, _pad0: 2, enumeration_id: 4, start_bus: 5,
});
