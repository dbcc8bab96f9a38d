//! `event_channel.h`: `event_channel_op(cmd, arg)`, and the 2-level and FIFO delivery interfaces.

use crate::macros::{constants, layout, open_enum};
use crate::xen::Virq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `event_channel_op`.
    pub struct EventChannelCmd(u32) {
        /// Connects to another domain's unbound port; [`BindInterdomain`].
        BIND_INTERDOMAIN = 0, "EVTCHNOP_bind_interdomain";
        /// Binds a virtual interrupt; [`BindVirq`].
        BIND_VIRQ = 1, "EVTCHNOP_bind_virq";
        /// Binds a physical interrupt; [`BindPirq`].
        BIND_PIRQ = 2, "EVTCHNOP_bind_pirq";
        /// Closes a port; [`Close`].
        CLOSE = 3, "EVTCHNOP_close";
        /// Notifies the other end; [`Send`].
        SEND = 4, "EVTCHNOP_send";
        /// Tells what a port is bound to; [`Status`].
        STATUS = 5, "EVTCHNOP_status";
        /// Allocates a port that another domain may bind to; [`AllocUnbound`].
        ALLOC_UNBOUND = 6, "EVTCHNOP_alloc_unbound";
        /// Allocates a port that notifies a vCPU of the same domain; [`BindIpi`].
        BIND_IPI = 7, "EVTCHNOP_bind_ipi";
        /// Chooses the vCPU that a port notifies; [`BindVcpu`].
        BIND_VCPU = 8, "EVTCHNOP_bind_vcpu";
        /// Unmasks, and delivers what is pending; [`Unmask`].
        UNMASK = 9, "EVTCHNOP_unmask";
        /// Closes all ports; [`Reset`].
        RESET = 10, "EVTCHNOP_reset";
        /// FIFO: registers a vCPU's control block; [`InitControl`].
        INIT_CONTROL = 11, "EVTCHNOP_init_control";
        /// FIFO: adds a page of event words; [`ExpandArray`].
        EXPAND_ARRAY = 12, "EVTCHNOP_expand_array";
        /// FIFO: sets a port's priority; [`SetPriority`].
        SET_PRIORITY = 13, "EVTCHNOP_set_priority";
    }
}

open_enum! {
    /// What a port is bound to: [`Status::status`].
    pub struct PortStatus(u32) {
        /// Not in use.
        CLOSED = 0, "EVTCHNSTAT_closed";
        /// Waits for an interdomain connection.
        UNBOUND = 1, "EVTCHNSTAT_unbound";
        /// Connected.
        INTERDOMAIN = 2, "EVTCHNSTAT_interdomain";
        /// A physical interrupt.
        PIRQ = 3, "EVTCHNSTAT_pirq";
        /// A virtual interrupt.
        VIRQ = 4, "EVTCHNSTAT_virq";
        /// Notifications within the domain.
        IPI = 5, "EVTCHNSTAT_ipi";
    }
}

/// Argument of `EVTCHNOP_alloc_unbound`.
///
/// `evtchn_alloc_unbound` in `event_channel.h`.
#[doc(alias = "evtchn_alloc_unbound")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct AllocUnbound {
    /// IN: whose port; `DOMID_SELF` unless privileged.
    pub dom: u16,
    /// IN: who may bind to it.
    pub remote_dom: u16,
    /// OUT: the port.
    pub port: u32,
}

layout!(AllocUnbound, size 8, { dom: 0, remote_dom: 2, port: 4 });

/// Argument of `EVTCHNOP_bind_interdomain`.
///
/// `evtchn_bind_interdomain` in `event_channel.h`.
#[doc(alias = "evtchn_bind_interdomain")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindInterdomain {
    /// IN: the other domain.
    pub remote_dom: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// IN: its unbound port.
    pub remote_port: u32,
    /// OUT: the caller's new port.
    pub local_port: u32,
}

