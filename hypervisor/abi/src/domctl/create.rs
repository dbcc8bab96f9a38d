//! Creating, limiting, describing and tracing domains.

use crate::arch_x86::xen::DomainConfig;
use crate::macros::{constants, layout};
use crate::xen::Virq;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// `XEN_DOMCTL_createdomain`: an id of 0, or one from `DOMID_FIRST_RESERVED` up, asks for any
/// free id.
///
/// `xen_domctl_createdomain` in `domctl.h`.
#[doc(alias = "xen_domctl_createdomain")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CreateDomain {
    /// Security label.
    pub ssidref: u32,
    /// UUID.
    pub handle: [u8; 16],
    /// `CDF_*`.
    pub flags: u32,
    /// `IOMMU_*`.
    pub iommu_opts: u32,
    /// Most vCPUs.
    pub max_vcpus: u32,
    /// Highest event channel port.
    pub max_evtchn_port: u32,
    /// Most grant table frames; negative means the default.
    pub max_grant_frames: i32,
    /// Most frames of mapping handles; negative means the default.
    pub max_maptrack_frames: i32,
    /// Highest grant table version, in the low 4 bits.
    pub grant_opts: u32,
    /// `ALTP2M_*`.
    pub altp2m_opts: u32,
    /// Trace buffer of each vCPU in bytes; 0 is none.
    pub vmtrace_size: u32,
    /// CPU pool.
    pub cpupool_id: u32,
    /// The architecture's part.
    pub arch: DomainConfig,
}

layout!(CreateDomain, size 68, {
    ssidref: 0, handle: 4, flags: 20, iommu_opts: 24, max_vcpus: 28, max_evtchn_port: 32,
    max_grant_frames: 36, max_maptrack_frames: 40, grant_opts: 44, altp2m_opts: 48,
    vmtrace_size: 52, cpupool_id: 56, arch: 60,
});

constants! {
    // Flags of [`CreateDomain`].
    u32 {
        /// An HVM container: HVM and PVH.
        CDF_HVM = 1 << 0, "XEN_DOMCTL_CDF_hvm";
        /// Second-stage paging.
        CDF_HAP = 1 << 1, "XEN_DOMCTL_CDF_hap";
        /// Check memory after sleep.
        CDF_S3_INTEGRITY = 1 << 2, "XEN_DOMCTL_CDF_s3_integrity";
        /// Shadow paging only.
        CDF_OOS_OFF = 1 << 3, "XEN_DOMCTL_CDF_oos_off";
        /// The xenstore domain.
        CDF_XS_DOMAIN = 1 << 4, "XEN_DOMCTL_CDF_xs_domain";
        /// May use the IOMMU.
        CDF_IOMMU = 1 << 5, "XEN_DOMCTL_CDF_iommu";
        /// May virtualize.
        CDF_NESTED_VIRT = 1 << 6, "XEN_DOMCTL_CDF_nested_virt";
        /// Has performance counters.
        CDF_VPMU = 1 << 7, "XEN_DOMCTL_CDF_vpmu";
        /// All of them.
        CDF_KNOWN = 0xff;
        /// Don't share page tables with the IOMMU.
        IOMMU_NO_SHAREPT = 1 << 0, "XEN_DOMCTL_IOMMU_no_sharept";
        /// The version in `grant_opts`.
        GRANT_VERSION_MASK = 0xf, "XEN_DOMCTL_GRANT_version_mask";
        /// Alternate p2m, mixed mode.
        ALTP2M_MIXED = 1, "XEN_DOMCTL_ALTP2M_mixed";
        /// Alternate p2m, external mode.
        ALTP2M_EXTERNAL = 2, "XEN_DOMCTL_ALTP2M_external";
        /// Alternate p2m, limited mode.
        ALTP2M_LIMITED = 3, "XEN_DOMCTL_ALTP2M_limited";
        /// The mode in `altp2m_opts`.
        ALTP2M_MODE_MASK = 3, "XEN_DOMCTL_ALTP2M_mode_mask";
    }
}

