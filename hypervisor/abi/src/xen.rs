//! `xen.h`: hypercall numbers, reserved domain ids, virtual interrupts, and the structures shared
//! with every guest.

use crate::GuestHandle;
use crate::arch_x86::xen::ArchSharedInfo;
use crate::arch_x86::xen::ArchVcpuInfo;
use crate::macros::{constants, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// Hypercall numbers: RAX at the `vmmcall` or `vmcall`.
    pub struct Hypercall(u32) {
        /// PV only.
        SET_TRAP_TABLE = 0, "__HYPERVISOR_set_trap_table";
        /// PV only.
        MMU_UPDATE = 1, "__HYPERVISOR_mmu_update";
        /// PV only.
        SET_GDT = 2, "__HYPERVISOR_set_gdt";
        /// PV only.
        STACK_SWITCH = 3, "__HYPERVISOR_stack_switch";
        /// PV only.
        SET_CALLBACKS = 4, "__HYPERVISOR_set_callbacks";
        /// PV only.
        FPU_TASKSWITCH = 5, "__HYPERVISOR_fpu_taskswitch";
        /// Scheduling, as before interface version 0x00030101.
        SCHED_OP_COMPAT = 6, "__HYPERVISOR_sched_op_compat";
        /// The hardware domain's view of the platform ([`crate::platform`]).
        PLATFORM_OP = 7, "__HYPERVISOR_platform_op";
        /// PV only.
        SET_DEBUGREG = 8, "__HYPERVISOR_set_debugreg";
        /// PV only.
        GET_DEBUGREG = 9, "__HYPERVISOR_get_debugreg";
        /// PV only.
        UPDATE_DESCRIPTOR = 10, "__HYPERVISOR_update_descriptor";
        /// Physical memory of domains ([`crate::memory`]).
        MEMORY_OP = 12, "__HYPERVISOR_memory_op";
        /// A batch of hypercalls ([`MulticallEntry`]).
        MULTICALL = 13, "__HYPERVISOR_multicall";
        /// PV only.
        UPDATE_VA_MAPPING = 14, "__HYPERVISOR_update_va_mapping";
        /// The calling vCPU's timer: absolute system time in ns, 0 stops it.
        SET_TIMER_OP = 15, "__HYPERVISOR_set_timer_op";
        /// Event channels, as before interface version 0x00030202.
        EVENT_CHANNEL_OP_COMPAT = 16, "__HYPERVISOR_event_channel_op_compat";
        /// Version and features ([`crate::version`]).
        XEN_VERSION = 17, "__HYPERVISOR_xen_version";
        /// The hypervisor's console ([`crate::console`]).
        CONSOLE_IO = 18, "__HYPERVISOR_console_io";
        /// Physical devices, as before interface version 0x00030202.
        PHYSDEV_OP_COMPAT = 19, "__HYPERVISOR_physdev_op_compat";
        /// Grant tables ([`crate::grant_table`]).
        GRANT_TABLE_OP = 20, "__HYPERVISOR_grant_table_op";
        /// Per-domain behaviour switches ([`VmAssistType`]).
        VM_ASSIST = 21, "__HYPERVISOR_vm_assist";
        /// PV only.
        UPDATE_VA_MAPPING_OTHERDOMAIN = 22, "__HYPERVISOR_update_va_mapping_otherdomain";
        /// PV only.
        IRET = 23, "__HYPERVISOR_iret";
        /// vCPUs ([`crate::vcpu`]).
        VCPU_OP = 24, "__HYPERVISOR_vcpu_op";
        /// PV only.
        SET_SEGMENT_BASE = 25, "__HYPERVISOR_set_segment_base";
        /// PV page tables; HVM containers may use the pin-free ones.
        MMUEXT_OP = 26, "__HYPERVISOR_mmuext_op";
        /// Security modules.
        XSM_OP = 27, "__HYPERVISOR_xsm_op";
        /// PV only.
        NMI_OP = 28, "__HYPERVISOR_nmi_op";
        /// Scheduling and shutdown ([`crate::sched`]).
        SCHED_OP = 29, "__HYPERVISOR_sched_op";
        /// PV only.
        CALLBACK_OP = 30, "__HYPERVISOR_callback_op";
        /// Profiling.
        XENOPROF_OP = 31, "__HYPERVISOR_xenoprof_op";
        /// Event channels ([`crate::event_channel`]).
        EVENT_CHANNEL_OP = 32, "__HYPERVISOR_event_channel_op";
        /// Physical devices ([`crate::physdev`]).
        PHYSDEV_OP = 33, "__HYPERVISOR_physdev_op";
        /// HVM containers ([`crate::hvm`]).
        HVM_OP = 34, "__HYPERVISOR_hvm_op";
        /// The host, for the toolstack ([`crate::sysctl`]).
        SYSCTL = 35, "__HYPERVISOR_sysctl";
        /// Domains, for the toolstack ([`crate::domctl`]).
        DOMCTL = 36, "__HYPERVISOR_domctl";
        /// Crash kernels.
        KEXEC_OP = 37, "__HYPERVISOR_kexec_op";
        /// Removed from Xen.
        TMEM_OP = 38, "__HYPERVISOR_tmem_op";
        /// Inter-domain messages.
        ARGO_OP = 39, "__HYPERVISOR_argo_op";
        /// Performance monitoring.
        XENPMU_OP = 40, "__HYPERVISOR_xenpmu_op";
        /// Device models ([`crate::hvm::dm_op`]).
        DM_OP = 41, "__HYPERVISOR_dm_op";
        /// The hypervisor file system.
        HYPFS_OP = 42, "__HYPERVISOR_hypfs_op";
        /// Machine checks on x86 (`__HYPERVISOR_mca`).
        ARCH_0 = 48, "__HYPERVISOR_arch_0";
        /// Scratch of the PV compatibility layer.
        ARCH_1 = 49, "__HYPERVISOR_arch_1";
        ARCH_2 = 50, "__HYPERVISOR_arch_2";
        ARCH_3 = 51, "__HYPERVISOR_arch_3";
        ARCH_4 = 52, "__HYPERVISOR_arch_4";
        ARCH_5 = 53, "__HYPERVISOR_arch_5";
        ARCH_6 = 54, "__HYPERVISOR_arch_6";
        ARCH_7 = 55, "__HYPERVISOR_arch_7";
    }
}

