//! `hvm/dm_op.h`: `dm_op(domid, nr_bufs, bufs)`, operations of device models. The first buffer is
//! a [`DmOp`].

use crate::GuestHandle;
use crate::hvm::hvm_op::MemType;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use crate::sched::ShutdownReason;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Operations.
    pub struct DmOpCmd(u32) {
        /// [`CreateIoreqServer`].
        CREATE_IOREQ_SERVER = 1, "XEN_DMOP_create_ioreq_server";
        /// [`GetIoreqServerInfo`].
        GET_IOREQ_SERVER_INFO = 2, "XEN_DMOP_get_ioreq_server_info";
        /// [`IoreqServerRange`].
        MAP_IO_RANGE_TO_IOREQ_SERVER = 3, "XEN_DMOP_map_io_range_to_ioreq_server";
        /// [`IoreqServerRange`].
        UNMAP_IO_RANGE_FROM_IOREQ_SERVER = 4, "XEN_DMOP_unmap_io_range_from_ioreq_server";
        /// [`SetIoreqServerState`].
        SET_IOREQ_SERVER_STATE = 5, "XEN_DMOP_set_ioreq_server_state";
        /// [`DestroyIoreqServer`].
        DESTROY_IOREQ_SERVER = 6, "XEN_DMOP_destroy_ioreq_server";
        /// [`TrackDirtyVram`].
        TRACK_DIRTY_VRAM = 7, "XEN_DMOP_track_dirty_vram";
        /// [`SetPciIntxLevel`].
        SET_PCI_INTX_LEVEL = 8, "XEN_DMOP_set_pci_intx_level";
        /// [`SetIsaIrqLevel`].
        SET_ISA_IRQ_LEVEL = 9, "XEN_DMOP_set_isa_irq_level";
        /// [`SetPciLinkRoute`].
        SET_PCI_LINK_ROUTE = 10, "XEN_DMOP_set_pci_link_route";
        /// [`ModifiedMemory`].
        MODIFIED_MEMORY = 11, "XEN_DMOP_modified_memory";
        /// [`SetMemType`].
        SET_MEM_TYPE = 12, "XEN_DMOP_set_mem_type";
        /// [`InjectEvent`].
        INJECT_EVENT = 13, "XEN_DMOP_inject_event";
        /// [`InjectMsi`].
        INJECT_MSI = 14, "XEN_DMOP_inject_msi";
        /// [`MapMemType`].
        MAP_MEM_TYPE_TO_IOREQ_SERVER = 15, "XEN_DMOP_map_mem_type_to_ioreq_server";
        /// [`RemoteShutdown`].
        REMOTE_SHUTDOWN = 16, "XEN_DMOP_remote_shutdown";
        /// [`RelocateMemory`].
        RELOCATE_MEMORY = 17, "XEN_DMOP_relocate_memory";
        /// [`PinMemoryCacheattr`].
        PIN_MEMORY_CACHEATTR = 18, "XEN_DMOP_pin_memory_cacheattr";
        /// [`SetIrqLevel`].
        SET_IRQ_LEVEL = 19, "XEN_DMOP_set_irq_level";
        /// [`NrVcpus`].
        NR_VCPUS = 20, "XEN_DMOP_nr_vcpus";
    }
}

/// Argument of `dm_op`.
///
/// `xen_dm_op` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DmOp {
    /// Which operation.
    pub op: DmOpCmd,
    /// Padding; zero.
    pub _pad0: u32,
    /// The operation's structure.
    pub u: Payload<3>,
}

layout!(DmOp, size 32, { op: 0, _pad0: 4, u: 8 });

/// One buffer of `dm_op`.
///
/// `xen_dm_op_buf` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_buf")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DmOpBuf {
    /// Where.
    pub h: GuestHandle,
    /// Bytes.
    pub size: u64,
}

layout!(DmOpBuf, size 16, { h: 0, size: 8 });

/// `XEN_DMOP_create_ioreq_server`.
///
/// `xen_dm_op_create_ioreq_server` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_create_ioreq_server")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CreateIoreqServer {
    /// `BUFIOREQ_*`.
    pub handle_bufioreq: u8,
    /// Padding; zero.
    pub _pad0: [u8; 3],
    /// OUT: the server.
    pub id: u16,
}

layout!(CreateIoreqServer, size 6, { handle_bufioreq: 0, _pad0: 1, id: 4 });

constants! {
    // Values of [`CreateIoreqServer::handle_bufioreq`].
    u8 {
        /// No buffered requests.
        BUFIOREQ_OFF = 0, "HVM_IOREQSRV_BUFIOREQ_OFF";
        /// Pointers are written separately.
        BUFIOREQ_LEGACY = 1, "HVM_IOREQSRV_BUFIOREQ_LEGACY";
        /// Pointers are read and written together.
        BUFIOREQ_ATOMIC = 2, "HVM_IOREQSRV_BUFIOREQ_ATOMIC";
    }
}

