//! `vcpu.h`: `vcpu_op(cmd, vcpu, arg)`.

use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `vcpu_op`.
    pub struct VcpuCmd(u32) {
        /// Sets a vCPU's first state; [`VcpuHvmContext`](crate::hvm::hvm_vcpu::VcpuHvmContext).
        INITIALISE = 0, "VCPUOP_initialise";
        /// Makes it runnable.
        UP = 1, "VCPUOP_up";
        /// Makes it not runnable.
        DOWN = 2, "VCPUOP_down";
        /// Returns 1 if it is up.
        IS_UP = 3, "VCPUOP_is_up";
        /// Writes a [`RunstateInfo`].
        GET_RUNSTATE_INFO = 4, "VCPUOP_get_runstate_info";
        /// Registers a [`RunstateInfo`] by virtual address; [`RegisterArea`].
        REGISTER_RUNSTATE_MEMORY_AREA = 5, "VCPUOP_register_runstate_memory_area";
        /// [`SetPeriodicTimer`].
        SET_PERIODIC_TIMER = 6, "VCPUOP_set_periodic_timer";
        /// No argument.
        STOP_PERIODIC_TIMER = 7, "VCPUOP_stop_periodic_timer";
        /// [`SetSingleshotTimer`].
        SET_SINGLESHOT_TIMER = 8, "VCPUOP_set_singleshot_timer";
        /// No argument.
        STOP_SINGLESHOT_TIMER = 9, "VCPUOP_stop_singleshot_timer";
        /// Moves the vCPU's `vcpu_info`; [`RegisterVcpuInfo`].
        REGISTER_VCPU_INFO = 10, "VCPUOP_register_vcpu_info";
        /// Sends an NMI.
        SEND_NMI = 11, "VCPUOP_send_nmi";
        /// [`GetPhysId`].
        GET_PHYSID = 12, "VCPUOP_get_physid";
        /// Registers a time area by virtual address; [`RegisterArea`].
        REGISTER_VCPU_TIME_MEMORY_AREA = 13, "VCPUOP_register_vcpu_time_memory_area";
        /// As 5, by guest physical address; all ones removes it.
        REGISTER_RUNSTATE_PHYS_AREA = 14, "VCPUOP_register_runstate_phys_area";
        /// As 13, by guest physical address; all ones removes it.
        REGISTER_VCPU_TIME_PHYS_AREA = 15, "VCPUOP_register_vcpu_time_phys_area";
    }
}

open_enum! {
    /// State of a vCPU; index into [`RunstateInfo::time`].
    pub struct Runstate(u32) {
        /// On a pCPU.
        RUNNING = 0, "RUNSTATE_running";
        /// Waits for a pCPU.
        RUNNABLE = 1, "RUNSTATE_runnable";
        /// Idle.
        BLOCKED = 2, "RUNSTATE_blocked";
        /// Down or paused.
        OFFLINE = 3, "RUNSTATE_offline";
    }
}

/// State and times of one vCPU.
///
/// `vcpu_runstate_info` in `vcpu.h`.
#[doc(alias = "vcpu_runstate_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RunstateInfo {
    /// Current state.
    pub state: Runstate,
    /// Padding.
    pub _pad0: [u8; 4],
    /// System time when it was entered; see `RUNSTATE_UPDATE`.
    pub state_entry_time: u64,
    /// Nanoseconds in each state; their sum keeps up with system time.
    pub time: [u64; 4],
}

layout!(RunstateInfo, size 48, { state: 0, _pad0: 4, state_entry_time: 8, time: 16 });

constants! {
    // Bits of [`RunstateInfo::state_entry_time`].
    u64 {
        /// The area is being written (if the guest asked for this flag).
        RUNSTATE_UPDATE = 1 << 63, "XEN_RUNSTATE_UPDATE";
    }
}

/// Argument that registers an area: a virtual or, in the `_phys_area` calls, a guest physical
/// address.
///
/// `vcpu_register_runstate_memory_area` in `vcpu.h`.
#[doc(alias = "vcpu_register_runstate_memory_area")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RegisterArea {
    /// The address.
    pub addr: u64,
}

layout!(RegisterArea, size 8, { addr: 0 });

/// Argument of `VCPUOP_set_periodic_timer`.
///
/// `vcpu_set_periodic_timer` in `vcpu.h`.
#[doc(alias = "vcpu_set_periodic_timer")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetPeriodicTimer {
    /// The period; at least 1 ms.
    pub period_ns: u64,
}

layout!(SetPeriodicTimer, size 8, { period_ns: 0 });

/// Argument of `VCPUOP_set_singleshot_timer`.
///
/// `vcpu_set_singleshot_timer` in `vcpu.h`.
#[doc(alias = "vcpu_set_singleshot_timer")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetSingleshotTimer {
    /// System time of the event.
    pub timeout_abs_ns: u64,
    /// `SSHOTTMR_FUTURE`.
    pub flags: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(SetSingleshotTimer, size 16, { timeout_abs_ns: 0, flags: 8, _pad0: 12 });

constants! {
    // Flags of [`SetSingleshotTimer`].
    u32 {
        /// Fail with `-ETIME` if the time has passed.
        SSHOTTMR_FUTURE = 1 << 0, "VCPU_SSHOTTMR_future";
    }
}

/// Argument of `VCPUOP_register_vcpu_info`.
///
/// `vcpu_register_vcpu_info` in `vcpu.h`.
#[doc(alias = "vcpu_register_vcpu_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RegisterVcpuInfo {
    /// The page (a gfn).
    pub mfn: u64,
    /// Offset in it; the structure must not cross its end.
    pub offset: u32,
    /// Unused.
    pub rsvd: u32,
}

layout!(RegisterVcpuInfo, size 16, { mfn: 0, offset: 8, rsvd: 12 });

/// Argument of `VCPUOP_get_physid`.
///
/// `vcpu_get_physid` in `vcpu.h`.
#[doc(alias = "vcpu_get_physid")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetPhysId {
    /// OUT: APIC id in the low half, ACPI id in the high half.
    pub phys_id: u64,
}

layout!(GetPhysId, size 8, { phys_id: 0 });
