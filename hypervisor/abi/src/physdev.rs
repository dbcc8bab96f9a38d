//! `physdev.h`: `physdev_op(cmd, arg)`, physical devices and interrupts.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `physdev_op`.
    pub struct PhysdevCmd(u32) {
        /// [`IrqStatusQuery`].
        IRQ_STATUS_QUERY = 5, "PHYSDEVOP_irq_status_query";
        /// PV only.
        SET_IOPL = 6, "PHYSDEVOP_set_iopl";
        /// PV only.
        SET_IOBITMAP = 7, "PHYSDEVOP_set_iobitmap";
        /// Reads an I/O APIC register; [`Apic`].
        APIC_READ = 8, "PHYSDEVOP_apic_read";
        /// Writes an I/O APIC register; [`Apic`].
        APIC_WRITE = 9, "PHYSDEVOP_apic_write";
        /// PV only; [`Irq`].
        ALLOC_IRQ_VECTOR = 10, "PHYSDEVOP_alloc_irq_vector";
        /// PV only; [`Irq`].
        FREE_IRQ_VECTOR = 11, "PHYSDEVOP_free_irq_vector";
        /// [`Eoi`].
        EOI = 12, "PHYSDEVOP_eoi";
        /// [`MapPirq`].
        MAP_PIRQ = 13, "PHYSDEVOP_map_pirq";
        /// [`UnmapPirq`].
        UNMAP_PIRQ = 14, "PHYSDEVOP_unmap_pirq";
        /// [`ManagePci`].
        MANAGE_PCI_ADD = 15, "PHYSDEVOP_manage_pci_add";
        /// [`ManagePci`].
        MANAGE_PCI_REMOVE = 16, "PHYSDEVOP_manage_pci_remove";
        /// [`PirqEoiGmfn`].
        PIRQ_EOI_GMFN_V1 = 17, "PHYSDEVOP_pirq_eoi_gmfn_v1";
        /// [`ManagePci`].
        RESTORE_MSI = 19, "PHYSDEVOP_restore_msi";
        /// [`ManagePciExt`].
        MANAGE_PCI_ADD_EXT = 20, "PHYSDEVOP_manage_pci_add_ext";
        /// [`SetupGsi`].
        SETUP_GSI = 21, "PHYSDEVOP_setup_gsi";
        /// [`GetFreePirq`].
        GET_FREE_PIRQ = 23, "PHYSDEVOP_get_free_pirq";
        /// [`PciMmcfgReserved`].
        PCI_MMCFG_RESERVED = 24, "PHYSDEVOP_pci_mmcfg_reserved";
        /// [`PciDeviceAdd`].
        PCI_DEVICE_ADD = 25, "PHYSDEVOP_pci_device_add";
        /// [`PciDevice`].
        PCI_DEVICE_REMOVE = 26, "PHYSDEVOP_pci_device_remove";
        /// [`PciDevice`].
        RESTORE_MSI_EXT = 27, "PHYSDEVOP_restore_msi_ext";
        /// [`PirqEoiGmfn`].
        PIRQ_EOI_GMFN_V2 = 28, "PHYSDEVOP_pirq_eoi_gmfn_v2";
        /// [`DbgpOp`].
        DBGP_OP = 29, "PHYSDEVOP_dbgp_op";
        /// [`PciDevice`].
        PREPARE_MSIX = 30, "PHYSDEVOP_prepare_msix";
        /// [`PciDevice`].
        RELEASE_MSIX = 31, "PHYSDEVOP_release_msix";
        /// [`PciDeviceReset`].
        PCI_DEVICE_RESET = 32, "PHYSDEVOP_pci_device_reset";
    }
}

/// A PCI function.
///
/// `physdev_pci_device` in `physdev.h`.
#[doc(alias = "physdev_pci_device")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PciDevice {
    /// Segment.
    pub seg: u16,
    /// Bus.
    pub bus: u8,
    /// Device and function.
    pub devfn: u8,
}

layout!(PciDevice, size 4, { seg: 0, bus: 2, devfn: 3 });

/// Argument of `PHYSDEVOP_eoi`.
///
/// `physdev_eoi` in `physdev.h`.
#[doc(alias = "physdev_eoi")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Eoi {
    /// The interrupt.
    pub irq: u32,
}

layout!(Eoi, size 4, { irq: 0 });

/// Argument of `PHYSDEVOP_pirq_eoi_gmfn_v2`.
///
/// `physdev_pirq_eoi_gmfn` in `physdev.h`.
#[doc(alias = "physdev_pirq_eoi_gmfn")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PirqEoiGmfn {
    /// gfn of the bitmap.
    pub gmfn: u64,
}

layout!(PirqEoiGmfn, size 8, { gmfn: 0 });

/// Argument of `PHYSDEVOP_irq_status_query`.
///
/// `physdev_irq_status_query` in `physdev.h`.
#[doc(alias = "physdev_irq_status_query")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IrqStatusQuery {
    /// IN: the interrupt.
    pub irq: u32,
    /// OUT: `IRQSTAT_*`.
    pub flags: u32,
}