layout!(BindInterdomain, size 12, { remote_dom: 0, _pad0: 2, remote_port: 4, local_port: 8 });

/// Argument of `EVTCHNOP_bind_virq`.
///
/// `evtchn_bind_virq` in `event_channel.h`.
#[doc(alias = "evtchn_bind_virq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindVirq {
    /// IN: the virtual interrupt.
    pub virq: Virq,
    /// IN: the vCPU; 0 for global ones.
    pub vcpu: u32,
    /// OUT: the port.
    pub port: u32,
}

layout!(BindVirq, size 12, { virq: 0, vcpu: 4, port: 8 });

/// Argument of `EVTCHNOP_bind_pirq`.
///
/// `evtchn_bind_pirq` in `event_channel.h`.
#[doc(alias = "evtchn_bind_pirq")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindPirq {
    /// IN: the physical interrupt.
    pub pirq: u32,
    /// IN: `BIND_PIRQ_WILL_SHARE`.
    pub flags: u32,
    /// OUT: the port.
    pub port: u32,
}

layout!(BindPirq, size 12, { pirq: 0, flags: 4, port: 8 });

constants! {
    // Flags of [`BindPirq`].
    u32 {
        /// The interrupt may be shared with other domains.
        BIND_PIRQ_WILL_SHARE = 1, "BIND_PIRQ__WILL_SHARE";
    }
}

/// Argument of `EVTCHNOP_bind_ipi`.
///
/// `evtchn_bind_ipi` in `event_channel.h`.
#[doc(alias = "evtchn_bind_ipi")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindIpi {
    /// IN: the vCPU to notify.
    pub vcpu: u32,
    /// OUT: the port.
    pub port: u32,
}

layout!(BindIpi, size 8, { vcpu: 0, port: 4 });

/// Argument of `EVTCHNOP_close`.
///
/// `evtchn_close` in `event_channel.h`.
#[doc(alias = "evtchn_close")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Close {
    /// The event channel port.
    pub port: u32,
}

layout!(Close, size 4, { port: 0 });

/// Argument of `EVTCHNOP_send`.
///
/// `evtchn_send` in `event_channel.h`.
#[doc(alias = "evtchn_send")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Send {
    /// The event channel port.
    pub port: u32,
}

layout!(Send, size 4, { port: 0 });

/// Argument of `EVTCHNOP_status`.
///
/// `evtchn_status` in `event_channel.h`.
#[doc(alias = "evtchn_status")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Status {
    /// IN: whose port.
    pub dom: u16,
    /// Padding.
    pub _pad0: [u8; 2],
    /// IN: the port.
    pub port: u32,
    /// OUT: its state.
    pub status: PortStatus,
    /// OUT: the vCPU that it notifies.
    pub vcpu: u32,
    /// OUT, by `status`: unbound and interdomain: word 0 the remote domain (low 16 bits);
    /// interdomain: word 1 the remote port; pirq, virq: word 0 its number.
    pub u: [u32; 2],
}

layout!(Status, size 24, { dom: 0, _pad0: 2, port: 4, status: 8, vcpu: 12, u: 16 });

/// Argument of `EVTCHNOP_bind_vcpu`.
///
/// `evtchn_bind_vcpu` in `event_channel.h`.
#[doc(alias = "evtchn_bind_vcpu")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct BindVcpu {
    /// The event channel port.
    pub port: u32,
    /// The vCPU to notify.
    pub vcpu: u32,
}

layout!(BindVcpu, size 8, { port: 0, vcpu: 4 });

/// Argument of `EVTCHNOP_unmask`.
///
/// `evtchn_unmask` in `event_channel.h`.
#[doc(alias = "evtchn_unmask")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Unmask {
    /// The event channel port.
    pub port: u32,
}

layout!(Unmask, size 4, { port: 0 });

/// Argument of `EVTCHNOP_reset`.
///
/// `evtchn_reset` in `event_channel.h`.
#[doc(alias = "evtchn_reset")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Reset {
    /// Whose ports.
    pub dom: u16,
}

