//! Frequencies, idle states, CPU hotplug, page offlining.

use crate::GuestHandle;
use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Statistics of one P-state.
///
/// `pm_px_val` in `sysctl.h`.
#[doc(alias = "pm_px_val")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PxVal {
    /// MHz.
    pub freq: u64,
    /// Nanoseconds.
    pub residency: u64,
    /// Entries.
    pub count: u64,
}

layout!(PxVal, size 24, { freq: 0, residency: 8, count: 16 });

/// P-state statistics.
///
/// `pm_px_stat` in `sysctl.h`.
#[doc(alias = "pm_px_stat")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PxStat {
    /// IN: room; OUT: states.
    pub total: u8,
    /// OUT: usable states.
    pub usable: u8,
    /// OUT: last state.
    pub last: u8,
    /// OUT: current state.
    pub cur: u8,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: u64 transition counts, a square.
    pub trans_pt: GuestHandle,
    /// OUT: [`PxVal`]s.
    pub pt: GuestHandle,
}

layout!(PxStat, size 24, { total: 0, usable: 1, last: 2, cur: 3, _pad0: 4, trans_pt: 8, pt: 16 });

/// Idle state statistics.
///
/// `pm_cx_stat` in `sysctl.h`.
#[doc(alias = "pm_cx_stat")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CxStat {
    /// IN: room; OUT: states.
    pub nr: u32,
    /// OUT: last state.
    pub last: u32,
    /// OUT: nanoseconds idle.
    pub idle_time: u64,
    /// OUT: u64 counts.
    pub triggers: GuestHandle,
    /// OUT: u64 nanoseconds.
    pub residencies: GuestHandle,
    /// IN: room in `pc`.
    pub nr_pc: u32,
    /// IN: room in `cc`.
    pub nr_cc: u32,
    /// OUT: u64 package residencies.
    pub pc: GuestHandle,
    /// OUT: u64 core residencies.
    pub cc: GuestHandle,
}

layout!(CxStat, size 56, {
    nr: 0, last: 4, idle_time: 8, triggers: 16, residencies: 24, nr_pc: 32, nr_cc: 36, pc: 40,
    cc: 48,
});

/// `XEN_SYSCTL_get_pmstat`.
///
/// `xen_sysctl_get_pmstat` in `sysctl.h`.
#[doc(alias = "xen_sysctl_get_pmstat")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetPmStat {
    /// `PMSTAT_*`.
    pub ty: u32,
    /// pCPU.
    pub cpuid: u32,
    /// [`PxStat`] or [`CxStat`].
    pub u: Payload<7>,
}

layout!(GetPmStat, size 64, { ty: 0, cpuid: 4, u: 8 });

constants! {
    // Values of [`GetPmStat::ty`].
    u32 {
        /// Number of P-states.
        PMSTAT_GET_MAX_PX = 0x11, "PMSTAT_get_max_px";
        /// P-state statistics.
        PMSTAT_GET_PXSTAT = 0x12, "PMSTAT_get_pxstat";
        /// Reset them.
        PMSTAT_RESET_PXSTAT = 0x13, "PMSTAT_reset_pxstat";
        /// Number of idle states.
        PMSTAT_GET_MAX_CX = 0x21, "PMSTAT_get_max_cx";
        /// Idle state statistics.
        PMSTAT_GET_CXSTAT = 0x22, "PMSTAT_get_cxstat";
        /// Reset them.
        PMSTAT_RESET_CXSTAT = 0x23, "PMSTAT_reset_cxstat";
    }
}

/// `XEN_SYSCTL_cpu_hotplug`.
///
/// `xen_sysctl_cpu_hotplug` in `sysctl.h`.
#[doc(alias = "xen_sysctl_cpu_hotplug")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuHotplug {
    /// pCPU.
    pub cpu: u32,
    /// What to do.
    pub op: CpuHotplugCmd,
}

layout!(CpuHotplug, size 8, { cpu: 0, op: 4 });

open_enum! {
    /// What [`CpuHotplug`] does.
    pub struct CpuHotplugCmd(u32) {
        /// Brings a pCPU up.
        ONLINE = 0, "XEN_SYSCTL_CPU_HOTPLUG_ONLINE";
        /// Takes it down.
        OFFLINE = 1, "XEN_SYSCTL_CPU_HOTPLUG_OFFLINE";
        /// Brings second threads up.
        SMT_ENABLE = 2, "XEN_SYSCTL_CPU_HOTPLUG_SMT_ENABLE";
        /// Takes second threads down.
        SMT_DISABLE = 3, "XEN_SYSCTL_CPU_HOTPLUG_SMT_DISABLE";
    }
}