open_enum! {
    /// Virtual interrupts: bound to a port with `EVTCHNOP_bind_virq`.
    pub struct Virq(u32) {
        /// Per vCPU: a timer fired.
        TIMER = 0, "VIRQ_TIMER";
        /// Per vCPU: dump debugging information.
        DEBUG = 1, "VIRQ_DEBUG";
        /// Global, dom0: bytes were received on the hypervisor's console.
        CONSOLE = 2, "VIRQ_CONSOLE";
        /// Global, dom0: a domain shut down or is gone.
        DOM_EXC = 3, "VIRQ_DOM_EXC";
        /// Global, dom0: the trace buffer has records.
        TBUF = 4, "VIRQ_TBUF";
        /// Global, dom0: a domain was paused for debugging.
        DEBUGGER = 6, "VIRQ_DEBUGGER";
        /// Per vCPU: a new profiling sample.
        XENOPROF = 7, "VIRQ_XENOPROF";
        /// Global, dom0: the hypervisor's log has new bytes.
        CON_RING = 8, "VIRQ_CON_RING";
        /// Global, dom0: a pCPU went on- or offline.
        PCPU_STATE = 9, "VIRQ_PCPU_STATE";
        /// Global, dom0: a memory event.
        MEM_EVENT = 10, "VIRQ_MEM_EVENT";
        /// Global: an Argo message.
        ARGO = 11, "VIRQ_ARGO";
        /// Global, dom0: memory runs low.
        ENOMEM = 12, "VIRQ_ENOMEM";
        /// Per vCPU: a performance counter overflowed.
        XENPMU = 13, "VIRQ_XENPMU";
        /// Global on x86: a machine check (`VIRQ_MCA`).
        ARCH_0 = 16, "VIRQ_ARCH_0";
        ARCH_1 = 17, "VIRQ_ARCH_1";
        ARCH_2 = 18, "VIRQ_ARCH_2";
        ARCH_3 = 19, "VIRQ_ARCH_3";
        ARCH_4 = 20, "VIRQ_ARCH_4";
        ARCH_5 = 21, "VIRQ_ARCH_5";
        ARCH_6 = 22, "VIRQ_ARCH_6";
        ARCH_7 = 23, "VIRQ_ARCH_7";
    }
}