layout!(Reset, size 2, { dom: 0 });

/// Argument of `EVTCHNOP_init_control`.
///
/// `evtchn_init_control` in `event_channel.h`.
#[doc(alias = "evtchn_init_control")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct InitControl {
    /// IN: page of the control block.
    pub control_gfn: u64,
    /// IN: its offset there, a multiple of 8.
    pub offset: u32,
    /// IN: the vCPU.
    pub vcpu: u32,
    /// OUT: width of the LINK field.
    pub link_bits: u8,
    /// Padding; zero.
    pub _pad0: [u8; 7],
}

layout!(InitControl, size 24, { control_gfn: 0, offset: 8, vcpu: 12, link_bits: 16, _pad0: 17 });

/// Argument of `EVTCHNOP_expand_array`.
///
/// `evtchn_expand_array` in `event_channel.h`.
#[doc(alias = "evtchn_expand_array")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct ExpandArray {
    /// The page to add.
    pub array_gfn: u64,
}

layout!(ExpandArray, size 8, { array_gfn: 0 });

/// Argument of `EVTCHNOP_set_priority`.
///
/// `evtchn_set_priority` in `event_channel.h`.
#[doc(alias = "evtchn_set_priority")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetPriority {
    /// The event channel port.
    pub port: u32,
    /// 0 is the highest, 15 the lowest.
    pub priority: u32,
}

layout!(SetPriority, size 8, { port: 0, priority: 4 });

/// FIFO interface: one vCPU's queues.
///
/// `evtchn_fifo_control_block` in `event_channel.h`.
#[doc(alias = "evtchn_fifo_control_block")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct FifoControlBlock {
    /// Bit n: queue n has events.
    pub ready: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// First port of each queue; 0 is an empty queue.
    pub head: [u32; 16],
}

layout!(FifoControlBlock, size 72, { ready: 0, _pad0: 4, head: 8 });

constants! {
    // Bounds of the two delivery interfaces.
    u32 {
        /// Ports of the 2-level interface.
        TWO_LEVEL_NR_CHANNELS = 4096, "EVTCHN_2L_NR_CHANNELS";
        /// Ports of the FIFO interface.
        FIFO_NR_CHANNELS = 1 << 17, "EVTCHN_FIFO_NR_CHANNELS";
        /// Highest priority.
        FIFO_PRIORITY_MAX = 0, "EVTCHN_FIFO_PRIORITY_MAX";
        /// Priority of a new port.
        FIFO_PRIORITY_DEFAULT = 7, "EVTCHN_FIFO_PRIORITY_DEFAULT";
        /// Lowest priority.
        FIFO_PRIORITY_MIN = 15, "EVTCHN_FIFO_PRIORITY_MIN";
        /// Queues of a control block.
        FIFO_MAX_QUEUES = 16, "EVTCHN_FIFO_MAX_QUEUES";
        /// Event words in one page of the event array.
        FIFO_WORDS_PER_PAGE = 1024;
    }
}

constants! {
    // Bit numbers and mask in an event word of the FIFO interface.
    u32 {
        /// The event is pending.
        FIFO_PENDING_BIT = 31, "EVTCHN_FIFO_PENDING";
        /// It is held back.
        FIFO_MASKED_BIT = 30, "EVTCHN_FIFO_MASKED";
        /// It is in a queue.
        FIFO_LINKED_BIT = 29, "EVTCHN_FIFO_LINKED";
        /// The word is being updated.
        FIFO_BUSY_BIT = 28, "EVTCHN_FIFO_BUSY";
        /// Width of the LINK field.
        FIFO_LINK_BITS = 17, "EVTCHN_FIFO_LINK_BITS";
        /// The LINK field: the next port of the queue.
        FIFO_LINK_MASK = 0x1ffff, "EVTCHN_FIFO_LINK_MASK";
    }
}
