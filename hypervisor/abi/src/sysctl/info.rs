//! The console ring, counters, and what the machine has.

use crate::GuestHandle;
use crate::domctl::Scheduler;
use crate::macros::{constants, layout};
use crate::xen::CtlBitmap;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_SYSCTL_readconsole`.
///
/// `xen_sysctl_readconsole` in `sysctl.h`.
#[doc(alias = "xen_sysctl_readconsole")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ReadConsole {
    /// IN: nonzero empties the ring.
    pub clear: u8,
    /// IN: nonzero starts at `index`.
    pub incremental: u8,
    /// Padding; zero.
    pub _pad0: u8,
    /// Padding; zero.
    pub _pad1: u8,
    /// IN: where to start; OUT: where it ended.
    pub index: u32,
    /// OUT: text.
    pub buffer: GuestHandle,
    /// IN: bytes of the buffer; OUT: bytes written.
    pub count: u32,
    /// Padding.
    pub _pad2: [u8; 4],
}

layout!(ReadConsole, size 24, {
    clear: 0, incremental: 1, _pad0: 2, _pad1: 3, index: 4, buffer: 8, count: 16, _pad2: 20,
});

/// `XEN_SYSCTL_tbuf_op`.
///
/// `xen_sysctl_tbuf_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_tbuf_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TbufOp {
    /// `TBUFOP_*`.
    pub cmd: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// IN: pCPUs to trace.
    pub cpu_mask: CtlBitmap,
    /// IN: events to trace.
    pub evt_mask: u32,
    /// Padding.
    pub _pad1: [u8; 4],
    /// OUT: frame of the buffers.
    pub buffer_mfn: u64,
    /// IN, OUT: pages of each pCPU.
    pub size: u32,
    /// Padding.
    pub _pad2: [u8; 4],
}

layout!(TbufOp, size 48, {
    cmd: 0, _pad0: 4, cpu_mask: 8, evt_mask: 24, _pad1: 28, buffer_mfn: 32, size: 40, _pad2: 44,
});

constants! {
    // Values of [`TbufOp::cmd`].
    u32 {
        /// Tell.
        TBUFOP_GET_INFO = 0, "XEN_SYSCTL_TBUFOP_get_info";
        /// Choose pCPUs.
        TBUFOP_SET_CPU_MASK = 1, "XEN_SYSCTL_TBUFOP_set_cpu_mask";
        /// Choose events.
        TBUFOP_SET_EVT_MASK = 2, "XEN_SYSCTL_TBUFOP_set_evt_mask";
        /// Choose the size.
        TBUFOP_SET_SIZE = 3, "XEN_SYSCTL_TBUFOP_set_size";
        /// Start.
        TBUFOP_ENABLE = 4, "XEN_SYSCTL_TBUFOP_enable";
        /// Stop.
        TBUFOP_DISABLE = 5, "XEN_SYSCTL_TBUFOP_disable";
    }
}

/// `XEN_SYSCTL_physinfo`.
///
/// `xen_sysctl_physinfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_physinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PhysInfo {
    /// Threads of a core.
    pub threads_per_core: u32,
    /// Cores of a socket.
    pub cores_per_socket: u32,
    /// pCPUs online.
    pub nr_cpus: u32,
    /// Highest pCPU.
    pub max_cpu_id: u32,
    /// NUMA nodes online.
    pub nr_nodes: u32,
    /// Highest node.
    pub max_node_id: u32,
    /// CPU frequency.
    pub cpu_khz: u32,
    /// `PHYSCAP_*`.
    pub capabilities: u32,
    /// Zero on x86 but for assisted APICs.
    pub arch_capabilities: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// All pages.
    pub total_pages: u64,
    /// Free pages.
    pub free_pages: u64,
    /// Pages to be cleaned.
    pub scrub_pages: u64,
    /// Claimed pages.
    pub outstanding_pages: u64,
    /// Highest mfn.
    pub max_mfn: u64,
    /// CPUID words.
    pub hw_cap: [u32; 8],
}

layout!(PhysInfo, size 112, {
    threads_per_core: 0, cores_per_socket: 4, nr_cpus: 8, max_cpu_id: 12, nr_nodes: 16,
    max_node_id: 20, cpu_khz: 24, capabilities: 28, arch_capabilities: 32, _pad0: 36,
    total_pages: 40, free_pages: 48, scrub_pages: 56, outstanding_pages: 64, max_mfn: 72,
    hw_cap: 80,
});

