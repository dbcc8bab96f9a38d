//! `domctl.h`: operations on domains, for the toolstack. The argument is one [`Domctl`] whose
//! union holds the structure that the command names.
//!
//! By what they are about: `create` (life, limits, information), `vcpu` (vCPUs, schedulers),
//! `memory` (paging, log-dirty), `hvm` (saved state, CPU policy, time), `device` (interrupts,
//! ports, devices).

use crate::macros::{constants, layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

mod create;
mod device;
mod hvm;
mod memory;
mod vcpu;

pub use create::*;
pub use device::*;
pub use hvm::*;
pub use memory::*;
pub use vcpu::*;

constants! {
    // The version that [`Domctl::interface_version`] must have, else `-EACCES`.
    u32 {
        /// Xen 4.19 and 4.20.
        INTERFACE_VERSION = 0x17, "XEN_DOMCTL_INTERFACE_VERSION";
    }
}

open_enum! {
    /// Operations.
    pub struct DomctlCmd(u32) {
        /// [`CreateDomain`].
        CREATEDOMAIN = 1, "XEN_DOMCTL_createdomain";
        /// No argument; `-EAGAIN`-like continuation until all is given back.
        DESTROYDOMAIN = 2, "XEN_DOMCTL_destroydomain";
        /// No argument.
        PAUSEDOMAIN = 3, "XEN_DOMCTL_pausedomain";
        /// No argument.
        UNPAUSEDOMAIN = 4, "XEN_DOMCTL_unpausedomain";
        /// [`GetDomainInfo`].
        GETDOMAININFO = 5, "XEN_DOMCTL_getdomaininfo";
        /// [`VcpuAffinity`].
        SETVCPUAFFINITY = 9, "XEN_DOMCTL_setvcpuaffinity";
        /// [`ShadowOp`].
        SHADOW_OP = 10, "XEN_DOMCTL_shadow_op";
        /// [`MaxMem`].
        MAX_MEM = 11, "XEN_DOMCTL_max_mem";
        /// [`VcpuContext`].
        SETVCPUCONTEXT = 12, "XEN_DOMCTL_setvcpucontext";
        /// [`VcpuContext`].
        GETVCPUCONTEXT = 13, "XEN_DOMCTL_getvcpucontext";
        /// [`GetVcpuInfo`].
        GETVCPUINFO = 14, "XEN_DOMCTL_getvcpuinfo";
        /// [`MaxVcpus`].
        MAX_VCPUS = 15, "XEN_DOMCTL_max_vcpus";
        /// [`SchedulerOp`].
        SCHEDULER_OP = 16, "XEN_DOMCTL_scheduler_op";
        /// [`SetDomainHandle`].
        SETDOMAINHANDLE = 17, "XEN_DOMCTL_setdomainhandle";
        /// [`SetDebugging`].
        SETDEBUGGING = 18, "XEN_DOMCTL_setdebugging";
        /// [`IrqPermission`].
        IRQ_PERMISSION = 19, "XEN_DOMCTL_irq_permission";
        /// [`IomemPermission`].
        IOMEM_PERMISSION = 20, "XEN_DOMCTL_iomem_permission";
        /// [`IoportPermission`].
        IOPORT_PERMISSION = 21, "XEN_DOMCTL_ioport_permission";
        /// [`HypercallInit`].
        HYPERCALL_INIT = 22, "XEN_DOMCTL_hypercall_init";
        /// [`SetTimeOffset`].
        SETTIMEOFFSET = 24, "XEN_DOMCTL_settimeoffset";
        /// [`VcpuAffinity`].
        GETVCPUAFFINITY = 25, "XEN_DOMCTL_getvcpuaffinity";
        /// Not for x86.
        REAL_MODE_AREA = 26, "XEN_DOMCTL_real_mode_area";
        /// No argument.
        RESUMEDOMAIN = 27, "XEN_DOMCTL_resumedomain";
        /// [`SendTrigger`].
        SENDTRIGGER = 28, "XEN_DOMCTL_sendtrigger";
        /// [`Subscribe`].
        SUBSCRIBE = 29, "XEN_DOMCTL_subscribe";
        /// [`HvmContext`].
        GETHVMCONTEXT = 33, "XEN_DOMCTL_gethvmcontext";
        /// [`HvmContext`].
        SETHVMCONTEXT = 34, "XEN_DOMCTL_sethvmcontext";
        /// [`AddressSize`].
        SET_ADDRESS_SIZE = 35, "XEN_DOMCTL_set_address_size";
        /// [`AddressSize`].
        GET_ADDRESS_SIZE = 36, "XEN_DOMCTL_get_address_size";
        /// [`AssignDevice`].
        ASSIGN_DEVICE = 37, "XEN_DOMCTL_assign_device";
        /// [`BindPtIrq`].
        BIND_PT_IRQ = 38, "XEN_DOMCTL_bind_pt_irq";
        /// [`MemoryMapping`].
        MEMORY_MAPPING = 39, "XEN_DOMCTL_memory_mapping";
        /// [`IoportMapping`].
        IOPORT_MAPPING = 40, "XEN_DOMCTL_ioport_mapping";
        /// [`ExtVcpuContext`].
        SET_EXT_VCPUCONTEXT = 42, "XEN_DOMCTL_set_ext_vcpucontext";
        /// [`ExtVcpuContext`].
        GET_EXT_VCPUCONTEXT = 43, "XEN_DOMCTL_get_ext_vcpucontext";
        /// Not for x86.
        SET_OPT_FEATURE = 44, "XEN_DOMCTL_set_opt_feature";
        /// [`AssignDevice`].
        TEST_ASSIGN_DEVICE = 45, "XEN_DOMCTL_test_assign_device";
        /// [`SetTarget`].
        SET_TARGET = 46, "XEN_DOMCTL_set_target";
        /// [`AssignDevice`].
        DEASSIGN_DEVICE = 47, "XEN_DOMCTL_deassign_device";
        /// [`BindPtIrq`].
        UNBIND_PT_IRQ = 48, "XEN_DOMCTL_unbind_pt_irq";
        /// [`GetDeviceGroup`].
        GET_DEVICE_GROUP = 50, "XEN_DOMCTL_get_device_group";
        /// [`DebugOp`].
        DEBUG_OP = 54, "XEN_DOMCTL_debug_op";
        /// [`HvmContextPartial`].
        GETHVMCONTEXT_PARTIAL = 55, "XEN_DOMCTL_gethvmcontext_partial";
        /// [`VmEventOp`].
        VM_EVENT_OP = 56, "XEN_DOMCTL_vm_event_op";
        /// [`MemSharingOp`].
        MEM_SHARING_OP = 57, "XEN_DOMCTL_mem_sharing_op";
        /// [`TscInfo`].
        GETTSCINFO = 59, "XEN_DOMCTL_gettscinfo";
        /// [`TscInfo`].
        SETTSCINFO = 60, "XEN_DOMCTL_settscinfo";
        /// [`GetPageFrameInfo3`].
        GETPAGEFRAMEINFO3 = 61, "XEN_DOMCTL_getpageframeinfo3";
        /// [`VcpuExtState`].
        SETVCPUEXTSTATE = 62, "XEN_DOMCTL_setvcpuextstate";
        /// [`VcpuExtState`].
        GETVCPUEXTSTATE = 63, "XEN_DOMCTL_getvcpuextstate";
        /// [`SetAccessRequired`].
        SET_ACCESS_REQUIRED = 64, "XEN_DOMCTL_set_access_required";
        /// [`AuditP2m`].
        AUDIT_P2M = 65, "XEN_DOMCTL_audit_p2m";
        /// [`SetVirqHandler`].
        SET_VIRQ_HANDLER = 66, "XEN_DOMCTL_set_virq_handler";
        /// [`SetBrokenPageP2m`].
        SET_BROKEN_PAGE_P2M = 67, "XEN_DOMCTL_set_broken_page_p2m";
        /// [`NodeAffinity`].
        SETNODEAFFINITY = 68, "XEN_DOMCTL_setnodeaffinity";
        /// [`NodeAffinity`].
        GETNODEAFFINITY = 69, "XEN_DOMCTL_getnodeaffinity";
        /// [`CacheFlush`].
        CACHEFLUSH = 71, "XEN_DOMCTL_cacheflush";
        /// [`VcpuMsrs`].
        GET_VCPU_MSRS = 72, "XEN_DOMCTL_get_vcpu_msrs";
        /// [`VcpuMsrs`].
        SET_VCPU_MSRS = 73, "XEN_DOMCTL_set_vcpu_msrs";
        /// [`Vnuma`].
        SETVNUMAINFO = 74, "XEN_DOMCTL_setvnumainfo";
        /// [`PsrCmtOp`].
        PSR_CMT_OP = 75, "XEN_DOMCTL_psr_cmt_op";
        /// [`MonitorOp`].
        MONITOR_OP = 77, "XEN_DOMCTL_monitor_op";
        /// [`PsrAlloc`].
        PSR_ALLOC = 78, "XEN_DOMCTL_psr_alloc";
        /// No argument.
        SOFT_RESET = 79, "XEN_DOMCTL_soft_reset";
        /// [`VuartOp`].
        VUART_OP = 81, "XEN_DOMCTL_vuart_op";
        /// [`CpuPolicy`].
        GET_CPU_POLICY = 82, "XEN_DOMCTL_get_cpu_policy";
        /// [`CpuPolicy`].
        SET_CPU_POLICY = 83, "XEN_DOMCTL_set_cpu_policy";
        /// [`VmtraceOp`].
        VMTRACE_OP = 84, "XEN_DOMCTL_vmtrace_op";
        /// [`PagingMempool`].
        GET_PAGING_MEMPOOL_SIZE = 85, "XEN_DOMCTL_get_paging_mempool_size";
        /// [`PagingMempool`].
        SET_PAGING_MEMPOOL_SIZE = 86, "XEN_DOMCTL_set_paging_mempool_size";
        /// Not for x86.
        DT_OVERLAY = 87, "XEN_DOMCTL_dt_overlay";
        /// [`GsiPermission`].
        GSI_PERMISSION = 88, "XEN_DOMCTL_gsi_permission";
        /// [`SetLlcColors`].
        SET_LLC_COLORS = 89, "XEN_DOMCTL_set_llc_colors";
        /// [`GdbsxMemio`].
        GDBSX_GUESTMEMIO = 1000, "XEN_DOMCTL_gdbsx_guestmemio";
        /// [`GdbsxPauseVcpu`].
        GDBSX_PAUSEVCPU = 1001, "XEN_DOMCTL_gdbsx_pausevcpu";
        /// [`GdbsxPauseVcpu`].
        GDBSX_UNPAUSEVCPU = 1002, "XEN_DOMCTL_gdbsx_unpausevcpu";
        /// [`GdbsxDomStatus`].
        GDBSX_DOMSTATUS = 1003, "XEN_DOMCTL_gdbsx_domstatus";
    }
}

/// Argument of the `domctl` hypercall.
///
/// `xen_domctl` in `domctl.h`.
#[doc(alias = "xen_domctl")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Domctl {
    /// Which operation.
    pub cmd: DomctlCmd,
    /// `INTERFACE_VERSION`.
    pub interface_version: u32,
    /// Which domain; OUT for `createdomain`.
    pub domain: u16,
    /// Padding; zero.
    pub _pad0: [u16; 3],
    /// The operation's structure.
    pub u: Payload<16>,
}

layout!(Domctl, size 144, { cmd: 0, interface_version: 4, domain: 8, _pad0: 10, u: 16 });