constants! {
    // The number of virtual interrupts.
    u32 {
        /// One more than the highest virtual interrupt.
        NR_VIRQS = 24;
    }
}

constants! {
    // Domain ids from 0x7ff0 up name no ordinary domain.
    u16 {
        /// Ids from here on can't be given to a domain.
        DOMID_FIRST_RESERVED = 0x7ff0;
        /// The caller.
        DOMID_SELF = 0x7ff0;
        /// Owner of I/O memory.
        DOMID_IO = 0x7ff1;
        /// Owner of the hypervisor's own shareable pages.
        DOMID_XEN = 0x7ff2;
        /// Owner of copy-on-write pages.
        DOMID_COW = 0x7ff3;
        /// Owner unknown.
        DOMID_INVALID = 0x7ff4;
        /// The idle domain.
        DOMID_IDLE = 0x7fff;
        /// Bits that a domain id may use.
        DOMID_MASK = 0x7fff;
    }
}

open_enum! {
    /// First argument of `vm_assist`.
    pub struct VmAssistCmd(u32) {
        ENABLE = 0, "VMASST_CMD_enable";
        DISABLE = 1, "VMASST_CMD_disable";
    }
}

open_enum! {
    /// Second argument of `vm_assist`.
    pub struct VmAssistType(u32) {
        /// PV only.
        SEGMENTS_4GB = 0, "VMASST_TYPE_4gb_segments";
        /// PV only.
        SEGMENTS_4GB_NOTIFY = 1, "VMASST_TYPE_4gb_segments_notify";
        /// PV only.
        WRITABLE_PAGETABLES = 2, "VMASST_TYPE_writable_pagetables";
        /// PV only.
        PAE_EXTENDED_CR3 = 3, "VMASST_TYPE_pae_extended_cr3";
        /// PV only.
        ARCHITECTURAL_IOPL = 4, "VMASST_TYPE_architectural_iopl";
        /// Bit 63 of `state_entry_time` marks a runstate area that is being written.
        RUNSTATE_UPDATE_FLAG = 5, "VMASST_TYPE_runstate_update_flag";
        /// PV only.
        M2P_STRICT = 32, "VMASST_TYPE_m2p_strict";
    }
}

constants! {
    // Bits of [`VcpuTimeInfo::flags`].
    u8 {
        /// All vCPUs' times come from one monotonic TSC.
        PVCLOCK_TSC_STABLE_BIT = 1 << 0, "XEN_PVCLOCK_TSC_STABLE_BIT";
        /// The guest was stopped (saved, migrated).
        PVCLOCK_GUEST_STOPPED = 1 << 1, "XEN_PVCLOCK_GUEST_STOPPED";
    }
}

constants! {
    // Flags of the start information, PV and PVH.
    u32 {
        /// May use privileged hypercalls.
        SIF_PRIVILEGED = 1 << 0;
        /// Is the initial control domain.
        SIF_INITDOMAIN = 1 << 1;
        /// Modules are multiboot modules.
        SIF_MULTIBOOT_MOD = 1 << 2;
        /// PV only.
        SIF_MOD_START_PFN = 1 << 3;
        /// PV only.
        SIF_VIRT_P2M_4TOOLS = 1 << 4;
        /// Reserved for power management of the hypervisor's own.
        SIF_PM_MASK = 0xff << 8;
    }
}

constants! {
    // Sizes of `shared_info`.
    usize {
        /// vCPUs that have their `vcpu_info` in the shared info page.
        XEN_LEGACY_MAX_VCPUS = 32;
    }
}