/// `XEN_DMOP_get_ioreq_server_info`.
///
/// `xen_dm_op_get_ioreq_server_info` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_get_ioreq_server_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetIoreqServerInfo {
    /// IN: the server.
    pub id: u16,
    /// IN: `NO_GFNS`.
    pub flags: u16,
    /// OUT: port of the buffered ring.
    pub bufioreq_port: u32,
    /// OUT: page of requests.
    pub ioreq_gfn: u64,
    /// OUT: page of the buffered ring.
    pub bufioreq_gfn: u64,
}

layout!(GetIoreqServerInfo, size 24, {
    id: 0, flags: 2, bufioreq_port: 4, ioreq_gfn: 8, bufioreq_gfn: 16,
});

constants! {
    // Flags of [`GetIoreqServerInfo`].
    u16 {
        /// Don't allocate gfns.
        NO_GFNS = 1, "XEN_DMOP_no_gfns";
    }
}

/// `XEN_DMOP_map_io_range_to_ioreq_server` and its reverse.
///
/// `xen_dm_op_ioreq_server_range` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_ioreq_server_range")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct IoreqServerRange {
    /// The server.
    pub id: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// What range.
    pub ty: IoRangeType,
    /// First.
    pub start: u64,
    /// Last.
    pub end: u64,
}

layout!(IoreqServerRange, size 24, { id: 0, _pad0: 2, ty: 4, start: 8, end: 16 });

open_enum! {
    /// What an [`IoreqServerRange`] covers.
    pub struct IoRangeType(u32) {
        /// Ports.
        PORT = 0, "XEN_DMOP_IO_RANGE_PORT";
        /// Guest physical addresses.
        MEMORY = 1, "XEN_DMOP_IO_RANGE_MEMORY";
        /// PCI functions: segment, bus, device and function.
        PCI = 2, "XEN_DMOP_IO_RANGE_PCI";
    }
}

/// `XEN_DMOP_set_ioreq_server_state`.
///
/// `xen_dm_op_set_ioreq_server_state` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_set_ioreq_server_state")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetIoreqServerState {
    /// The server.
    pub id: u16,
    /// On or off.
    pub enabled: u8,
    /// Padding; zero.
    pub _pad0: u8,
}

layout!(SetIoreqServerState, size 4, { id: 0, enabled: 2, _pad0: 3 });

/// `XEN_DMOP_destroy_ioreq_server`.
///
/// `xen_dm_op_destroy_ioreq_server` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_destroy_ioreq_server")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DestroyIoreqServer {
    /// The server.
    pub id: u16,
    /// Padding; zero.
    pub _pad0: u16,
}

layout!(DestroyIoreqServer, size 4, { id: 0, _pad0: 2 });

/// `XEN_DMOP_track_dirty_vram`; buffer 1 is the bitmap.
///
/// `xen_dm_op_track_dirty_vram` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_track_dirty_vram")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TrackDirtyVram {
    /// Pages.
    pub nr: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// First gfn.
    pub first_pfn: u64,
}

layout!(TrackDirtyVram, size 16, { nr: 0, _pad0: 4, first_pfn: 8 });

/// `XEN_DMOP_set_pci_intx_level`.
///
/// `xen_dm_op_set_pci_intx_level` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_set_pci_intx_level")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetPciIntxLevel {
    /// PCI segment.
    pub domain: u16,
    /// Bus.
    pub bus: u8,
    /// Device.
    pub device: u8,
    /// Line: 0 is INTA.
    pub intx: u8,
    /// 1 asserts.
    pub level: u8,
}

layout!(SetPciIntxLevel, size 6, { domain: 0, bus: 2, device: 3, intx: 4, level: 5 });

/// `XEN_DMOP_set_isa_irq_level`.
///
/// `xen_dm_op_set_isa_irq_level` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_set_isa_irq_level")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetIsaIrqLevel {
    /// ISA interrupt.
    pub isa_irq: u8,
    /// 1 asserts.
    pub level: u8,
}

layout!(SetIsaIrqLevel, size 2, { isa_irq: 0, level: 1 });

/// `XEN_DMOP_set_pci_link_route`.
///
/// `xen_dm_op_set_pci_link_route` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_set_pci_link_route")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetPciLinkRoute {
    /// PCI link.
    pub link: u8,
    /// ISA interrupt; 0 is none.
    pub isa_irq: u8,
}

layout!(SetPciLinkRoute, size 2, { link: 0, isa_irq: 1 });

/// `XEN_DMOP_modified_memory`; buffer 1 has [`ModifiedMemoryExtent`]s.
///
/// `xen_dm_op_modified_memory` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_modified_memory")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ModifiedMemory {
    /// How many.
    pub nr_extents: u32,
    /// For continuation; zero.
    pub opaque: u32,
}