constants! {
    // [`PhysInfo::capabilities`].
    u32 {
        /// HVM containers.
        PHYSCAP_HVM = 1 << 0, "XEN_SYSCTL_PHYSCAP_hvm";
        /// PV guests.
        PHYSCAP_PV = 1 << 1, "XEN_SYSCTL_PHYSCAP_pv";
        /// An IOMMU protects passthrough.
        PHYSCAP_DIRECTIO = 1 << 2, "XEN_SYSCTL_PHYSCAP_directio";
        /// Second-stage paging.
        PHYSCAP_HAP = 1 << 3, "XEN_SYSCTL_PHYSCAP_hap";
        /// Shadow paging.
        PHYSCAP_SHADOW = 1 << 4, "XEN_SYSCTL_PHYSCAP_shadow";
        /// The IOMMU can use the second-stage tables.
        PHYSCAP_IOMMU_HAP_PT_SHARE = 1 << 5, "XEN_SYSCTL_PHYSCAP_iommu_hap_pt_share";
        /// Tracing of guests.
        PHYSCAP_VMTRACE = 1 << 6, "XEN_SYSCTL_PHYSCAP_vmtrace";
        /// Performance counters for guests.
        PHYSCAP_VPMU = 1 << 7, "XEN_SYSCTL_PHYSCAP_vpmu";
        /// Grant tables, version 1.
        PHYSCAP_GNTTAB_V1 = 1 << 8, "XEN_SYSCTL_PHYSCAP_gnttab_v1";
        /// Grant tables, version 2.
        PHYSCAP_GNTTAB_V2 = 1 << 9, "XEN_SYSCTL_PHYSCAP_gnttab_v2";
    }
}

/// `XEN_SYSCTL_sched_id`.
///
/// `xen_sysctl_sched_id` in `sysctl.h`.
#[doc(alias = "xen_sysctl_sched_id")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedId {
    /// OUT: the default scheduler.
    pub sched_id: Scheduler,
}

layout!(SchedId, size 4, { sched_id: 0 });

/// Name of a performance counter.
///
/// `xen_sysctl_perfc_desc` in `sysctl.h`.
#[doc(alias = "xen_sysctl_perfc_desc")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct PerfcDesc {
    /// Text, NUL-terminated.
    pub name: [u8; 80],
    /// Its values.
    pub nr_vals: u32,
}

layout!(PerfcDesc, size 84, { name: 0, nr_vals: 80 });

/// `XEN_SYSCTL_perfc_op`.
///
/// `xen_sysctl_perfc_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_perfc_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PerfcOp {
    /// `PERFCOP_*`.
    pub cmd: u32,
    /// OUT: counters.
    pub nr_counters: u32,
    /// OUT: values of all.
    pub nr_vals: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: [`PerfcDesc`]s, or null.
    pub desc: GuestHandle,
    /// OUT: u32 values, or null.
    pub val: GuestHandle,
}

layout!(PerfcOp, size 32, { cmd: 0, nr_counters: 4, nr_vals: 8, _pad0: 12, desc: 16, val: 24 });

constants! {
    // Values of [`PerfcOp::cmd`].
    u32 {
        /// Sets all to zero.
        PERFCOP_RESET = 1, "XEN_SYSCTL_PERFCOP_reset";
        /// Tells them.
        PERFCOP_QUERY = 2, "XEN_SYSCTL_PERFCOP_query";
    }
}

/// `XEN_SYSCTL_getdomaininfolist`.
///
/// `xen_sysctl_getdomaininfolist` in `sysctl.h`.
#[doc(alias = "xen_sysctl_getdomaininfolist")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetDomainInfoList {
    /// IN: lowest id.
    pub first_domain: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// IN: room.
    pub max_domains: u32,
    /// OUT: [`GetDomainInfo`](crate::domctl::GetDomainInfo) entries.
    pub buffer: GuestHandle,
    /// OUT: how many.
    pub num_domains: u32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(GetDomainInfoList, size 24, {
    first_domain: 0, _pad0: 2, max_domains: 4, buffer: 8, num_domains: 16, _pad1: 20,
});

/// `XEN_SYSCTL_debug_keys`.
///
/// `xen_sysctl_debug_keys` in `sysctl.h`.
#[doc(alias = "xen_sysctl_debug_keys")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DebugKeys {
    /// Characters.
    pub keys: GuestHandle,
    /// How many.
    pub nr_keys: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(DebugKeys, size 16, { keys: 0, nr_keys: 8, _pad0: 12 });

/// One pCPU of [`GetCpuInfo`].
///
/// `xen_sysctl_cpuinfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cpuinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuInfo {
    /// Nanoseconds idle.
    pub idletime: u64,
}

layout!(CpuInfo, size 8, { idletime: 0 });

/// `XEN_SYSCTL_getcpuinfo`.
///
/// `xen_sysctl_getcpuinfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_getcpuinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetCpuInfo {
    /// IN: room.
    pub max_cpus: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: [`CpuInfo`]s.
    pub info: GuestHandle,
    /// OUT: how many.
    pub nr_cpus: u32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(GetCpuInfo, size 24, { max_cpus: 0, _pad0: 4, info: 8, nr_cpus: 16, _pad1: 20 });

/// `XEN_SYSCTL_availheap`.
///
/// `xen_sysctl_availheap` in `sysctl.h`.
#[doc(alias = "xen_sysctl_availheap")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AvailHeap {
    /// IN: smallest address width.
    pub min_bitwidth: u32,
    /// IN: largest address width; 0 means any.
    pub max_bitwidth: u32,
    /// IN: node; -1 means all.
    pub node: i32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: free bytes.
    pub avail_bytes: u64,
}