/// Time of one vCPU, under a version lock: odd while being written; read again if it changed.
///
/// System time = `system_time + ((((tsc - tsc_timestamp) << tsc_shift) * tsc_to_system_mul) >>
/// 32)`.
///
/// `vcpu_time_info` in `xen.h`.
#[doc(alias = "vcpu_time_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuTimeInfo {
    /// Odd while an update is under way.
    pub version: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// TSC at the last update.
    pub tsc_timestamp: u64,
    /// Nanoseconds since boot at the last update.
    pub system_time: u64,
    /// Multiplier, 32 fraction bits.
    pub tsc_to_system_mul: u32,
    /// Shift of the TSC difference; negative means right.
    pub tsc_shift: i8,
    /// `PVCLOCK_*`.
    pub flags: u8,
    /// Padding; zero.
    pub _pad1: [u8; 2],
}

layout!(VcpuTimeInfo, size 32, {
    version: 0, _pad0: 4, tsc_timestamp: 8, system_time: 16, tsc_to_system_mul: 24, tsc_shift: 28,
    flags: 29, _pad1: 30,
});

/// What the hypervisor shares with one vCPU. Guests either use the one in [`SharedInfo`] or
/// register their own place.
///
/// `vcpu_info` in `xen.h`.
#[doc(alias = "vcpu_info")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuInfo {
    /// Nonzero: an event waits.
    pub evtchn_upcall_pending: u8,
    /// Nonzero: no upcall is made (PV only; HVM containers mask by RFLAGS.IF).
    pub evtchn_upcall_mask: u8,
    /// Padding; zero.
    pub _pad0: [u8; 6],
    /// 2-level ABI: which words of `evtchn_pending` to look at.
    pub evtchn_pending_sel: u64,
    /// The architecture's part.
    pub arch: ArchVcpuInfo,
    /// The vCPU's time.
    pub time: VcpuTimeInfo,
}

layout!(VcpuInfo, size 64, {
    evtchn_upcall_pending: 0, evtchn_upcall_mask: 1, _pad0: 2, evtchn_pending_sel: 8, arch: 16,
    time: 32,
});

/// The page that the hypervisor shares with a domain.
///
/// `shared_info` in `xen.h`.
#[doc(alias = "shared_info")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct SharedInfo {
    /// By vCPU id.
    pub vcpu_info: [VcpuInfo; 32],
    /// 2-level ABI: one bit per port, set when its event is pending.
    pub evtchn_pending: [u64; 64],
    /// 2-level ABI: one bit per port, set to hold its event back.
    pub evtchn_mask: [u64; 64],
    /// Version lock of the wall clock fields.
    pub wc_version: u32,
    /// Wall clock at system time 0: seconds since 1970, low half.
    pub wc_sec: u32,
    /// Nanoseconds of that second.
    pub wc_nsec: u32,
    /// High half of `wc_sec`.
    pub wc_sec_hi: u32,
    /// The architecture's part.
    pub arch: ArchSharedInfo,
}

layout!(SharedInfo, size 3136, {
    vcpu_info: 0, evtchn_pending: 2048, evtchn_mask: 2560, wc_version: 3072, wc_sec: 3076,
    wc_nsec: 3080, wc_sec_hi: 3084, arch: 3088,
});

/// One call of a `multicall` batch.
///
/// `multicall_entry` in `xen.h`.
#[doc(alias = "multicall_entry")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct MulticallEntry {
    /// Hypercall number.
    pub op: u64,
    /// OUT: its result.
    pub result: u64,
    /// Its arguments.
    pub args: [u64; 6],
}

layout!(MulticallEntry, size 64, { op: 0, result: 8, args: 16 });

/// A number as wide as the caller's registers: an element of arrays of frame numbers.
///
/// `xen_ulong_t`, `xen_pfn_t` in `arch-x86/xen.h`.
#[doc(alias = "xen_ulong_t")]
#[doc(alias = "xen_pfn_t")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(transparent)]
pub struct Ulong(pub u64);

