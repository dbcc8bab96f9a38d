//! vCPUs: state, affinity, scheduling parameters.

use crate::GuestHandle;
use crate::hvm::save::Vmce;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use crate::xen::CtlBitmap;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_DOMCTL_setvcpucontext` and `XEN_DOMCTL_getvcpucontext`.
///
/// `xen_domctl_vcpucontext` in `domctl.h`.
#[doc(alias = "xen_domctl_vcpucontext")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuContext {
    /// The vCPU id.
    pub vcpu: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// A `vcpu_guest_context`.
    pub ctxt: GuestHandle,
}

layout!(VcpuContext, size 16, { vcpu: 0, _pad0: 4, ctxt: 8 });

/// `XEN_DOMCTL_getvcpuinfo`.
///
/// `xen_domctl_getvcpuinfo` in `domctl.h`.
#[doc(alias = "xen_domctl_getvcpuinfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetVcpuInfo {
    /// IN: the vCPU id.
    pub vcpu: u32,
    /// OUT: it is up.
    pub online: u8,
    /// OUT: it waits for an event.
    pub blocked: u8,
    /// OUT: it is on its pCPU.
    pub running: u8,
    /// Padding.
    pub _pad0: [u8; 1],
    /// OUT: nanoseconds run.
    pub cpu_time: u64,
    /// OUT: its pCPU.
    pub cpu: u32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(GetVcpuInfo, size 24, {
    vcpu: 0, online: 4, blocked: 5, running: 6, _pad0: 7, cpu_time: 8, cpu: 16, _pad1: 20,
});

/// `XEN_DOMCTL_setnodeaffinity` and `XEN_DOMCTL_getnodeaffinity`.
///
/// `xen_domctl_nodeaffinity` in `domctl.h`.
#[doc(alias = "xen_domctl_nodeaffinity")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct NodeAffinity {
    /// NUMA nodes.
    pub nodemap: CtlBitmap,
}

layout!(NodeAffinity, size 16, { nodemap: 0 });

/// `XEN_DOMCTL_setvcpuaffinity` and `XEN_DOMCTL_getvcpuaffinity`.
///
/// `xen_domctl_vcpuaffinity` in `domctl.h`.
#[doc(alias = "xen_domctl_vcpuaffinity")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuAffinity {
    /// IN: the vCPU id.
    pub vcpu: u32,
    /// IN: `VCPUAFFINITY_*`.
    pub flags: u32,
    /// pCPUs that it may run on.
    pub cpumap_hard: CtlBitmap,
    /// pCPUs that it should run on.
    pub cpumap_soft: CtlBitmap,
}

layout!(VcpuAffinity, size 40, { vcpu: 0, flags: 4, cpumap_hard: 8, cpumap_soft: 24 });

constants! {
    // Flags of [`VcpuAffinity`].
    u32 {
        /// The hard affinity.
        VCPUAFFINITY_HARD = 1 << 0, "XEN_VCPUAFFINITY_HARD";
        /// The soft affinity.
        VCPUAFFINITY_SOFT = 1 << 1, "XEN_VCPUAFFINITY_SOFT";
        /// Undo a pinning override.
        VCPUAFFINITY_FORCE = 1 << 2, "XEN_VCPUAFFINITY_FORCE";
    }
}

open_enum! {
    /// A scheduler.
    pub struct Scheduler(u32) {
        /// Credit.
        CREDIT = 5, "XEN_SCHEDULER_CREDIT";
        /// Credit 2: weights and caps; the default.
        CREDIT2 = 6, "XEN_SCHEDULER_CREDIT2";
        /// Fixed schedule.
        ARINC653 = 7, "XEN_SCHEDULER_ARINC653";
        /// Real time.
        RTDS = 8, "XEN_SCHEDULER_RTDS";
        /// One vCPU per pCPU.
        NULL = 9, "XEN_SCHEDULER_NULL";
    }
}

/// Parameters of the credit scheduler.
///
/// `xen_domctl_sched_credit` in `domctl.h`.
#[doc(alias = "xen_domctl_sched_credit")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedCredit {
    /// Share; 256 is usual.
    pub weight: u16,
    /// Most percent of a pCPU; 0 means all.
    pub cap: u16,
}

layout!(SchedCredit, size 4, { weight: 0, cap: 2 });

/// Parameters of the credit 2 scheduler.
///
/// `xen_domctl_sched_credit2` in `domctl.h`.
#[doc(alias = "xen_domctl_sched_credit2")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedCredit2 {
    /// Share; 256 is usual.
    pub weight: u16,
    /// Most percent of a pCPU; 0 means all.
    pub cap: u16,
}

layout!(SchedCredit2, size 4, { weight: 0, cap: 2 });

/// Parameters of the real time scheduler.
///
/// `xen_domctl_sched_rtds` in `domctl.h`.
#[doc(alias = "xen_domctl_sched_rtds")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedRtds {
    /// Microseconds.
    pub period: u32,
    /// Microseconds in each period.
    pub budget: u32,
    /// `SCHEDRT_EXTRA`.
    pub flags: u32,
}

layout!(SchedRtds, size 12, { period: 0, budget: 4, flags: 8 });

constants! {
    // Flags of [`SchedRtds`].
    u32 {
        /// May run beyond its budget.
        SCHEDRT_EXTRA = 1 << 0, "XEN_DOMCTL_SCHEDRT_extra";
    }
}

/// Parameters of one vCPU.
///
/// `xen_domctl_schedparam_vcpu` in `domctl.h`.
#[doc(alias = "xen_domctl_schedparam_vcpu")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedParamVcpu {
    /// [`SchedCredit`], [`SchedCredit2`] or [`SchedRtds`].
    pub u: [u32; 3],
    /// The vCPU.
    pub vcpuid: u32,
}

layout!(SchedParamVcpu, size 16, { u: 0, vcpuid: 12 });

open_enum! {
    /// What a [`SchedulerOp`] does.
    pub struct SchedOp(u32) {
        /// Sets the parameters of all vCPUs.
        PUTINFO = 0, "XEN_DOMCTL_SCHEDOP_putinfo";
        /// Tells the parameters of the domain.
        GETINFO = 1, "XEN_DOMCTL_SCHEDOP_getinfo";
        /// Sets the parameters of some vCPUs.
        PUTVCPUINFO = 2, "XEN_DOMCTL_SCHEDOP_putvcpuinfo";
        /// Tells the parameters of some vCPUs.
        GETVCPUINFO = 3, "XEN_DOMCTL_SCHEDOP_getvcpuinfo";
    }
}

/// `XEN_DOMCTL_scheduler_op`.
///
/// `xen_domctl_scheduler_op` in `domctl.h`.
#[doc(alias = "xen_domctl_scheduler_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedulerOp {
    /// The scheduler; must be the domain's.
    pub sched_id: Scheduler,
    /// What to do.
    pub cmd: SchedOp,
    /// [`SchedCredit`], [`SchedCredit2`], [`SchedRtds`] or [`SchedVcpus`].
    pub u: Payload<2>,
}

layout!(SchedulerOp, size 24, { sched_id: 0, cmd: 4, u: 8 });

/// Member of [`SchedulerOp`]: parameters by vCPU.
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedVcpus {
    /// [`SchedParamVcpu`] entries.
    pub vcpus: GuestHandle,
    /// How many.
    pub nr_vcpus: u32,
    /// Padding; zero.
    pub _pad0: u32,
}

layout!(SchedVcpus, size 16, { vcpus: 0, nr_vcpus: 8, _pad0: 12 });

/// `XEN_DOMCTL_set_ext_vcpucontext` and `XEN_DOMCTL_get_ext_vcpucontext`.
///
/// `xen_domctl_ext_vcpucontext` in `domctl.h`.
#[doc(alias = "xen_domctl_ext_vcpucontext")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ExtVcpuContext {
    /// IN: the vCPU id.
    pub vcpu: u32,
    /// Bytes that are valid.
    pub size: u32,
    /// PV only.
    pub syscall32_callback_eip: u64,
    /// PV only.
    pub sysenter_callback_eip: u64,
    /// PV only.
    pub syscall32_callback_cs: u16,
    /// PV only.
    pub sysenter_callback_cs: u16,
    /// PV only.
    pub syscall32_disables_events: u8,
    /// PV only.
    pub sysenter_disables_events: u8,
    /// Padding.
    pub _pad0: [u8; 2],
    /// Machine checks.
    pub vmce: Vmce,
}

layout!(ExtVcpuContext, size 64, {
    vcpu: 0, size: 4, syscall32_callback_eip: 8, sysenter_callback_eip: 16,
    syscall32_callback_cs: 24, sysenter_callback_cs: 26, syscall32_disables_events: 28,
    sysenter_disables_events: 29, _pad0: 30, vmce: 32,
});

/// One MSR of a vCPU.
///
/// `xen_domctl_vcpu_msr` in `domctl.h`.
#[doc(alias = "xen_domctl_vcpu_msr")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuMsr {
    /// Which.
    pub index: u32,
    /// Must be zero.
    pub reserved: u32,
    /// Its value.
    pub value: u64,
}

layout!(VcpuMsr, size 16, { index: 0, reserved: 4, value: 8 });

/// `XEN_DOMCTL_get_vcpu_msrs` and `XEN_DOMCTL_set_vcpu_msrs`.
///
/// `xen_domctl_vcpu_msrs` in `domctl.h`.
#[doc(alias = "xen_domctl_vcpu_msrs")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuMsrs {
    /// IN: the vCPU id.
    pub vcpu: u32,
    /// How many.
    pub msr_count: u32,
    /// [`VcpuMsr`] entries.
    pub msrs: GuestHandle,
}

layout!(VcpuMsrs, size 16, { vcpu: 0, msr_count: 4, msrs: 8 });

/// `XEN_DOMCTL_setvcpuextstate` and `XEN_DOMCTL_getvcpuextstate`.
///
/// `xen_domctl_vcpuextstate` in `domctl.h`.
#[doc(alias = "xen_domctl_vcpuextstate")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuExtState {
    /// IN: the vCPU id.
    pub vcpu: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// State components.
    pub xfeature_mask: u64,
    /// Bytes.
    pub size: u64,
    /// The state.
    pub buffer: GuestHandle,
}

layout!(VcpuExtState, size 32, { vcpu: 0, _pad0: 4, xfeature_mask: 8, size: 16, buffer: 24 });