layout!(IrqStatusQuery, size 8, { irq: 0, flags: 4 });

constants! {
    // Flags of [`IrqStatusQuery`], [`PciMmcfgReserved`] and [`PciDeviceAdd`].
    u32 {
        /// An end-of-interrupt call is needed.
        IRQSTAT_NEEDS_EOI = 1 << 0, "XENIRQSTAT_needs_eoi";
        /// Shared between domains.
        IRQSTAT_SHARED = 1 << 1, "XENIRQSTAT_shared";
        /// Firmware marks the window as reserved.
        PCI_MMCFG_RESERVED = 1, "XEN_PCI_MMCFG_RESERVED";
        /// An extended function.
        PCI_DEV_EXTFN = 1, "XEN_PCI_DEV_EXTFN";
        /// A virtual function.
        PCI_DEV_VIRTFN = 2, "XEN_PCI_DEV_VIRTFN";
        /// A proximity domain (u32) follows.
        PCI_DEV_PXM = 4, "XEN_PCI_DEV_PXM";
    }
}

/// Argument of `PHYSDEVOP_apic_read` and `_write`.
///
/// `physdev_apic` in `physdev.h`.
#[doc(alias = "physdev_apic")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Apic {
    /// IN: address of the I/O APIC.
    pub apic_physbase: u64,
    /// IN: its register.
    pub reg: u32,
    /// IN or OUT.
    pub value: u32,
}

layout!(Apic, size 16, { apic_physbase: 0, reg: 8, value: 12 });

/// Argument of the vector operations.
///
/// `physdev_irq` in `physdev.h`.
#[doc(alias = "physdev_irq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Irq {
    /// IN: the interrupt.
    pub irq: u32,
    /// IN or OUT: the vector.
    pub vector: u32,
}

layout!(Irq, size 8, { irq: 0, vector: 4 });

open_enum! {
    /// [`MapPirq::ty`].
    pub struct MapPirqType(i32) {
        /// An MSI.
        MSI = 0, "MAP_PIRQ_TYPE_MSI";
        /// A GSI.
        GSI = 1, "MAP_PIRQ_TYPE_GSI";
        /// Not known.
        UNKNOWN = 2, "MAP_PIRQ_TYPE_UNKNOWN";
        /// An MSI; `bus` holds the segment too.
        MSI_SEG = 3, "MAP_PIRQ_TYPE_MSI_SEG";
        /// Several MSIs.
        MULTI_MSI = 4, "MAP_PIRQ_TYPE_MULTI_MSI";
    }
}

/// Argument of `PHYSDEVOP_map_pirq`.
///
/// `physdev_map_pirq` in `physdev.h`.
#[doc(alias = "physdev_map_pirq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MapPirq {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// IN: kind of interrupt.
    pub ty: MapPirqType,
    /// IN: GSI.
    pub index: i32,
    /// IN or OUT: the pirq; negative lets the hypervisor choose.
    pub pirq: i32,
    /// IN: PCI bus.
    pub bus: i32,
    /// IN: PCI device and function.
    pub devfn: i32,
    /// IN: MSI-X entry, or number of MSIs.
    pub entry_nr: i32,
    /// Padding.
    pub _pad1: [u8; 4],
    /// IN: address of the MSI-X table.
    pub table_base: u64,
}

layout!(MapPirq, size 40, {
    domid: 0, _pad0: 2, ty: 4, index: 8, pirq: 12, bus: 16, devfn: 20, entry_nr: 24, _pad1: 28,
    table_base: 32,
});

/// Argument of `PHYSDEVOP_unmap_pirq`.
///
/// `physdev_unmap_pirq` in `physdev.h`.
#[doc(alias = "physdev_unmap_pirq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct UnmapPirq {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// The pirq.
    pub pirq: i32,
}

layout!(UnmapPirq, size 8, { domid: 0, _pad0: 2, pirq: 4 });

/// Argument of the oldest PCI operations: segment 0 only.
///
/// `physdev_manage_pci` in `physdev.h`.
#[doc(alias = "physdev_manage_pci")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ManagePci {
    /// Bus.
    pub bus: u8,
    /// Device and function.
    pub devfn: u8,
}

layout!(ManagePci, size 2, { bus: 0, devfn: 1 });

/// Argument of `PHYSDEVOP_manage_pci_add_ext`.
///
/// `physdev_manage_pci_ext` in `physdev.h`.
#[doc(alias = "physdev_manage_pci_ext")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ManagePciExt {
    /// Bus.
    pub bus: u8,
    /// Device and function.
    pub devfn: u8,
    /// Padding.
    pub _pad0: [u8; 2],
    /// Whether it is an extended function.
    pub is_extfn: u32,
    /// Whether it is a virtual function.
    pub is_virtfn: u32,
    /// Bus of the physical function.
    pub physfn_bus: u8,
    /// Device and function of it.
    pub physfn_devfn: u8,
    /// Padding.
    pub _pad1: [u8; 2],
}

