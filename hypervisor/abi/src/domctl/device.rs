//! Devices of a domain: interrupts, ports, device memory, passthrough.

use crate::GuestHandle;
use crate::macros::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_DOMCTL_irq_permission`.
///
/// `xen_domctl_irq_permission` in `domctl.h`.
#[doc(alias = "xen_domctl_irq_permission")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IrqPermission {
    /// The interrupt.
    pub pirq: u32,
    /// Grant or revoke.
    pub allow_access: u8,
    /// Padding; zero.
    pub _pad0: [u8; 3],
}

layout!(IrqPermission, size 8, { pirq: 0, allow_access: 4, _pad0: 5 });

/// `XEN_DOMCTL_gsi_permission`.
///
/// `xen_domctl_gsi_permission` in `domctl.h`.
#[doc(alias = "xen_domctl_gsi_permission")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GsiPermission {
    /// The GSI.
    pub gsi: u32,
    /// 0 revoke, 1 grant.
    pub flags: u32,
}

layout!(GsiPermission, size 8, { gsi: 0, flags: 4 });

/// `XEN_DOMCTL_iomem_permission`.
///
/// `xen_domctl_iomem_permission` in `domctl.h`.
#[doc(alias = "xen_domctl_iomem_permission")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IomemPermission {
    /// First frame.
    pub first_mfn: u64,
    /// How many.
    pub nr_mfns: u64,
    /// Grant or revoke.
    pub allow_access: u8,
    /// Padding.
    pub _pad0: [u8; 7],
}

layout!(IomemPermission, size 24, { first_mfn: 0, nr_mfns: 8, allow_access: 16, _pad0: 17 });

/// `XEN_DOMCTL_ioport_permission`.
///
/// `xen_domctl_ioport_permission` in `domctl.h`.
#[doc(alias = "xen_domctl_ioport_permission")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IoportPermission {
    /// First port.
    pub first_port: u32,
    /// How many.
    pub nr_ports: u32,
    /// Grant or revoke.
    pub allow_access: u8,
    /// Padding.
    pub _pad0: [u8; 3],
}

layout!(IoportPermission, size 12, { first_port: 0, nr_ports: 4, allow_access: 8, _pad0: 9 });

/// `XEN_DOMCTL_assign_device`, `_test_assign_device` and `_deassign_device`.
///
/// `xen_domctl_assign_device` in `domctl.h`.
#[doc(alias = "xen_domctl_assign_device")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AssignDevice {
    /// `DEV_PCI`.
    pub dev: u32,
    /// `DEV_RDM_RELAXED`.
    pub flags: u32,
    /// PCI: low half of word 0 is segment, bus, device and function.
    pub u: [u64; 2],
}

layout!(AssignDevice, size 24, { dev: 0, flags: 4, u: 8 });

constants! {
    // Values of [`AssignDevice`].
    u32 {
        /// A PCI function.
        DEV_PCI = 0, "XEN_DOMCTL_DEV_PCI";
        /// Not for x86.
        DEV_DT = 1, "XEN_DOMCTL_DEV_DT";
        /// Reserved memory may conflict.
        DEV_RDM_RELAXED = 1, "XEN_DOMCTL_DEV_RDM_RELAXED";
    }
}

/// `XEN_DOMCTL_get_device_group`.
///
/// `xen_domctl_get_device_group` in `domctl.h`.
#[doc(alias = "xen_domctl_get_device_group")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetDeviceGroup {
    /// IN: the function.
    pub machine_sbdf: u32,
    /// IN: room.
    pub max_sdevs: u32,
    /// OUT: functions.
    pub num_sdevs: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: u32 functions.
    pub sdev_array: GuestHandle,
}

layout!(GetDeviceGroup, size 24, {
    machine_sbdf: 0, max_sdevs: 4, num_sdevs: 8, _pad0: 12, sdev_array: 16,
});

/// `XEN_DOMCTL_bind_pt_irq` and `XEN_DOMCTL_unbind_pt_irq`.
///
/// `xen_domctl_bind_pt_irq` in `domctl.h`.
#[doc(alias = "xen_domctl_bind_pt_irq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindPtIrq {
    /// The host's pirq.
    pub machine_irq: u32,
    /// 0 PCI, 1 ISA, 2 MSI, 3 translated MSI.
    pub irq_type: u32,
    /// By type; MSI: [`BindPtMsi`].
    pub u: [u64; 2],
}

layout!(BindPtIrq, size 24, { machine_irq: 0, irq_type: 4, u: 8 });

/// MSI member of [`BindPtIrq`].
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindPtMsi {
    /// Guest vector.
    pub gvec: u8,
    /// Padding.
    pub _pad0: [u8; 3],
    /// Destination and delivery.
    pub gflags: u32,
    /// Address of the MSI-X table.
    pub gtable: u64,
}

layout!(BindPtMsi, size 16, { gvec: 0, _pad0: 1, gflags: 4, gtable: 8 });

/// `XEN_DOMCTL_memory_mapping`.
///
/// `xen_domctl_memory_mapping` in `domctl.h`.
#[doc(alias = "xen_domctl_memory_mapping")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemoryMapping {
    /// Where.
    pub first_gfn: u64,
    /// What.
    pub first_mfn: u64,
    /// How many.
    pub nr_mfns: u64,
    /// 1 adds, 0 removes.
    pub add_mapping: u32,
    /// Padding; zero.
    pub _pad0: u32,
}

layout!(MemoryMapping, size 32, {
    first_gfn: 0, first_mfn: 8, nr_mfns: 16, add_mapping: 24, _pad0: 28,
});

/// `XEN_DOMCTL_ioport_mapping`.
///
/// `xen_domctl_ioport_mapping` in `domctl.h`.
#[doc(alias = "xen_domctl_ioport_mapping")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IoportMapping {
    /// First port of the guest.
    pub first_gport: u32,
    /// First port of the machine.
    pub first_mport: u32,
    /// How many.
    pub nr_ports: u32,
    /// 1 adds, 0 removes.
    pub add_mapping: u32,
}

layout!(IoportMapping, size 16, { first_gport: 0, first_mport: 4, nr_ports: 8, add_mapping: 12 });

/// `XEN_DOMCTL_vuart_op`: Arm only.
///
/// `xen_domctl_vuart_op` in `domctl.h`.
#[doc(alias = "xen_domctl_vuart_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VuartOp {
    /// Command.
    pub cmd: u32,
    /// Type.
    pub ty: u32,
    /// Ring page.
    pub gfn: u64,
    /// Backend.
    pub console_domid: u16,
    /// Padding; zero.
    pub _pad0: [u8; 2],
    /// OUT: port.
    pub evtchn: u32,
}

layout!(VuartOp, size 24, { cmd: 0, ty: 4, gfn: 8, console_domid: 16, _pad0: 18, evtchn: 20 });
