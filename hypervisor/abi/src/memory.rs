//! `memory.h`: `memory_op(cmd, arg)`, the physical memory of domains.

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use crate::physdev::PciDevice;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `memory_op`; bits 6 and up of the command carry a continuation's
    /// progress.
    pub struct MemoryCmd(u32) {
        /// Adds memory; [`MemoryReservation`].
        INCREASE_RESERVATION = 0, "XENMEM_increase_reservation";
        /// Gives frames back; [`MemoryReservation`].
        DECREASE_RESERVATION = 1, "XENMEM_decrease_reservation";
        /// Returns the highest mfn.
        MAXIMUM_RAM_PAGE = 2, "XENMEM_maximum_ram_page";
        /// Returns a domain's pages; [`MemoryDomain`].
        CURRENT_RESERVATION = 3, "XENMEM_current_reservation";
        /// Returns a domain's most pages; [`MemoryDomain`].
        MAXIMUM_RESERVATION = 4, "XENMEM_maximum_reservation";
        /// PV only.
        MACHPHYS_MFN_LIST = 5, "XENMEM_machphys_mfn_list";
        /// Puts new memory at given gfns; [`MemoryReservation`].
        POPULATE_PHYSMAP = 6, "XENMEM_populate_physmap";
        /// Maps a special page at a gfn; [`AddToPhysmap`].
        ADD_TO_PHYSMAP = 7, "XENMEM_add_to_physmap";
        /// The caller's memory map; [`MemoryMap`].
        MEMORY_MAP = 9, "XENMEM_memory_map";
        /// The machine's memory map; [`MemoryMap`].
        MACHINE_MEMORY_MAP = 10, "XENMEM_machine_memory_map";
        /// Exchanges frames; [`MemoryExchange`].
        EXCHANGE = 11, "XENMEM_exchange";
        /// PV only.
        MACHPHYS_MAPPING = 12, "XENMEM_machphys_mapping";
        /// Sets a domain's memory map; [`ForeignMemoryMap`].
        SET_MEMORY_MAP = 13, "XENMEM_set_memory_map";
        /// Returns a domain's highest gfn; [`MemoryDomain`].
        MAXIMUM_GPFN = 14, "XENMEM_maximum_gpfn";
        /// Unmaps a gfn; [`RemoveFromPhysmap`].
        REMOVE_FROM_PHYSMAP = 15, "XENMEM_remove_from_physmap";
        /// Populate-on-demand target; [`PodTarget`].
        SET_POD_TARGET = 16, "XENMEM_set_pod_target";
        /// Populate-on-demand state; [`PodTarget`].
        GET_POD_TARGET = 17, "XENMEM_get_pod_target";
        /// Returns pages freed by sharing.
        GET_SHARING_FREED_PAGES = 18, "XENMEM_get_sharing_freed_pages";
        /// Returns shared pages.
        GET_SHARING_SHARED_PAGES = 19, "XENMEM_get_sharing_shared_pages";
        /// Paging to disk.
        PAGING_OP = 20, "XENMEM_paging_op";
        /// Access restrictions.
        ACCESS_OP = 21, "XENMEM_access_op";
        /// Page sharing.
        SHARING_OP = 22, "XENMEM_sharing_op";
        /// Maps many special pages; [`AddToPhysmapBatch`].
        ADD_TO_PHYSMAP_BATCH = 23, "XENMEM_add_to_physmap_batch";
        /// Sets memory aside for a domain being built; [`MemoryReservation`].
        CLAIM_PAGES = 24, "XENMEM_claim_pages";
        /// PV only.
        MACHPHYS_COMPAT_MFN_LIST = 25, "XENMEM_machphys_compat_mfn_list";
        /// Virtual NUMA topology; [`VnumaTopologyInfo`].
        GET_VNUMAINFO = 26, "XENMEM_get_vnumainfo";
        /// Reserved device memory; [`ReservedDeviceMemoryMap`].
        RESERVED_DEVICE_MEMORY_MAP = 27, "XENMEM_reserved_device_memory_map";
        /// Maps a resource of another domain; [`MemAcquireResource`].
        ACQUIRE_RESOURCE = 28, "XENMEM_acquire_resource";
    }
}