/// `XEN_DOMCTL_getdomaininfo` and `XEN_SYSCTL_getdomaininfolist`.
///
/// `xen_domctl_getdomaininfo` in `domctl.h`.
#[doc(alias = "xen_domctl_getdomaininfo")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GetDomainInfo {
    /// Its id.
    pub domain: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// `DOMINF_*`.
    pub flags: u32,
    /// Pages that it has.
    pub tot_pages: u64,
    /// Pages that it may have.
    pub max_pages: u64,
    /// Pages claimed but not allocated.
    pub outstanding_pages: u64,
    /// Shared pages.
    pub shr_pages: u64,
    /// Paged-out pages.
    pub paged_pages: u64,
    /// gfn of the shared info page.
    pub shared_info_frame: u64,
    /// Nanoseconds run, by all vCPUs.
    pub cpu_time: u64,
    /// vCPUs that are up.
    pub nr_online_vcpus: u32,
    /// Highest vCPU id, or `INVALID_MAX_VCPU_ID`.
    pub max_vcpu_id: u32,
    /// Security label.
    pub ssidref: u32,
    /// UUID.
    pub handle: [u8; 16],
    /// CPU pool.
    pub cpupool: u32,
    /// Width of guest physical addresses.
    pub gpaddr_bits: u8,
    /// Padding; zero.
    pub _pad1: [u8; 7],
    /// The architecture's part.
    pub arch_config: DomainConfig,
}

layout!(GetDomainInfo, size 112, {
    domain: 0, _pad0: 2, flags: 4, tot_pages: 8, max_pages: 16, outstanding_pages: 24,
    shr_pages: 32, paged_pages: 40, shared_info_frame: 48, cpu_time: 56, nr_online_vcpus: 64,
    max_vcpu_id: 68, ssidref: 72, handle: 76, cpupool: 92, gpaddr_bits: 96, _pad1: 97,
    arch_config: 104,
});

constants! {
    // Flags of [`GetDomainInfo`].
    u32 {
        /// Being destroyed.
        DOMINF_DYING = 1 << 0, "XEN_DOMINF_dying";
        /// An HVM container.
        DOMINF_HVM_GUEST = 1 << 1, "XEN_DOMINF_hvm_guest";
        /// It shut down; the reason is in bits 23..16.
        DOMINF_SHUTDOWN = 1 << 2, "XEN_DOMINF_shutdown";
        /// Paused by the toolstack.
        DOMINF_PAUSED = 1 << 3, "XEN_DOMINF_paused";
        /// All vCPUs wait for events.
        DOMINF_BLOCKED = 1 << 4, "XEN_DOMINF_blocked";
        /// A vCPU is on a pCPU.
        DOMINF_RUNNING = 1 << 5, "XEN_DOMINF_running";
        /// Being debugged.
        DOMINF_DEBUGGED = 1 << 6, "XEN_DOMINF_debugged";
        /// The xenstore domain.
        DOMINF_XS_DOMAIN = 1 << 7, "XEN_DOMINF_xs_domain";
        /// Second-stage paging.
        DOMINF_HAP = 1 << 8, "XEN_DOMINF_hap";
        /// The shutdown reason, after the shift.
        DOMINF_SHUTDOWNMASK = 255, "XEN_DOMINF_shutdownmask";
        /// Where the shutdown reason starts.
        DOMINF_SHUTDOWNSHIFT = 16, "XEN_DOMINF_shutdownshift";
        /// There are no vCPUs.
        INVALID_MAX_VCPU_ID = 0xffff_ffff, "XEN_INVALID_MAX_VCPU_ID";
    }
}

/// `XEN_DOMCTL_max_mem`.
///
/// `xen_domctl_max_mem` in `domctl.h`.
#[doc(alias = "xen_domctl_max_mem")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MaxMem {
    /// Most memory, in KiB.
    pub max_memkb: u64,
}

layout!(MaxMem, size 8, { max_memkb: 0 });