/// A bitmap in the caller's memory.
///
/// `xenctl_bitmap` in `xen.h`.
#[doc(alias = "xenctl_bitmap")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct CtlBitmap {
    /// Its bytes, lowest bit first.
    pub bitmap: GuestHandle,
    /// How many bits are meaningful.
    pub nr_bits: u32,
    /// Padding.
    pub _pad0: [u8; 4],
}

layout!(CtlBitmap, size 16, { bitmap: 0, nr_bits: 8, _pad0: 12 });

open_enum! {
    /// Kind of console in [`Dom0VgaConsoleInfo::video_type`].
    pub struct VgaType(u8) {
        /// VGA text mode 3: read the payload as [`VgaTextMode3`].
        TEXT_MODE_3 = 0x03, "XEN_VGATYPE_TEXT_MODE_3";
        /// VESA linear frame buffer: [`VgaLfb`].
        VESA_LFB = 0x23, "XEN_VGATYPE_VESA_LFB";
        /// EFI linear frame buffer: [`VgaLfb`].
        EFI_LFB = 0x70, "XEN_VGATYPE_EFI_LFB";
    }
}

/// Text mode member of [`Dom0VgaConsoleInfo`].
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VgaTextMode3 {
    /// Scan lines per character.
    pub font_height: u16,
    /// Column of the cursor.
    pub cursor_x: u16,
    /// Row of the cursor.
    pub cursor_y: u16,
    /// Rows on screen.
    pub rows: u16,
    /// Columns on screen.
    pub columns: u16,
}

layout!(VgaTextMode3, size 10, { font_height: 0, cursor_x: 2, cursor_y: 4, rows: 6, columns: 8 });

/// Linear frame buffer member of [`Dom0VgaConsoleInfo`].
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VgaLfb {
    /// Pixels per line.
    pub width: u16,
    /// Lines.
    pub height: u16,
    /// Bytes from one line to the next.
    pub bytes_per_line: u16,
    /// Bits of one pixel.
    pub bits_per_pixel: u16,
    /// Physical address, low half.
    pub lfb_base: u32,
    /// Size in units of 64 KiB.
    pub lfb_size: u32,
    /// Lowest bit of red.
    pub red_pos: u8,
    /// Bits of red.
    pub red_size: u8,
    /// Lowest bit of green.
    pub green_pos: u8,
    /// Bits of green.
    pub green_size: u8,
    /// Lowest bit of blue.
    pub blue_pos: u8,
    /// Bits of blue.
    pub blue_size: u8,
    /// Lowest reserved bit.
    pub rsvd_pos: u8,
    /// Reserved bits.
    pub rsvd_size: u8,
    /// VESA capabilities.
    pub gbl_caps: u32,
    /// VESA mode attributes.
    pub mode_attrs: u16,
    /// Padding; zero.
    pub _pad0: u16,
    /// Physical address, high half.
    pub ext_lfb_base: u32,
}

layout!(VgaLfb, size 36, {
    width: 0, height: 2, bytes_per_line: 4, bits_per_pixel: 6, lfb_base: 8, lfb_size: 12,
    red_pos: 16, red_size: 17, green_pos: 18, green_size: 19, blue_pos: 20, blue_size: 21,
    rsvd_pos: 22, rsvd_size: 23, gbl_caps: 24, mode_attrs: 28, _pad0: 30, ext_lfb_base: 32,
});

/// The console that the hypervisor hands to dom0 (`XENPF_get_dom0_console`).
///
/// `dom0_vga_console_info_t` in `xen.h`.
#[doc(alias = "dom0_vga_console_info_t")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct Dom0VgaConsoleInfo {
    /// Which member `u` holds.
    pub video_type: VgaType,
    /// Padding; zero.
    pub _pad0: [u8; 3],
    /// [`VgaTextMode3`] or [`VgaLfb`].
    pub u: [u32; 9],
}

layout!(Dom0VgaConsoleInfo, size 40, { video_type: 0, _pad0: 1, u: 4 });