open_enum! {
    /// What [`AddToPhysmap`] maps.
    pub struct MapSpace(u32) {
        /// The shared info page.
        SHARED_INFO = 0, "XENMAPSPACE_shared_info";
        /// Frame `idx` of the grant table.
        GRANT_TABLE = 1, "XENMAPSPACE_grant_table";
        /// The frame at gfn `idx` of the same domain.
        GMFN = 2, "XENMAPSPACE_gmfn";
        /// `size` frames from gfn `idx`.
        GMFN_RANGE = 3, "XENMAPSPACE_gmfn_range";
        /// A frame of another domain; batch only.
        GMFN_FOREIGN = 4, "XENMAPSPACE_gmfn_foreign";
        /// Device memory.
        DEV_MMIO = 5, "XENMAPSPACE_dev_mmio";
    }
}

open_enum! {
    /// What [`MemAcquireResource`] maps.
    pub struct Resource(u16) {
        /// Pages of an I/O request server.
        IOREQ_SERVER = 0, "XENMEM_resource_ioreq_server";
        /// Frames of the grant table.
        GRANT_TABLE = 1, "XENMEM_resource_grant_table";
        /// A vCPU's trace buffer.
        VMTRACE_BUF = 2, "XENMEM_resource_vmtrace_buf";
    }
}

constants! {
    // Ids of grant table frames, frames of I/O request servers, and flags.
    u32 {
        /// [`MemAcquireResource::id`]: shared entries.
        RESOURCE_GRANT_TABLE_ID_SHARED = 0, "XENMEM_resource_grant_table_id_shared";
        /// [`MemAcquireResource::id`]: status entries.
        RESOURCE_GRANT_TABLE_ID_STATUS = 1, "XENMEM_resource_grant_table_id_status";
        /// [`MemAcquireResource::frame`]: the buffered ring; synchronous pages follow it.
        RESOURCE_IOREQ_SERVER_FRAME_BUFIOREQ = 0, "XENMEM_resource_ioreq_server_frame_bufioreq";
        /// [`ReservedDeviceMemoryMap::flags`]: of all devices.
        RDM_ALL = 1, "XENMEM_RDM_ALL";
    }
}

constants! {
    // Bits of [`AddToPhysmap::idx`].
    u64 {
        /// The frame is one of the status frames (grant table v2).
        XENMAPIDX_GRANT_TABLE_STATUS = 0x80000000, "XENMAPIDX_grant_table_status";
    }
}

constants! {
    // Bits of [`MemoryReservation::mem_flags`].
    u32 {
        /// Highest allowed address width of the frames; 0 means any.
        ADDRESS_BITS_MASK = 0xff;
        /// Allocate on first touch.
        POPULATE_ON_DEMAND = 1 << 16, "XENMEMF_populate_on_demand";
        /// Fail rather than take another node's memory.
        EXACT_NODE_REQUEST = 1 << 17, "XENMEMF_exact_node_request";
        /// The node is a virtual one.
        VNODE = 1 << 18, "XENMEMF_vnode";
    }
}

/// Extents of memory to add, give back or populate.
///
/// `xen_memory_reservation` in `memory.h`.
#[doc(alias = "xen_memory_reservation")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemoryReservation {
    /// IN: gfns of the extents; OUT: mfns where they aren't translated.
    pub extent_start: GuestHandle,
    /// How many extents.
    pub nr_extents: u64,
    /// Each has `1 << extent_order` pages.
    pub extent_order: u32,
    /// `XENMEMF_*`.
    pub mem_flags: u32,
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding.
    pub _pad0: [u8; 6],
}

layout!(MemoryReservation, size 32, {
    extent_start: 0, nr_extents: 8, extent_order: 16, mem_flags: 20, domid: 24, _pad0: 26,
});

/// Argument of `XENMEM_exchange`.
///
/// `xen_memory_exchange` in `memory.h`.
#[doc(alias = "xen_memory_exchange")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemoryExchange {
    /// Frames given.
    pub input: MemoryReservation,
    /// Frames wanted.
    pub output: MemoryReservation,
    /// OUT: input extents done.
    pub nr_exchanged: u64,
}

layout!(MemoryExchange, size 72, { input: 0, output: 32, nr_exchanged: 64 });

/// Argument of the reservation queries.
///
/// `xen_memory_domain` in `memory.h`.
#[doc(alias = "xen_memory_domain")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemoryDomain {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
}

