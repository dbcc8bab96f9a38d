//! `sysctl.h`: operations on the host, for the toolstack. The argument is one [`Sysctl`] whose
//! union holds the structure that the command names.
//!
//! By what they are about: `info` (console, counters, the machine), `cpupool` (CPU pools,
//! schedulers, CPU policy), `power` (frequencies, hotplug, offlining).

use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod cpupool;
mod info;
mod power;

pub use cpupool::*;
pub use info::*;
pub use power::*;

constants! {
    // The version that [`Sysctl::interface_version`] must have, else `-EACCES`.
    u32 {
        /// Xen 4.17 to 4.20.
        INTERFACE_VERSION = 0x15, "XEN_SYSCTL_INTERFACE_VERSION";
    }
}

open_enum! {
    /// Operations.
    pub struct SysctlCmd(u32) {
        /// [`ReadConsole`].
        READCONSOLE = 1, "XEN_SYSCTL_readconsole";
        /// [`TbufOp`].
        TBUF_OP = 2, "XEN_SYSCTL_tbuf_op";
        /// [`PhysInfo`].
        PHYSINFO = 3, "XEN_SYSCTL_physinfo";
        /// [`SchedId`].
        SCHED_ID = 4, "XEN_SYSCTL_sched_id";
        /// [`PerfcOp`].
        PERFC_OP = 5, "XEN_SYSCTL_perfc_op";
        /// [`GetDomainInfoList`].
        GETDOMAININFOLIST = 6, "XEN_SYSCTL_getdomaininfolist";
        /// [`DebugKeys`].
        DEBUG_KEYS = 7, "XEN_SYSCTL_debug_keys";
        /// [`GetCpuInfo`].
        GETCPUINFO = 8, "XEN_SYSCTL_getcpuinfo";
        /// [`AvailHeap`].
        AVAILHEAP = 9, "XEN_SYSCTL_availheap";
        /// [`GetPmStat`].
        GET_PMSTAT = 10, "XEN_SYSCTL_get_pmstat";
        /// [`CpuHotplug`].
        CPU_HOTPLUG = 11, "XEN_SYSCTL_cpu_hotplug";
        /// [`PmOp`].
        PM_OP = 12, "XEN_SYSCTL_pm_op";
        /// [`PageOfflineOp`].
        PAGE_OFFLINE_OP = 14, "XEN_SYSCTL_page_offline_op";
        /// [`LockprofOp`].
        LOCKPROF_OP = 15, "XEN_SYSCTL_lockprof_op";
        /// [`CpuTopoInfo`].
        CPUTOPOINFO = 16, "XEN_SYSCTL_cputopoinfo";
        /// [`NumaInfo`].
        NUMAINFO = 17, "XEN_SYSCTL_numainfo";
        /// [`CpupoolOp`].
        CPUPOOL_OP = 18, "XEN_SYSCTL_cpupool_op";
        /// [`SchedulerOp`].
        SCHEDULER_OP = 19, "XEN_SYSCTL_scheduler_op";
        /// [`CoverageOp`].
        COVERAGE_OP = 20, "XEN_SYSCTL_coverage_op";
        /// [`PsrCmtOp`].
        PSR_CMT_OP = 21, "XEN_SYSCTL_psr_cmt_op";
        /// [`PciTopoInfo`].
        PCITOPOINFO = 22, "XEN_SYSCTL_pcitopoinfo";
        /// [`PsrAlloc`].
        PSR_ALLOC = 23, "XEN_SYSCTL_psr_alloc";
        /// [`CpuLevellingCaps`].
        GET_CPU_LEVELLING_CAPS = 25, "XEN_SYSCTL_get_cpu_levelling_caps";
        /// [`CpuFeatureset`].
        GET_CPU_FEATURESET = 26, "XEN_SYSCTL_get_cpu_featureset";
        /// Live patches: not rendered.
        LIVEPATCH_OP = 27, "XEN_SYSCTL_livepatch_op";
        /// [`CpuPolicy`].
        GET_CPU_POLICY = 29, "XEN_SYSCTL_get_cpu_policy";
        /// Not for x86.
        DT_OVERLAY = 30, "XEN_SYSCTL_dt_overlay";
    }
}

/// Argument of the `sysctl` hypercall.
///
/// `xen_sysctl` in `sysctl.h`.
#[doc(alias = "xen_sysctl")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Sysctl {
    /// Which operation.
    pub cmd: SysctlCmd,
    /// `INTERFACE_VERSION`.
    pub interface_version: u32,
    /// The operation's structure.
    pub u: Payload<16>,
}

layout!(Sysctl, size 136, { cmd: 0, interface_version: 4, u: 8 });
