//! `hvm/hvm_op.h`: `hvm_op(cmd, arg)`.

use crate::hvm::params::HvmParam;
use crate::macros::{layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Sub-operations of `hvm_op`.
    pub struct HvmCmd(u32) {
        /// Sets a parameter; [`HvmParamOp`].
        SET_PARAM = 0, "HVMOP_set_param";
        /// Reads a parameter; [`HvmParamOp`].
        GET_PARAM = 1, "HVMOP_get_param";
        /// Flushes all vCPUs' TLBs.
        FLUSH_TLBS = 5, "HVMOP_flush_tlbs";
        /// Shadow paging only.
        PAGETABLE_DYING = 9, "HVMOP_pagetable_dying";
        /// [`GetTime`].
        GET_TIME = 10, "HVMOP_get_time";
        /// Adds a trace record.
        XENTRACE = 11, "HVMOP_xentrace";
        /// [`GetMemType`].
        GET_MEM_TYPE = 15, "HVMOP_get_mem_type";
        /// [`EvtchnUpcallVector`].
        SET_EVTCHN_UPCALL_VECTOR = 23, "HVMOP_set_evtchn_upcall_vector";
        /// Asks the monitor to look.
        GUEST_REQUEST_VM_EVENT = 24, "HVMOP_guest_request_vm_event";
        /// Alternate p2m.
        ALTP2M = 25, "HVMOP_altp2m";
    }
}

/// Argument of `HVMOP_set_param` and `HVMOP_get_param`.
///
/// `xen_hvm_param` in `hvm/hvm_op.h`.
#[doc(alias = "xen_hvm_param")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct HvmParamOp {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// Which parameter.
    pub index: HvmParam,
    /// IN or OUT: its value.
    pub value: u64,
}

layout!(HvmParamOp, size 16, { domid: 0, _pad0: 2, index: 4, value: 8 });

/// Argument of `HVMOP_get_time`.
///
/// `xen_hvm_get_time` in `hvm/hvm_op.h`.
#[doc(alias = "xen_hvm_get_time")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetTime {
    /// OUT: system time.
    pub now: u64,
}

layout!(GetTime, size 8, { now: 0 });

/// Argument of `HVMOP_get_mem_type`.
///
/// `xen_hvm_get_mem_type` in `hvm/hvm_op.h`.
#[doc(alias = "xen_hvm_get_mem_type")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetMemType {
    /// The domain; `DOMID_SELF` means the caller.
    pub domid: u16,
    /// OUT: its type.
    pub mem_type: MemType,
    /// Padding; zero.
    pub _pad0: [u16; 2],
    /// IN: the gfn.
    pub pfn: u64,
}

layout!(GetMemType, size 16, { domid: 0, mem_type: 2, _pad0: 4, pfn: 8 });

open_enum! {
    /// Type of a guest page.
    pub struct MemType(u16) {
        /// RAM.
        RAM_RW = 0, "HVMMEM_ram_rw";
        /// Read-only RAM; writes are dropped.
        RAM_RO = 1, "HVMMEM_ram_ro";
        /// The device model's.
        MMIO_DM = 2, "HVMMEM_mmio_dm";
        /// Unused.
        UNUSED = 3, "HVMMEM_unused";
        /// Writes go to an I/O request server.
        IOREQ_SERVER = 4, "HVMMEM_ioreq_server";
    }
}

/// Argument of `HVMOP_set_evtchn_upcall_vector`.
///
/// `xen_hvm_evtchn_upcall_vector` in `hvm/hvm_op.h`.
#[doc(alias = "xen_hvm_evtchn_upcall_vector")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct EvtchnUpcallVector {
    /// The vCPU id.
    pub vcpu: u32,
    /// The vector of its upcalls, from 0x10 up; 0 goes back to the callback.
    pub vector: u8,
    /// Padding.
    pub _pad0: [u8; 3],
}

layout!(EvtchnUpcallVector, size 8, { vcpu: 0, vector: 4, _pad0: 5 });