layout!(MemoryDomain, size 2, { domid: 0 });

/// Argument of `XENMEM_machphys_mfn_list`.
///
/// `xen_machphys_mfn_list` in `memory.h`.
#[doc(alias = "xen_machphys_mfn_list")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MachphysMfnList {
    /// Room in the array.
    pub max_extents: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: mfns.
    pub extent_start: GuestHandle,
    /// OUT: entries written.
    pub nr_extents: u32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(MachphysMfnList, size 24, {
    max_extents: 0, _pad0: 4, extent_start: 8, nr_extents: 16, _pad1: 20,
});

/// Argument of `XENMEM_machphys_mapping`.
///
/// `xen_machphys_mapping` in `memory.h`.
#[doc(alias = "xen_machphys_mapping")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MachphysMapping {
    /// Start of the table.
    pub v_start: u64,
    /// Its end.
    pub v_end: u64,
    /// Highest entry.
    pub max_mfn: u64,
}

layout!(MachphysMapping, size 24, { v_start: 0, v_end: 8, max_mfn: 16 });

/// Argument of `XENMEM_add_to_physmap`.
///
/// `xen_add_to_physmap` in `memory.h`.
#[doc(alias = "xen_add_to_physmap")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AddToPhysmap {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Pages, for `XENMAPSPACE_gmfn_range`.
    pub size: u16,
    /// What is mapped.
    pub space: MapSpace,
    /// Index into that space.
    pub idx: u64,
    /// Where.
    pub gpfn: u64,
}

layout!(AddToPhysmap, size 24, { domid: 0, size: 2, space: 4, idx: 8, gpfn: 16 });

/// Argument of `XENMEM_add_to_physmap_batch`.
///
/// `xen_add_to_physmap_batch` in `memory.h`.
#[doc(alias = "xen_add_to_physmap_batch")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AddToPhysmapBatch {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// A [`MapSpace`], 16 bits wide here.
    pub space: u16,
    /// How many.
    pub size: u16,
    /// Whose frames, for `XENMAPSPACE_gmfn_foreign`; else zero.
    pub foreign_domid: u16,
    /// u64 indices into the space.
    pub idxs: GuestHandle,
    /// u64 gfns.
    pub gpfns: GuestHandle,
    /// OUT: an i32 error for each.
    pub errs: GuestHandle,
}

layout!(AddToPhysmapBatch, size 32, {
    domid: 0, space: 2, size: 4, foreign_domid: 6, idxs: 8, gpfns: 16, errs: 24,
});

/// Argument of `XENMEM_remove_from_physmap`.
///
/// `xen_remove_from_physmap` in `memory.h`.
#[doc(alias = "xen_remove_from_physmap")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RemoveFromPhysmap {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding.
    pub _pad0: [u8; 6],
    /// Which gfn.
    pub gpfn: u64,
}

layout!(RemoveFromPhysmap, size 16, { domid: 0, _pad0: 2, gpfn: 8 });

/// Argument of `XENMEM_memory_map`.
///
/// `xen_memory_map` in `memory.h`.
#[doc(alias = "xen_memory_map")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemoryMap {
    /// IN: room; OUT: entries.
    pub nr_entries: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: [`E820Entry`]s.
    pub buffer: GuestHandle,
}

layout!(MemoryMap, size 16, { nr_entries: 0, _pad0: 4, buffer: 8 });

/// Argument of `XENMEM_set_memory_map`.
///
/// `xen_foreign_memory_map` in `memory.h`.
#[doc(alias = "xen_foreign_memory_map")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ForeignMemoryMap {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding.
    pub _pad0: [u8; 6],
    /// The map.
    pub map: MemoryMap,
}

layout!(ForeignMemoryMap, size 24, { domid: 0, _pad0: 2, map: 8 });

/// Argument of the populate-on-demand operations.
///
/// `xen_pod_target` in `memory.h`.
#[doc(alias = "xen_pod_target")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PodTarget {
    /// IN: pages to have.
    pub target_pages: u64,
    /// OUT: pages of the domain.
    pub tot_pages: u64,
    /// OUT: pages in the cache.
    pub pod_cache_pages: u64,
    /// OUT: gfns not populated yet.
    pub pod_entries: u64,
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding.
    pub _pad0: [u8; 6],
}