layout!(AvailHeap, size 24, {
    min_bitwidth: 0, max_bitwidth: 4, node: 8, _pad0: 12, avail_bytes: 16,
});

/// Place of one pCPU.
///
/// `xen_sysctl_cputopo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cputopo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuTopo {
    /// Core.
    pub core: u32,
    /// Socket.
    pub socket: u32,
    /// Node.
    pub node: u32,
}

layout!(CpuTopo, size 12, { core: 0, socket: 4, node: 8 });

constants! {
    // Missing values in topology.
    u32 {
        /// No such core.
        INVALID_CORE_ID = 0xffff_ffff, "XEN_INVALID_CORE_ID";
        /// No such socket.
        INVALID_SOCKET_ID = 0xffff_ffff, "XEN_INVALID_SOCKET_ID";
        /// No such node.
        INVALID_NODE_ID = 0xffff_ffff, "XEN_INVALID_NODE_ID";
        /// No such distance.
        INVALID_NODE_DIST = 0xffff_ffff, "XEN_INVALID_NODE_DIST";
        /// No such device.
        INVALID_DEV = 0xffff_fffe, "XEN_INVALID_DEV";
    }
}

/// `XEN_SYSCTL_cputopoinfo`.
///
/// `xen_sysctl_cputopoinfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cputopoinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuTopoInfo {
    /// IN: room; OUT: how many.
    pub num_cpus: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: [`CpuTopo`]s, or null.
    pub cputopo: GuestHandle,
}

layout!(CpuTopoInfo, size 16, { num_cpus: 0, _pad0: 4, cputopo: 8 });

/// Memory of one node.
///
/// `xen_sysctl_meminfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_meminfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemInfo {
    /// Bytes.
    pub memsize: u64,
    /// Free bytes.
    pub memfree: u64,
}

layout!(MemInfo, size 16, { memsize: 0, memfree: 8 });

/// `XEN_SYSCTL_numainfo`.
///
/// `xen_sysctl_numainfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_numainfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NumaInfo {
    /// IN: room; OUT: how many.
    pub num_nodes: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: [`MemInfo`]s, or null.
    pub meminfo: GuestHandle,
    /// OUT: u32 distances, a square, or null.
    pub distance: GuestHandle,
}

layout!(NumaInfo, size 24, { num_nodes: 0, _pad0: 4, meminfo: 8, distance: 16 });

/// `XEN_SYSCTL_pcitopoinfo`.
///
/// `xen_sysctl_pcitopoinfo` in `sysctl.h`.
#[doc(alias = "xen_sysctl_pcitopoinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PciTopoInfo {
    /// IN: functions; OUT: functions done.
    pub num_devs: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// IN: [`PciDevice`](crate::physdev::PciDevice)s.
    pub devs: GuestHandle,
    /// OUT: u32 nodes.
    pub nodes: GuestHandle,
}

layout!(PciTopoInfo, size 24, { num_devs: 0, _pad0: 4, devs: 8, nodes: 16 });

/// One lock's profile.
///
/// `xen_sysctl_lockprof_data` in `sysctl.h`.
#[doc(alias = "xen_sysctl_lockprof_data")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct LockprofData {
    /// Text, NUL-terminated.
    pub name: [u8; 40],
    /// Global or of a domain.
    pub ty: i32,
    /// Its index.
    pub idx: i32,
    /// Times taken.
    pub lock_cnt: u64,
    /// Times waited for.
    pub block_cnt: u64,
    /// Nanoseconds held.
    pub lock_time: u64,
    /// Nanoseconds waited.
    pub block_time: u64,
}

layout!(LockprofData, size 80, {
    name: 0, ty: 40, idx: 44, lock_cnt: 48, block_cnt: 56, lock_time: 64, block_time: 72,
});

/// `XEN_SYSCTL_lockprof_op`.
///
/// `xen_sysctl_lockprof_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_lockprof_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct LockprofOp {
    /// 1 reset, 2 query.
    pub cmd: u32,
    /// IN: room.
    pub max_elem: u32,
    /// OUT: how many.
    pub nr_elem: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: nanoseconds of profiling.
    pub time: u64,
    /// OUT: [`LockprofData`]s.
    pub data: GuestHandle,
}

layout!(LockprofOp, size 32, { cmd: 0, max_elem: 4, nr_elem: 8, _pad0: 12, time: 16, data: 24 });

/// `XEN_SYSCTL_coverage_op`.
///
/// `xen_sysctl_coverage_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_coverage_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CoverageOp {
    /// 0 size, 1 read, 2 reset.
    pub cmd: u32,
    /// Bytes.
    pub size: u32,
    /// OUT: data.
    pub buffer: GuestHandle,
}

layout!(CoverageOp, size 16, { cmd: 0, size: 4, buffer: 8 });