layout!(ModifiedMemory, size 8, { nr_extents: 0, opaque: 4 });

/// One extent.
///
/// `xen_dm_op_modified_memory_extent` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_modified_memory_extent")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ModifiedMemoryExtent {
    /// Pages.
    pub nr: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// First gfn.
    pub first_pfn: u64,
}

layout!(ModifiedMemoryExtent, size 16, { nr: 0, _pad0: 4, first_pfn: 8 });

/// `XEN_DMOP_set_mem_type`.
///
/// `xen_dm_op_set_mem_type` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_set_mem_type")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetMemType {
    /// Pages.
    pub nr: u32,
    /// Their type.
    pub mem_type: MemType,
    /// Padding; zero.
    pub _pad0: u16,
    /// First gfn.
    pub first_pfn: u64,
}

layout!(SetMemType, size 16, { nr: 0, mem_type: 4, _pad0: 6, first_pfn: 8 });

/// `XEN_DMOP_inject_event`.
///
/// `xen_dm_op_inject_event` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_inject_event")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct InjectEvent {
    /// The vCPU.
    pub vcpuid: u32,
    /// The vector.
    pub vector: u8,
    /// Type of event, as SVM and VMX number them.
    pub ty: u8,
    /// Instruction length.
    pub insn_len: u8,
    /// Padding; zero.
    pub _pad0: u8,
    /// Error code, or all ones.
    pub error_code: u32,
    /// Padding; zero.
    pub _pad1: u32,
    /// Faulting address.
    pub cr2: u64,
}

layout!(InjectEvent, size 24, {
    vcpuid: 0, vector: 4, ty: 5, insn_len: 6, _pad0: 7, error_code: 8, _pad1: 12, cr2: 16,
});

/// `XEN_DMOP_inject_msi`.
///
/// `xen_dm_op_inject_msi` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_inject_msi")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct InjectMsi {
    /// MSI data.
    pub data: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// MSI address.
    pub addr: u64,
}

layout!(InjectMsi, size 16, { data: 0, _pad0: 4, addr: 8 });

/// `XEN_DMOP_map_mem_type_to_ioreq_server`.
///
/// `xen_dm_op_map_mem_type_to_ioreq_server` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_map_mem_type_to_ioreq_server")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MapMemType {
    /// The server.
    pub id: u16,
    /// Memory type.
    pub ty: u16,
    /// Bit 0 reads, bit 1 writes.
    pub flags: u32,
    /// For continuation; zero.
    pub opaque: u64,
}

layout!(MapMemType, size 16, { id: 0, ty: 2, flags: 4, opaque: 8 });

/// `XEN_DMOP_remote_shutdown`.
///
/// `xen_dm_op_remote_shutdown` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_remote_shutdown")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RemoteShutdown {
    /// Why.
    pub reason: ShutdownReason,
}

layout!(RemoteShutdown, size 4, { reason: 0 });

/// `XEN_DMOP_relocate_memory`.
///
/// `xen_dm_op_relocate_memory` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_relocate_memory")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RelocateMemory {
    /// Pages.
    pub size: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// From.
    pub src_gfn: u64,
    /// To.
    pub dst_gfn: u64,
}

layout!(RelocateMemory, size 24, { size: 0, _pad0: 4, src_gfn: 8, dst_gfn: 16 });

/// `XEN_DMOP_pin_memory_cacheattr`.
///
/// `xen_dm_op_pin_memory_cacheattr` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_pin_memory_cacheattr")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PinMemoryCacheattr {
    /// First gfn.
    pub start: u64,
    /// Last gfn.
    pub end: u64,
    /// Memory type of MTRRs; all ones removes.
    pub ty: u32,
    /// Padding; zero.
    pub _pad0: u32,
}

layout!(PinMemoryCacheattr, size 24, { start: 0, end: 8, ty: 16, _pad0: 20 });

/// `XEN_DMOP_set_irq_level`: Arm only.
///
/// `xen_dm_op_set_irq_level` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_set_irq_level")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetIrqLevel {
    /// Interrupt.
    pub irq: u32,
    /// 1 asserts.
    pub level: u8,
    /// Padding; zero.
    pub _pad0: [u8; 3],
}

layout!(SetIrqLevel, size 8, { irq: 0, level: 4, _pad0: 5 });

/// `XEN_DMOP_nr_vcpus`.
///
/// `xen_dm_op_nr_vcpus` in `hvm/dm_op.h`.
#[doc(alias = "xen_dm_op_nr_vcpus")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NrVcpus {
    /// OUT: how many.
    pub vcpus: u32,
}

layout!(NrVcpus, size 4, { vcpus: 0 });
