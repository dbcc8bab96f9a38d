//! CPU pools, schedulers, and the CPU policies that guests can have.

use crate::GuestHandle;
use crate::domctl::Scheduler;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use crate::xen::CtlBitmap;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_SYSCTL_cpupool_op`.
///
/// `xen_sysctl_cpupool_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cpupool_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpupoolOp {
    /// What to do.
    pub op: CpupoolCmd,
    /// IN, OUT: the pool.
    pub cpupool_id: u32,
    /// IN, OUT: its scheduler.
    pub sched_id: Scheduler,
    /// IN: domain to move.
    pub domid: u32,
    /// IN: pCPU to add or remove.
    pub cpu: u32,
    /// OUT: domains in it.
    pub n_dom: u32,
    /// OUT: its pCPUs.
    pub cpumap: CtlBitmap,
}

layout!(CpupoolOp, size 40, {
    op: 0, cpupool_id: 4, sched_id: 8, domid: 12, cpu: 16, n_dom: 20, cpumap: 24,
});

open_enum! {
    /// What [`CpupoolOp`] does.
    pub struct CpupoolCmd(u32) {
        /// Creates a pool.
        CREATE = 1, "XEN_SYSCTL_CPUPOOL_OP_CREATE";
        /// Destroys one.
        DESTROY = 2, "XEN_SYSCTL_CPUPOOL_OP_DESTROY";
        /// Describes the first pool from an id on.
        INFO = 3, "XEN_SYSCTL_CPUPOOL_OP_INFO";
        /// Adds a pCPU.
        ADDCPU = 4, "XEN_SYSCTL_CPUPOOL_OP_ADDCPU";
        /// Removes a pCPU.
        RMCPU = 5, "XEN_SYSCTL_CPUPOOL_OP_RMCPU";
        /// Moves a domain.
        MOVEDOMAIN = 6, "XEN_SYSCTL_CPUPOOL_OP_MOVEDOMAIN";
        /// Tells which pCPUs are in no pool.
        FREEINFO = 7, "XEN_SYSCTL_CPUPOOL_OP_FREEINFO";
    }
}

constants! {
    // Wildcard of [`CpupoolOp`].
    u32 {
        /// Any id or pCPU.
        CPUPOOL_PAR_ANY = 0xffff_ffff, "XEN_SYSCTL_CPUPOOL_PAR_ANY";
    }
}

/// Settings of the credit scheduler.
///
/// `xen_sysctl_credit_schedule` in `sysctl.h`.
#[doc(alias = "xen_sysctl_credit_schedule")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CreditSchedule {
    /// Time slice.
    pub tslice_ms: u32,
    /// Least time on a pCPU.
    pub ratelimit_us: u32,
    /// Time that a vCPU's cache stays warm.
    pub vcpu_migr_delay_us: u32,
}

layout!(CreditSchedule, size 12, { tslice_ms: 0, ratelimit_us: 4, vcpu_migr_delay_us: 8 });

/// Settings of the credit 2 scheduler.
///
/// `xen_sysctl_credit2_schedule` in `sysctl.h`.
#[doc(alias = "xen_sysctl_credit2_schedule")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Credit2Schedule {
    /// Least time on a pCPU.
    pub ratelimit_us: u32,
}

layout!(Credit2Schedule, size 4, { ratelimit_us: 0 });

constants! {
    // Bounds of the schedulers' settings.
    u32 {
        /// Highest rate limit in microseconds.
        SCHED_RATELIMIT_MAX = 500_000, "XEN_SYSCTL_SCHED_RATELIMIT_MAX";
        /// Lowest rate limit in microseconds.
        SCHED_RATELIMIT_MIN = 100, "XEN_SYSCTL_SCHED_RATELIMIT_MIN";
        /// Highest time slice in milliseconds.
        CSCHED_TSLICE_MAX = 1000, "XEN_SYSCTL_CSCHED_TSLICE_MAX";
        /// Lowest time slice in milliseconds.
        CSCHED_TSLICE_MIN = 1, "XEN_SYSCTL_CSCHED_TSLICE_MIN";
        /// Highest migration delay in microseconds.
        CSCHED_MGR_DLY_MAX_US = 100_000, "XEN_SYSCTL_CSCHED_MGR_DLY_MAX_US";
    }
}

open_enum! {
    /// What [`SchedulerOp`] does.
    pub struct SchedulerCmd(u32) {
        /// Sets.
        PUTINFO = 0, "XEN_SYSCTL_SCHEDOP_putinfo";
        /// Tells.
        GETINFO = 1, "XEN_SYSCTL_SCHEDOP_getinfo";
    }
}