/// `XEN_SYSCTL_pm_op`.
///
/// `xen_sysctl_pm_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_pm_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PmOp {
    /// What to do.
    pub cmd: PmCmd,
    /// pCPU.
    pub cpuid: u32,
    /// By command; [`GetCpufreqPara`] is the largest.
    pub u: Payload<15>,
}

layout!(PmOp, size 128, { cmd: 0, cpuid: 4, u: 8 });

open_enum! {
    /// What [`PmOp`] does.
    pub struct PmCmd(u32) {
        /// Tells frequency settings.
        GET_FREQUENCY_PARA = 0x11, "GET_CPUFREQ_PARA";
        /// Sets the governor.
        SET_FREQUENCY_GOV = 0x12, "SET_CPUFREQ_GOV";
        /// Sets a frequency setting.
        SET_FREQUENCY_PARA = 0x13, "SET_CPUFREQ_PARA";
        /// Average frequency.
        GET_FREQUENCY_AVGFREQ = 0x14, "GET_CPUFREQ_AVGFREQ";
        /// Sets performance hints.
        SET_FREQUENCY_CPPC = 0x15, "SET_CPUFREQ_CPPC";
        /// Sets whether packages are filled.
        SET_SCHED_OPT_SMT = 0x21, "XEN_SYSCTL_pm_op_set_sched_opt_smt";
        /// Deepest idle state.
        GET_MAX_CSTATE = 0x22, "XEN_SYSCTL_pm_op_get_max_cstate";
        /// Sets the deepest idle state.
        SET_MAX_CSTATE = 0x23, "XEN_SYSCTL_pm_op_set_max_cstate";
        /// Obsolete.
        SET_VCPU_MIGRATION_DELAY = 0x24, "XEN_SYSCTL_pm_op_set_vcpu_migration_delay";
        /// Obsolete.
        GET_VCPU_MIGRATION_DELAY = 0x25, "XEN_SYSCTL_pm_op_get_vcpu_migration_delay";
        /// Turbo on.
        ENABLE_TURBO = 0x26, "XEN_SYSCTL_pm_op_enable_turbo";
        /// Turbo off.
        DISABLE_TURBO = 0x27, "XEN_SYSCTL_pm_op_disable_turbo";
    }
}

/// Frequency settings of a pCPU.
///
/// `xen_get_cpufreq_para` in `sysctl.h`.
#[doc(alias = "xen_get_cpufreq_para")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetCpufreqPara {
    /// IN: room; OUT: affected pCPUs.
    pub cpu_num: u32,
    /// IN: room; OUT: frequencies.
    pub freq_num: u32,
    /// IN: room; OUT: governors.
    pub gov_num: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: u32 pCPUs.
    pub affected_cpus: GuestHandle,
    /// OUT: u32 kHz.
    pub scaling_available_frequencies: GuestHandle,
    /// OUT: text.
    pub scaling_available_governors: GuestHandle,
    /// OUT: text, NUL-terminated.
    pub scaling_driver: [u8; 16],
    /// OUT: kHz.
    pub cpuinfo_cur_freq: u32,
    /// OUT: kHz.
    pub cpuinfo_max_freq: u32,
    /// OUT: kHz.
    pub cpuinfo_min_freq: u32,
    /// OUT: governor's or performance hints' settings.
    pub u: [u32; 11],
    /// OUT: whether turbo is on.
    pub turbo_enabled: i32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(GetCpufreqPara, size 120, {
    cpu_num: 0, freq_num: 4, gov_num: 8, _pad0: 12, affected_cpus: 16,
    scaling_available_frequencies: 24, scaling_available_governors: 32, scaling_driver: 40,
    cpuinfo_cur_freq: 56, cpuinfo_max_freq: 60, cpuinfo_min_freq: 64, u: 68, turbo_enabled: 112,
    _pad1: 116,
});

/// `XEN_SYSCTL_page_offline_op`.
///
/// `xen_sysctl_page_offline_op` in `sysctl.h`.
#[doc(alias = "xen_sysctl_page_offline_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PageOfflineOp {
    /// 1 offline, 2 online, 3 query.
    pub cmd: u32,
    /// First mfn.
    pub start: u32,
    /// Last mfn.
    pub end: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// OUT: u32 for each.
    pub status: GuestHandle,
}

layout!(PageOfflineOp, size 24, { cmd: 0, start: 4, end: 8, _pad0: 12, status: 16 });
