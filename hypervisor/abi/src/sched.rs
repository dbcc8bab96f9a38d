//! `sched.h`: `sched_op(cmd, arg)`.

use crate::GuestHandle;
use crate::macros::{layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `sched_op`.
    pub struct SchedCmd(u32) {
        /// Lets others run.
        YIELD = 0, "SCHEDOP_yield";
        /// Unmasks upcalls and waits for an event.
        BLOCK = 1, "SCHEDOP_block";
        /// Stops the domain; [`Shutdown`].
        SHUTDOWN = 2, "SCHEDOP_shutdown";
        /// Waits for one of some ports, or a time; [`Poll`].
        POLL = 3, "SCHEDOP_poll";
        /// Declares another domain's shutdown; [`RemoteShutdown`].
        REMOTE_SHUTDOWN = 4, "SCHEDOP_remote_shutdown";
        /// Sets the code that a later shutdown reports; [`Shutdown`].
        SHUTDOWN_CODE = 5, "SCHEDOP_shutdown_code";
        /// Sets, pokes or removes a watchdog; [`Watchdog`].
        WATCHDOG = 6, "SCHEDOP_watchdog";
        /// Pins the vCPU for a while; [`PinOverride`].
        PIN_OVERRIDE = 7, "SCHEDOP_pin_override";
    }
}

open_enum! {
    /// Why a domain stopped.
    pub struct ShutdownReason(u32) {
        /// Clean up and destroy.
        POWEROFF = 0, "SHUTDOWN_poweroff";
        /// Clean up and start again.
        REBOOT = 1, "SHUTDOWN_reboot";
        /// Save.
        SUSPEND = 2, "SHUTDOWN_suspend";
        /// It crashed.
        CRASH = 3, "SHUTDOWN_crash";
        /// Its watchdog fired.
        WATCHDOG = 4, "SHUTDOWN_watchdog";
        /// Reset its interfaces, keep its memory.
        SOFT_RESET = 5, "SHUTDOWN_soft_reset";
    }
}

/// Argument of `SCHEDOP_shutdown`.
///
/// `sched_shutdown` in `sched.h`.
#[doc(alias = "sched_shutdown")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Shutdown {
    /// Why.
    pub reason: ShutdownReason,
}

layout!(Shutdown, size 4, { reason: 0 });

/// Argument of `SCHEDOP_poll`.
///
/// `sched_poll` in `sched.h`.
#[doc(alias = "sched_poll")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Poll {
    /// u32 ports.
    pub ports: GuestHandle,
    /// How many; at most 128.
    pub nr_ports: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// Absolute system time in ns; 0 means none.
    pub timeout: u64,
}

layout!(Poll, size 24, { ports: 0, nr_ports: 8, _pad0: 12, timeout: 16 });

/// Argument of `SCHEDOP_remote_shutdown`.
///
/// `sched_remote_shutdown` in `sched.h`.
#[doc(alias = "sched_remote_shutdown")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct RemoteShutdown {
    /// Which domain.
    pub domain_id: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// Why.
    pub reason: ShutdownReason,
}

layout!(RemoteShutdown, size 8, { domain_id: 0, _pad0: 2, reason: 4 });

/// Argument of `SCHEDOP_watchdog`.
///
/// `sched_watchdog` in `sched.h`.
#[doc(alias = "sched_watchdog")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Watchdog {
    /// 0 makes a new one, whose id is returned.
    pub id: u32,
    /// Seconds; 0 removes it.
    pub timeout: u32,
}

layout!(Watchdog, size 8, { id: 0, timeout: 4 });

/// Argument of `SCHEDOP_pin_override`.
///
/// `sched_pin_override` in `sched.h`.
#[doc(alias = "sched_pin_override")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct PinOverride {
    /// The pCPU; negative undoes the pinning.
    pub pcpu: i32,
}

layout!(PinOverride, size 4, { pcpu: 0 });