/// `XEN_DOMCTL_max_vcpus`.
///
/// `xen_domctl_max_vcpus` in `domctl.h`.
#[doc(alias = "xen_domctl_max_vcpus")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MaxVcpus {
    /// As in `createdomain`.
    pub max: u32,
}

layout!(MaxVcpus, size 4, { max: 0 });

/// `XEN_DOMCTL_setdomainhandle`.
///
/// `xen_domctl_setdomainhandle` in `domctl.h`.
#[doc(alias = "xen_domctl_setdomainhandle")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetDomainHandle {
    /// UUID.
    pub handle: [u8; 16],
}

layout!(SetDomainHandle, size 16, { handle: 0 });

/// `XEN_DOMCTL_setdebugging`.
///
/// `xen_domctl_setdebugging` in `domctl.h`.
#[doc(alias = "xen_domctl_setdebugging")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetDebugging {
    /// Whether a debugger attends.
    pub enable: u8,
}

layout!(SetDebugging, size 1, { enable: 0 });

/// `XEN_DOMCTL_hypercall_init`.
///
/// `xen_domctl_hypercall_init` in `domctl.h`.
#[doc(alias = "xen_domctl_hypercall_init")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct HypercallInit {
    /// gfn to write the hypercall page to.
    pub gmfn: u64,
}

layout!(HypercallInit, size 8, { gmfn: 0 });

/// `XEN_DOMCTL_set_target`.
///
/// `xen_domctl_set_target` in `domctl.h`.
#[doc(alias = "xen_domctl_set_target")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetTarget {
    /// Domain that this one is the device model of.
    pub target: u16,
}

layout!(SetTarget, size 2, { target: 0 });

/// `XEN_DOMCTL_subscribe`.
///
/// `xen_domctl_subscribe` in `domctl.h`.
#[doc(alias = "xen_domctl_subscribe")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Subscribe {
    /// Port to notify when the domain is suspended.
    pub port: u32,
}

layout!(Subscribe, size 4, { port: 0 });

/// `XEN_DOMCTL_set_virq_handler`.
///
/// `xen_domctl_set_virq_handler` in `domctl.h`.
#[doc(alias = "xen_domctl_set_virq_handler")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct SetVirqHandler {
    /// Global interrupt to send to the domain.
    pub virq: Virq,
}

layout!(SetVirqHandler, size 4, { virq: 0 });

/// `XEN_DOMCTL_debug_op`.
///
/// `xen_domctl_debug_op` in `domctl.h`.
#[doc(alias = "xen_domctl_debug_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct DebugOp {
    /// `DEBUG_OP_*`.
    pub op: u32,
    /// The vCPU id.
    pub vcpu: u32,
}

layout!(DebugOp, size 8, { op: 0, vcpu: 4 });

constants! {
    // Values of [`DebugOp::op`].
    u32 {
        /// Stop.
        DEBUG_OP_SINGLE_STEP_OFF = 0, "XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_OFF";
        /// Start.
        DEBUG_OP_SINGLE_STEP_ON = 1, "XEN_DOMCTL_DEBUG_OP_SINGLE_STEP_ON";
    }
}

/// `XEN_DOMCTL_gdbsx_guestmemio`.
///
/// `xen_domctl_gdbsx_memio` in `domctl.h`.
#[doc(alias = "xen_domctl_gdbsx_memio")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GdbsxMemio {
    /// Page directory, or 0.
    pub pgd3val: u64,
    /// Guest virtual address.
    pub gva: u64,
    /// The caller's buffer.
    pub uva: u64,
    /// Bytes.
    pub len: u32,
    /// Whether to write.
    pub gwr: u8,
    /// Padding.
    pub _pad0: [u8; 3],
    /// OUT: bytes not done.
    pub remain: u32,
    /// Padding.
    pub _pad1: [u8; 4],
}

layout!(GdbsxMemio, size 40, {
    pgd3val: 0, gva: 8, uva: 16, len: 24, gwr: 28, _pad0: 29, remain: 32, _pad1: 36,
});