layout!(PodTarget, size 40, {
    target_pages: 0, tot_pages: 8, pod_cache_pages: 16, pod_entries: 24, domid: 32, _pad0: 34,
});

/// One range of reserved device memory.
///
/// `xen_reserved_device_memory` in `memory.h`.
#[doc(alias = "xen_reserved_device_memory")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ReservedDeviceMemory {
    /// First frame.
    pub start_pfn: u64,
    /// How many.
    pub nr_pages: u64,
}

layout!(ReservedDeviceMemory, size 16, { start_pfn: 0, nr_pages: 8 });

/// Argument of `XENMEM_reserved_device_memory_map`.
///
/// `xen_reserved_device_memory_map` in `memory.h`.
#[doc(alias = "xen_reserved_device_memory_map")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ReservedDeviceMemoryMap {
    /// `RDM_ALL` or zero.
    pub flags: u32,
    /// IN: room; OUT: entries.
    pub nr_entries: u32,
    /// OUT: [`ReservedDeviceMemory`] entries.
    pub buffer: GuestHandle,
    /// The device, unless `RDM_ALL`.
    pub dev: PciDevice,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(ReservedDeviceMemoryMap, size 24, {
    flags: 0, nr_entries: 4, buffer: 8, dev: 16, _pad0: 20,
});

/// Argument of `XENMEM_acquire_resource`.
///
/// `xen_mem_acquire_resource` in `memory.h`.
#[doc(alias = "xen_mem_acquire_resource")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemAcquireResource {
    /// Whose resource.
    pub domid: u16,
    /// Its type.
    pub ty: Resource,
    /// Which, by type.
    pub id: u32,
    /// IN: frames; OUT: the resource's size if `frame_list` is null.
    pub nr_frames: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// First frame of the resource.
    pub frame: u64,
    /// u64s: IN destination gfns of a translated caller, else OUT mfns.
    pub frame_list: GuestHandle,
}

layout!(MemAcquireResource, size 32, {
    domid: 0, ty: 2, id: 4, nr_frames: 8, _pad0: 12, frame: 16, frame_list: 24,
});

/// One virtual NUMA memory range.
///
/// `xen_vmemrange` in `memory.h`.
#[doc(alias = "xen_vmemrange")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Vmemrange {
    /// First byte.
    pub start: u64,
    /// One past the last byte.
    pub end: u64,
    /// Zero.
    pub flags: u32,
    /// Virtual node.
    pub nid: u32,
}

layout!(Vmemrange, size 24, { start: 0, end: 8, flags: 16, nid: 20 });

/// Argument of `XENMEM_get_vnumainfo`.
///
/// `xen_vnuma_topology_info` in `memory.h`.
#[doc(alias = "xen_vnuma_topology_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VnumaTopologyInfo {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// IN: room; OUT: nodes.
    pub nr_vnodes: u32,
    /// IN: room; OUT: vCPUs.
    pub nr_vcpus: u32,
    /// IN: room; OUT: ranges.
    pub nr_vmemranges: u32,
    /// OUT: u32 distances.
    pub vdistance: GuestHandle,
    /// OUT: u32 nodes by vCPU.
    pub vcpu_to_vnode: GuestHandle,
    /// OUT: [`Vmemrange`]s.
    pub vmemrange: GuestHandle,
}

layout!(VnumaTopologyInfo, size 40, {
    domid: 0, _pad0: 2, nr_vnodes: 4, nr_vcpus: 8, nr_vmemranges: 12, vdistance: 16,
    vcpu_to_vnode: 24, vmemrange: 32,
});

/// One entry of a memory map, as firmware, Linux and Xen's e820 all lay it out: 20 bytes, no
/// padding, so its fields are unaligned in an array. The types are those of
/// [`MemmapType`](crate::arch_x86::hvm::start_info::MemmapType).
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    FromBytes,
    IntoBytes,
    KnownLayout,
    Immutable,
    zerocopy::Unaligned,
)]
#[repr(C)]
pub struct E820Entry {
    /// First byte.
    pub addr: zerocopy::little_endian::U64,
    /// Bytes.
    pub size: zerocopy::little_endian::U64,
    /// Memory type.
    pub ty: zerocopy::little_endian::U32,
}

layout!(E820Entry, size 20, { addr: 0, size: 8, ty: 16 });