/// `XEN_SYSCTL_scheduler_op`.
///
/// `xen_sysctl_scheduler_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_scheduler_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SchedulerOp {
    /// The pool.
    pub cpupool_id: u32,
    /// Its scheduler.
    pub sched_id: Scheduler,
    /// What to do.
    pub cmd: SchedulerCmd,
    /// Padding.
    pub _pad0: [u8; 4],
    /// [`CreditSchedule`], [`Credit2Schedule`], or the handle of an ARINC 653 schedule.
    pub u: Payload<2>,
}

layout!(SchedulerOp, size 32, { cpupool_id: 0, sched_id: 4, cmd: 8, _pad0: 12, u: 16 });

/// `XEN_SYSCTL_get_cpu_levelling_caps`.
///
/// `xen_sysctl_cpu_levelling_caps` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cpu_levelling_caps")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuLevellingCaps {
    /// Which CPUID words can be masked.
    pub caps: u32,
}

layout!(CpuLevellingCaps, size 4, { caps: 0 });

/// `XEN_SYSCTL_get_cpu_featureset`.
///
/// `xen_sysctl_cpu_featureset` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cpu_featureset")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuFeatureset {
    /// IN: which set.
    pub index: FeaturesetIndex,
    /// IN: room; OUT: words.
    pub nr_features: u32,
    /// OUT: u32 words, or null.
    pub features: GuestHandle,
}

layout!(CpuFeatureset, size 16, { index: 0, nr_features: 4, features: 8 });

open_enum! {
    /// Which feature set.
    pub struct FeaturesetIndex(u32) {
        /// The CPU's.
        RAW = 0, "XEN_SYSCTL_cpu_featureset_raw";
        /// What the hypervisor uses.
        HOST = 1, "XEN_SYSCTL_cpu_featureset_host";
        /// PV default.
        PV = 2, "XEN_SYSCTL_cpu_featureset_pv";
        /// HVM default.
        HVM = 3, "XEN_SYSCTL_cpu_featureset_hvm";
        /// PV maximum.
        PV_MAX = 4, "XEN_SYSCTL_cpu_featureset_pv_max";
        /// HVM maximum.
        HVM_MAX = 5, "XEN_SYSCTL_cpu_featureset_hvm_max";
    }
}

/// `XEN_SYSCTL_get_cpu_policy`.
///
/// `xen_sysctl_cpu_policy` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cpu_policy")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuPolicy {
    /// IN: which policy.
    pub index: PolicyIndex,
    /// IN: room; OUT: leaves.
    pub nr_leaves: u32,
    /// IN: room; OUT: MSRs.
    pub nr_msrs: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// OUT: [`CpuidLeaf`](crate::arch_x86::xen::CpuidLeaf) entries.
    pub leaves: GuestHandle,
    /// OUT: [`MsrEntry`](crate::arch_x86::xen::MsrEntry) entries.
    pub msrs: GuestHandle,
}

layout!(CpuPolicy, size 32, {
    index: 0, nr_leaves: 4, nr_msrs: 8, _pad0: 12, leaves: 16, msrs: 24,
});

open_enum! {
    /// Which policy.
    pub struct PolicyIndex(u32) {
        /// The CPU's.
        RAW = 0, "XEN_SYSCTL_cpu_policy_raw";
        /// What the hypervisor uses.
        HOST = 1, "XEN_SYSCTL_cpu_policy_host";
        /// PV maximum.
        PV_MAX = 2, "XEN_SYSCTL_cpu_policy_pv_max";
        /// HVM maximum.
        HVM_MAX = 3, "XEN_SYSCTL_cpu_policy_hvm_max";
        /// PV default.
        PV_DEFAULT = 4, "XEN_SYSCTL_cpu_policy_pv_default";
        /// HVM default.
        HVM_DEFAULT = 5, "XEN_SYSCTL_cpu_policy_hvm_default";
    }
}

/// `XEN_SYSCTL_psr_cmt_op`.
///
/// `xen_sysctl_psr_cmt_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_psr_cmt_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PsrCmtOp {
    /// What to tell.
    pub cmd: u32,
    /// Flags.
    pub flags: u32,
    /// OUT: the value; IN: pCPU, in the low half.
    pub u: [u64; 1],
}

layout!(PsrCmtOp, size 16, { cmd: 0, flags: 4, u: 8 });

/// `XEN_SYSCTL_psr_alloc`.
///
/// `xen_sysctl_psr_alloc` in `sysctl.h`.
#[doc(alias = "xen_sysctl_psr_alloc")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PsrAlloc {
    /// 0 L3, 1 L2, 2 memory bandwidth.
    pub cmd: u32,
    /// Socket.
    pub target: u32,
    /// OUT: limits and flags.
    pub u: [u32; 3],
}

layout!(PsrAlloc, size 20, { cmd: 0, target: 4, u: 8 });