/// `XEN_DOMCTL_gdbsx_pausevcpu` and `_unpausevcpu`.
///
/// `xen_domctl_gdbsx_pauseunp_vcpu` in `domctl.h`.
#[doc(alias = "xen_domctl_gdbsx_pauseunp_vcpu")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GdbsxPauseVcpu {
    /// The vCPU id.
    pub vcpu: u32,
}

layout!(GdbsxPauseVcpu, size 4, { vcpu: 0 });

/// `XEN_DOMCTL_gdbsx_domstatus`.
///
/// `xen_domctl_gdbsx_domstatus` in `domctl.h`.
#[doc(alias = "xen_domctl_gdbsx_domstatus")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct GdbsxDomStatus {
    /// OUT: whether it is paused.
    pub paused: u8,
    /// Padding.
    pub _pad0: [u8; 3],
    /// OUT: a vCPU with an event.
    pub vcpu_id: u32,
    /// OUT: its event.
    pub vcpu_ev: u32,
}

layout!(GdbsxDomStatus, size 12, { paused: 0, _pad0: 1, vcpu_id: 4, vcpu_ev: 8 });

/// `XEN_DOMCTL_vm_event_op`.
///
/// `xen_domctl_vm_event_op` in `domctl.h`.
#[doc(alias = "xen_domctl_vm_event_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VmEventOp {
    /// `VM_EVENT_*`.
    pub op: u32,
    /// `VM_EVENT_OP_*`.
    pub mode: u32,
    /// OUT: port (enable) or version.
    pub port_or_version: u32,
}

layout!(VmEventOp, size 12, { op: 0, mode: 4, port_or_version: 8 });

constants! {
    // Values of [`VmEventOp::op`] and [`VmEventOp::mode`].
    u32 {
        /// Enable.
        VM_EVENT_ENABLE = 0, "XEN_VM_EVENT_ENABLE";
        /// Disable.
        VM_EVENT_DISABLE = 1, "XEN_VM_EVENT_DISABLE";
        /// Resume.
        VM_EVENT_RESUME = 2, "XEN_VM_EVENT_RESUME";
        /// Version.
        VM_EVENT_GET_VERSION = 3, "XEN_VM_EVENT_GET_VERSION";
        /// Paging ring.
        VM_EVENT_OP_PAGING = 1, "XEN_DOMCTL_VM_EVENT_OP_PAGING";
        /// Monitor ring.
        VM_EVENT_OP_MONITOR = 2, "XEN_DOMCTL_VM_EVENT_OP_MONITOR";
        /// Sharing ring.
        VM_EVENT_OP_SHARING = 3, "XEN_DOMCTL_VM_EVENT_OP_SHARING";
    }
}

/// `XEN_DOMCTL_monitor_op`.
///
/// `xen_domctl_monitor_op` in `domctl.h`.
#[doc(alias = "xen_domctl_monitor_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MonitorOp {
    /// `MONITOR_OP_*`.
    pub op: u32,
    /// `MONITOR_EVENT_*`; OUT: bitmap, for the capabilities.
    pub event: u32,
    /// Options, by event.
    pub u: [u64; 2],
}

layout!(MonitorOp, size 24, { op: 0, event: 4, u: 8 });

