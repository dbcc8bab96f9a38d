//! Memory of a domain: log-dirty, page types, second-stage pool, NUMA.

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_DOMCTL_getpageframeinfo3`.
///
/// `xen_domctl_getpageframeinfo3` in `domctl.h`.
#[doc(alias = "xen_domctl_getpageframeinfo3")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetPageFrameInfo3 {
    /// Entries.
    pub num: u64,
    /// u64s: IN a gfn, OUT its `PFINFO_*`.
    pub array: GuestHandle,
}

layout!(GetPageFrameInfo3, size 16, { num: 0, array: 8 });

constants! {
    // Page types from [`GetPageFrameInfo3`].
    u32 {
        /// Where the type starts.
        PFINFO_LTAB_SHIFT = 28, "XEN_DOMCTL_PFINFO_LTAB_SHIFT";
        /// An ordinary page.
        PFINFO_NOTAB = 0x0, "XEN_DOMCTL_PFINFO_NOTAB";
        /// The page table level.
        PFINFO_LTABTYPE_MASK = 0x7000_0000, "XEN_DOMCTL_PFINFO_LTABTYPE_MASK";
        /// A pinned page table.
        PFINFO_LPINTAB = 0x8000_0000, "XEN_DOMCTL_PFINFO_LPINTAB";
        /// No page.
        PFINFO_XTAB = 0xf000_0000, "XEN_DOMCTL_PFINFO_XTAB";
        /// Allocate, don't copy.
        PFINFO_XALLOC = 0xe000_0000, "XEN_DOMCTL_PFINFO_XALLOC";
        /// A broken page.
        PFINFO_BROKEN = 0xd000_0000, "XEN_DOMCTL_PFINFO_BROKEN";
        /// All of it.
        PFINFO_LTAB_MASK = 0xf000_0000, "XEN_DOMCTL_PFINFO_LTAB_MASK";
    }
}

open_enum! {
    /// What a [`ShadowOp`] does.
    pub struct ShadowOpCmd(u32) {
        /// Stops log-dirty.
        OFF = 0, "XEN_DOMCTL_SHADOW_OP_OFF";
        /// Obsolete.
        ENABLE_TEST = 1, "XEN_DOMCTL_SHADOW_OP_ENABLE_TEST";
        /// Starts log-dirty.
        ENABLE_LOGDIRTY = 2, "XEN_DOMCTL_SHADOW_OP_ENABLE_LOGDIRTY";
        /// Tells the dirty bitmap and clears it.
        CLEAN = 11, "XEN_DOMCTL_SHADOW_OP_CLEAN";
        /// Tells the dirty bitmap.
        PEEK = 12, "XEN_DOMCTL_SHADOW_OP_PEEK";
        /// Tells the pool's size.
        GET_ALLOCATION = 30, "XEN_DOMCTL_SHADOW_OP_GET_ALLOCATION";
        /// Sets the pool's size.
        SET_ALLOCATION = 31, "XEN_DOMCTL_SHADOW_OP_SET_ALLOCATION";
        /// Starts, by mode.
        ENABLE = 32, "XEN_DOMCTL_SHADOW_OP_ENABLE";
    }
}

constants! {
    // Values of [`ShadowOp::mode`].
    u32 {
        /// Reference counting.
        SHADOW_ENABLE_REFCOUNT = 1 << 1, "XEN_DOMCTL_SHADOW_ENABLE_REFCOUNT";
        /// Log-dirty.
        SHADOW_ENABLE_LOG_DIRTY = 1 << 2, "XEN_DOMCTL_SHADOW_ENABLE_LOG_DIRTY";
        /// Translate frame numbers.
        SHADOW_ENABLE_TRANSLATE = 1 << 3, "XEN_DOMCTL_SHADOW_ENABLE_TRANSLATE";
        /// The guest has its address space to itself.
        SHADOW_ENABLE_EXTERNAL = 1 << 4, "XEN_DOMCTL_SHADOW_ENABLE_EXTERNAL";
        /// Last round: pages that the hypervisor can write, too.
        SHADOW_LOGDIRTY_FINAL = 1 << 0, "XEN_DOMCTL_SHADOW_LOGDIRTY_FINAL";
    }
}

/// Counts of a log-dirty round.
///
/// `xen_domctl_shadow_op_stats` in `domctl.h`.
#[doc(alias = "xen_domctl_shadow_op_stats")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ShadowOpStats {
    /// Faults.
    pub fault_count: u32,
    /// Dirty pages.
    pub dirty_count: u32,
}

layout!(ShadowOpStats, size 8, { fault_count: 0, dirty_count: 4 });

/// `XEN_DOMCTL_shadow_op`.
///
/// `xen_domctl_shadow_op` in `domctl.h`.
#[doc(alias = "xen_domctl_shadow_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ShadowOp {
    /// What to do.
    pub op: ShadowOpCmd,
    /// `SHADOW_*`.
    pub mode: u32,
    /// Pool size in MiB.
    pub mb: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// One bit per gfn, or null.
    pub dirty_bitmap: GuestHandle,
    /// IN: bits of the bitmap; OUT: valid ones.
    pub pages: u64,
    /// OUT.
    pub stats: ShadowOpStats,
}

layout!(ShadowOp, size 40, {
    op: 0, mode: 4, mb: 8, _pad0: 12, dirty_bitmap: 16, pages: 24, stats: 32,
});

/// `XEN_DOMCTL_get_paging_mempool_size` and `XEN_DOMCTL_set_paging_mempool_size`.
///
/// `xen_domctl_paging_mempool` in `domctl.h`.
#[doc(alias = "xen_domctl_paging_mempool")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PagingMempool {
    /// Bytes set aside for the second-stage tables.
    pub size: u64,
}

layout!(PagingMempool, size 8, { size: 0 });

/// `XEN_DOMCTL_set_broken_page_p2m`.
///
/// `xen_domctl_set_broken_page_p2m` in `domctl.h`.
#[doc(alias = "xen_domctl_set_broken_page_p2m")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetBrokenPageP2m {
    /// The gfn.
    pub pfn: u64,
}

layout!(SetBrokenPageP2m, size 8, { pfn: 0 });

/// `XEN_DOMCTL_cacheflush`.
///
/// `xen_domctl_cacheflush` in `domctl.h`.
#[doc(alias = "xen_domctl_cacheflush")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CacheFlush {
    /// First gfn.
    pub start_pfn: u64,
    /// How many.
    pub nr_pfns: u64,
}

layout!(CacheFlush, size 16, { start_pfn: 0, nr_pfns: 8 });

/// `XEN_DOMCTL_set_access_required`.
///
/// `xen_domctl_set_access_required` in `domctl.h`.
#[doc(alias = "xen_domctl_set_access_required")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetAccessRequired {
    /// Whether a listener must exist.
    pub access_required: u8,
}

layout!(SetAccessRequired, size 1, { access_required: 0 });

/// `XEN_DOMCTL_audit_p2m`.
///
/// `xen_domctl_audit_p2m` in `domctl.h`.
#[doc(alias = "xen_domctl_audit_p2m")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AuditP2m {
    /// OUT.
    pub orphans: u64,
    /// OUT.
    pub m2p_bad: u64,
    /// OUT.
    pub p2m_bad: u64,
}

layout!(AuditP2m, size 24, { orphans: 0, m2p_bad: 8, p2m_bad: 16 });

/// `XEN_DOMCTL_mem_sharing_op`.
///
/// `xen_domctl_mem_sharing_op` in `domctl.h`.
#[doc(alias = "xen_domctl_mem_sharing_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MemSharingOp {
    /// 0: control.
    pub op: u8,
    /// Whether sharing is on.
    pub enable: u8,
}

layout!(MemSharingOp, size 2, { op: 0, enable: 1 });

/// `XEN_DOMCTL_setvnumainfo`.
///
/// `xen_domctl_vnuma` in `domctl.h`.
#[doc(alias = "xen_domctl_vnuma")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Vnuma {
    /// Virtual nodes.
    pub nr_vnodes: u32,
    /// Memory ranges.
    pub nr_vmemranges: u32,
    /// vCPUs.
    pub nr_vcpus: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// u32 distances, a square.
    pub vdistance: GuestHandle,
    /// u32 nodes by vCPU.
    pub vcpu_to_vnode: GuestHandle,
    /// u32 nodes of the host.
    pub vnode_to_pnode: GuestHandle,
    /// [`Vmemrange`](crate::memory::Vmemrange)s.
    pub vmemrange: GuestHandle,
}

layout!(Vnuma, size 48, {
    nr_vnodes: 0, nr_vmemranges: 4, nr_vcpus: 8, _pad0: 12, vdistance: 16, vcpu_to_vnode: 24,
    vnode_to_pnode: 32, vmemrange: 40,
});

/// `XEN_DOMCTL_set_llc_colors`.
///
/// `xen_domctl_set_llc_colors` in `domctl.h`.
#[doc(alias = "xen_domctl_set_llc_colors")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetLlcColors {
    /// How many; 0 is no coloring.
    pub num_llc_colors: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// u32 colors.
    pub llc_colors: GuestHandle,
}

layout!(SetLlcColors, size 16, { num_llc_colors: 0, _pad0: 4, llc_colors: 8 });

/// `XEN_DOMCTL_psr_cmt_op`.
///
/// `xen_domctl_psr_cmt_op` in `domctl.h`.
#[doc(alias = "xen_domctl_psr_cmt_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PsrCmtOp {
    /// 0 detach, 1 attach, 2 query.
    pub cmd: u32,
    /// OUT: monitoring id.
    pub data: u32,
}

layout!(PsrCmtOp, size 8, { cmd: 0, data: 4 });

/// `XEN_DOMCTL_psr_alloc`.
///
/// `xen_domctl_psr_alloc` in `domctl.h`.
#[doc(alias = "xen_domctl_psr_alloc")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PsrAlloc {
    /// Which resource, get or set.
    pub cmd: u32,
    /// Socket.
    pub target: u32,
    /// Its value.
    pub data: u64,
}

layout!(PsrAlloc, size 16, { cmd: 0, target: 4, data: 8 });
