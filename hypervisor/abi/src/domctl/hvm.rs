//! HVM containers: saved state, CPU policy, time, triggers.

use crate::GuestHandle;
use crate::macros::{layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_DOMCTL_gethvmcontext` and `XEN_DOMCTL_sethvmcontext`.
///
/// `xen_domctl_hvmcontext` in `domctl.h`.
#[doc(alias = "xen_domctl_hvmcontext")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct HvmContext {
    /// IN: bytes of the buffer; OUT: bytes used.
    pub size: u32,
    /// Padding.
    pub _pad0: [u8; 4],
    /// Save records; null asks for the size.
    pub buffer: GuestHandle,
}

layout!(HvmContext, size 16, { size: 0, _pad0: 4, buffer: 8 });

/// `XEN_DOMCTL_gethvmcontext_partial`.
///
/// `xen_domctl_hvmcontext_partial` in `domctl.h`.
#[doc(alias = "xen_domctl_hvmcontext_partial")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct HvmContextPartial {
    /// IN: record type.
    pub ty: u32,
    /// IN: its instance.
    pub instance: u32,
    /// IN: bytes of the buffer; OUT: bytes used.
    pub bufsz: u64,
    /// OUT: the record without its descriptor.
    pub buffer: GuestHandle,
}

layout!(HvmContextPartial, size 24, { ty: 0, instance: 4, bufsz: 8, buffer: 16 });

/// `XEN_DOMCTL_set_address_size` and `_get_`: PV only.
///
/// `xen_domctl_address_size` in `domctl.h`.
#[doc(alias = "xen_domctl_address_size")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AddressSize {
    /// Bits.
    pub size: u32,
}

layout!(AddressSize, size 4, { size: 0 });

/// `XEN_DOMCTL_sendtrigger`.
///
/// `xen_domctl_sendtrigger` in `domctl.h`.
#[doc(alias = "xen_domctl_sendtrigger")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SendTrigger {
    /// What.
    pub trigger: Trigger,
    /// The vCPU id.
    pub vcpu: u32,
}

layout!(SendTrigger, size 8, { trigger: 0, vcpu: 4 });

open_enum! {
    /// What [`SendTrigger`] raises.
    pub struct Trigger(u32) {
        /// A non-maskable interrupt.
        NMI = 0, "XEN_DOMCTL_SENDTRIGGER_NMI";
        /// A reset.
        RESET = 1, "XEN_DOMCTL_SENDTRIGGER_RESET";
        /// INIT.
        INIT = 2, "XEN_DOMCTL_SENDTRIGGER_INIT";
        /// The power button.
        POWER = 3, "XEN_DOMCTL_SENDTRIGGER_POWER";
        /// The sleep button.
        SLEEP = 4, "XEN_DOMCTL_SENDTRIGGER_SLEEP";
    }
}

/// `XEN_DOMCTL_settimeoffset`.
///
/// `xen_domctl_settimeoffset` in `domctl.h`.
#[doc(alias = "xen_domctl_settimeoffset")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetTimeOffset {
    /// Wall clock of the domain, less UTC.
    pub time_offset_seconds: i64,
}

layout!(SetTimeOffset, size 8, { time_offset_seconds: 0 });

/// `XEN_DOMCTL_gettscinfo` and `XEN_DOMCTL_settscinfo`.
///
/// `xen_domctl_tsc_info` in `domctl.h`.
#[doc(alias = "xen_domctl_tsc_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct TscInfo {
    /// As in CPUID leaf 3.
    pub tsc_mode: u32,
    /// The guest's TSC frequency.
    pub gtsc_khz: u32,
    /// Migrations so far.
    pub incarnation: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// Nanoseconds since the domain began.
    pub elapsed_nsec: u64,
}

layout!(TscInfo, size 24, {
    tsc_mode: 0, gtsc_khz: 4, incarnation: 8, _pad0: 12, elapsed_nsec: 16,
});

/// `XEN_DOMCTL_get_cpu_policy` and `XEN_DOMCTL_set_cpu_policy`.
///
/// `xen_domctl_cpu_policy` in `domctl.h`.
#[doc(alias = "xen_domctl_cpu_policy")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CpuPolicy {
    /// CPUID leaves.
    pub nr_leaves: u32,
    /// MSRs.
    pub nr_msrs: u32,
    /// [`CpuidLeaf`](crate::arch_x86::xen::CpuidLeaf) entries.
    pub leaves: GuestHandle,
    /// [`MsrEntry`](crate::arch_x86::xen::MsrEntry) entries.
    pub msrs: GuestHandle,
    /// OUT: leaf that was refused, or all ones.
    pub err_leaf: u32,
    /// OUT: its subleaf.
    pub err_subleaf: u32,
    /// OUT: MSR that was refused, or all ones.
    pub err_msr: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(CpuPolicy, size 40, {
    nr_leaves: 0, nr_msrs: 4, leaves: 8, msrs: 16, err_leaf: 24, err_subleaf: 28, err_msr: 32,
    _pad0: 36,
});