layout!(ManagePciExt, size 16, {
    bus: 0, devfn: 1, _pad0: 2, is_extfn: 4, is_virtfn: 8, physfn_bus: 12, physfn_devfn: 13,
    _pad1: 14,
});

/// Argument of `PHYSDEVOP_setup_gsi`.
///
/// `physdev_setup_gsi` in `physdev.h`.
#[doc(alias = "physdev_setup_gsi")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetupGsi {
    /// The GSI.
    pub gsi: i32,
    /// 0 edge, 1 level.
    pub triggering: u8,
    /// 0 high, 1 low.
    pub polarity: u8,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(SetupGsi, size 8, { gsi: 0, triggering: 4, polarity: 5, _pad0: 6 });

/// Argument of `PHYSDEVOP_get_free_pirq`.
///
/// `physdev_get_free_pirq` in `physdev.h`.
#[doc(alias = "physdev_get_free_pirq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetFreePirq {
    /// IN: kind of interrupt.
    pub ty: MapPirqType,
    /// OUT: a free pirq.
    pub pirq: u32,
}

layout!(GetFreePirq, size 8, { ty: 0, pirq: 4 });

/// Argument of `PHYSDEVOP_pci_mmcfg_reserved`.
///
/// `physdev_pci_mmcfg_reserved` in `physdev.h`.
#[doc(alias = "physdev_pci_mmcfg_reserved")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PciMmcfgReserved {
    /// Address of the ECAM window.
    pub address: u64,
    /// PCI segment.
    pub segment: u16,
    /// First bus.
    pub start_bus: u8,
    /// Last bus.
    pub end_bus: u8,
    /// `PCI_MMCFG_RESERVED`.
    pub flags: u32,
}

layout!(PciMmcfgReserved, size 16, {
    address: 0, segment: 8, start_bus: 10, end_bus: 11, flags: 12,
});

/// Argument of `PHYSDEVOP_pci_device_add`; a u32 follows if `PCI_DEV_PXM` is set.
///
/// `physdev_pci_device_add` in `physdev.h`.
#[doc(alias = "physdev_pci_device_add")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PciDeviceAdd {
    /// Segment.
    pub seg: u16,
    /// Bus.
    pub bus: u8,
    /// Device and function.
    pub devfn: u8,
    /// `PCI_DEV_*`.
    pub flags: u32,
    /// Bus of the physical function.
    pub physfn_bus: u8,
    /// Device and function of it.
    pub physfn_devfn: u8,
    /// Padding.
    pub _pad0: [u8; 2],
}

layout!(PciDeviceAdd, size 12, {
    seg: 0, bus: 2, devfn: 3, flags: 4, physfn_bus: 8, physfn_devfn: 9, _pad0: 10,
});

/// Argument of `PHYSDEVOP_pci_device_reset`.
///
/// `pci_device_reset` in `physdev.h`.
#[doc(alias = "pci_device_reset")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PciDeviceReset {
    /// The function.
    pub dev: PciDevice,
    /// `PCI_DEVICE_RESET_*`.
    pub flags: u32,
}

layout!(PciDeviceReset, size 8, { dev: 0, flags: 4 });

constants! {
    // Kinds of reset.
    u32 {
        /// Cold.
        PCI_DEVICE_RESET_COLD = 0;
        /// Warm.
        PCI_DEVICE_RESET_WARM = 1;
        /// Hot.
        PCI_DEVICE_RESET_HOT = 2;
        /// Function level.
        PCI_DEVICE_RESET_FLR = 3;
        /// All bits.
        PCI_DEVICE_RESET_MASK = 3;
    }
}

/// Argument of `PHYSDEVOP_dbgp_op`.
///
/// `physdev_dbgp_op` in `physdev.h`.
#[doc(alias = "physdev_dbgp_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DbgpOp {
    /// `DBGP_RESET_*`.
    pub op: u8,
    /// `DBGP_BUS_*`.
    pub bus: u8,
    /// The debug port.
    pub pci: PciDevice,
}

layout!(DbgpOp, size 6, { op: 0, bus: 1, pci: 2 });

constants! {
    // Values of [`DbgpOp`].
    u8 {
        /// About to reset.
        DBGP_RESET_PREPARE = 1, "PHYSDEVOP_DBGP_RESET_PREPARE";
        /// Reset done.
        DBGP_RESET_DONE = 2, "PHYSDEVOP_DBGP_RESET_DONE";
        /// Bus unknown.
        DBGP_BUS_UNKNOWN = 0, "PHYSDEVOP_DBGP_BUS_UNKNOWN";
        /// On PCI.
        DBGP_BUS_PCI = 1, "PHYSDEVOP_DBGP_BUS_PCI";
    }
}