constants! {
    // Values of [`MonitorOp`].
    u32 {
        /// Enable an event.
        MONITOR_OP_ENABLE = 0, "XEN_DOMCTL_MONITOR_OP_ENABLE";
        /// Disable an event.
        MONITOR_OP_DISABLE = 1, "XEN_DOMCTL_MONITOR_OP_DISABLE";
        /// Which events exist.
        MONITOR_OP_GET_CAPABILITIES = 2, "XEN_DOMCTL_MONITOR_OP_GET_CAPABILITIES";
        /// Emulate each repetition.
        MONITOR_OP_EMULATE_EACH_REP = 3, "XEN_DOMCTL_MONITOR_OP_EMULATE_EACH_REP";
        /// Allow control register changes.
        MONITOR_OP_CONTROL_REGISTERS = 4, "XEN_DOMCTL_MONITOR_OP_CONTROL_REGISTERS";
        /// Control register writes.
        MONITOR_EVENT_WRITE_CTRLREG = 0, "XEN_DOMCTL_MONITOR_EVENT_WRITE_CTRLREG";
        /// MSR writes.
        MONITOR_EVENT_MOV_TO_MSR = 1, "XEN_DOMCTL_MONITOR_EVENT_MOV_TO_MSR";
        /// Single steps.
        MONITOR_EVENT_SINGLESTEP = 2, "XEN_DOMCTL_MONITOR_EVENT_SINGLESTEP";
        /// Breakpoints.
        MONITOR_EVENT_SOFTWARE_BREAKPOINT = 3, "XEN_DOMCTL_MONITOR_EVENT_SOFTWARE_BREAKPOINT";
        /// Requests of the guest.
        MONITOR_EVENT_GUEST_REQUEST = 4, "XEN_DOMCTL_MONITOR_EVENT_GUEST_REQUEST";
        /// Debug exceptions.
        MONITOR_EVENT_DEBUG_EXCEPTION = 5, "XEN_DOMCTL_MONITOR_EVENT_DEBUG_EXCEPTION";
        /// CPUID.
        MONITOR_EVENT_CPUID = 6, "XEN_DOMCTL_MONITOR_EVENT_CPUID";
        /// Privileged calls.
        MONITOR_EVENT_PRIVILEGED_CALL = 7, "XEN_DOMCTL_MONITOR_EVENT_PRIVILEGED_CALL";
        /// Interrupts.
        MONITOR_EVENT_INTERRUPT = 8, "XEN_DOMCTL_MONITOR_EVENT_INTERRUPT";
        /// Descriptor table accesses.
        MONITOR_EVENT_DESC_ACCESS = 9, "XEN_DOMCTL_MONITOR_EVENT_DESC_ACCESS";
        /// Instructions that can't be emulated.
        MONITOR_EVENT_EMUL_UNIMPLEMENTED = 10, "XEN_DOMCTL_MONITOR_EVENT_EMUL_UNIMPLEMENTED";
        /// Page faults in the guest.
        MONITOR_EVENT_INGUEST_PAGEFAULT = 11, "XEN_DOMCTL_MONITOR_EVENT_INGUEST_PAGEFAULT";
        /// Exits.
        MONITOR_EVENT_VMEXIT = 12, "XEN_DOMCTL_MONITOR_EVENT_VMEXIT";
        /// Ports.
        MONITOR_EVENT_IO = 13, "XEN_DOMCTL_MONITOR_EVENT_IO";
    }
}

/// `XEN_DOMCTL_vmtrace_op`.
///
/// `xen_domctl_vmtrace_op` in `domctl.h`.
#[doc(alias = "xen_domctl_vmtrace_op")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VmtraceOp {
    /// `VMTRACE_*`.
    pub cmd: u32,
    /// The vCPU id.
    pub vcpu: u32,
    /// IN: by command.
    pub key: u64,
    /// IN, OUT: by command.
    pub value: u64,
}

layout!(VmtraceOp, size 24, { cmd: 0, vcpu: 4, key: 8, value: 16 });

constants! {
    // Values of [`VmtraceOp::cmd`].
    u32 {
        /// Start.
        VMTRACE_ENABLE = 1, "XEN_DOMCTL_vmtrace_enable";
        /// Stop.
        VMTRACE_DISABLE = 2, "XEN_DOMCTL_vmtrace_disable";
        /// Start afresh.
        VMTRACE_RESET_AND_ENABLE = 3, "XEN_DOMCTL_vmtrace_reset_and_enable";
        /// Position in the buffer.
        VMTRACE_OUTPUT_POSITION = 4, "XEN_DOMCTL_vmtrace_output_position";
        /// Read an option.
        VMTRACE_GET_OPTION = 5, "XEN_DOMCTL_vmtrace_get_option";
        /// Write an option.
        VMTRACE_SET_OPTION = 6, "XEN_DOMCTL_vmtrace_set_option";
    }
}
