//! `arch-x86/xen.h` and `arch-x86/xen-x86_64.h`: a vCPU's registers as debuggers and core dumps
//! have them.

use crate::macros::{constants, layout};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// General registers and selectors.
///
/// `cpu_user_regs` in `arch-x86/xen-x86_64.h`.
#[doc(alias = "cpu_user_regs")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
#[expect(missing_docs, reason = "register names")]
pub struct CpuUserRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub error_code: u32,
    pub entry_vector: u32,
    pub rip: u64,
    pub cs: u16,
    pub _pad0: u16,
    pub saved_upcall_mask: u8,
    pub _pad1: [u8; 3],
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u16,
    pub _pad2: [u16; 3],
    pub es: u16,
    pub _pad3: [u16; 3],
    pub ds: u16,
    pub _pad4: [u16; 3],
    pub fs: u16,
    pub _pad5: [u16; 3],
    pub gs: u16,
    pub _pad6: [u16; 3],
}

layout!(CpuUserRegs, size 200, {
    r15: 0, r14: 8, r13: 16, r12: 24, rbp: 32, rbx: 40, r11: 48, r10: 56, r9: 64, r8: 72, rax: 80,
    rcx: 88, rdx: 96, rsi: 104, rdi: 112, error_code: 120, entry_vector: 124, rip: 128, cs: 136,
    _pad0: 138, saved_upcall_mask: 140, _pad1: 141, rflags: 144, rsp: 152, ss: 160, _pad2: 162,
    es: 168, _pad3: 170, ds: 176, _pad4: 178, fs: 184, _pad5: 186, gs: 192, _pad6: 194,
});

/// All registers; what only paravirtual guests have is zero for others.
///
/// `vcpu_guest_context` in `arch-x86/xen.h`.
#[doc(alias = "vcpu_guest_context")]
#[derive(Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable)]
#[repr(C)]
pub struct VcpuGuestContext {
    /// FXSAVE image.
    pub fpu_ctxt: [u8; 512],
    /// `VGCF_*`.
    pub flags: u64,
    /// General registers and selectors.
    pub user_regs: CpuUserRegs,
    /// Virtual IDT: PV.
    pub trap_ctxt: [[u64; 2]; 256],
    /// LDT: PV.
    pub ldt_base: u64,
    /// Entries of the LDT: PV.
    pub ldt_ents: u64,
    /// Frames of the GDT: PV.
    pub gdt_frames: [u64; 16],
    /// Entries of the GDT: PV.
    pub gdt_ents: u64,
    /// Virtual TSS: PV.
    pub kernel_ss: u64,
    /// Virtual TSS: PV.
    pub kernel_sp: u64,
    /// CR0 to CR7.
    pub ctrlreg: [u64; 8],
    /// DR0 to DR7.
    pub debugreg: [u64; 8],
    /// Event callback: PV.
    pub event_callback_eip: u64,
    /// Failsafe callback: PV.
    pub failsafe_callback_eip: u64,
    /// System calls: PV.
    pub syscall_callback_eip: u64,
    /// `VMASST_TYPE_*` as bits.
    pub vm_assist: u64,
    /// FS base.
    pub fs_base: u64,
    /// The GS base that the kernel has.
    pub gs_base_kernel: u64,
    /// The GS base that user space has.
    pub gs_base_user: u64,
}

layout!(VcpuGuestContext, size 5168, {
    fpu_ctxt: 0, flags: 512, user_regs: 520, trap_ctxt: 720, ldt_base: 4816, ldt_ents: 4824,
    gdt_frames: 4832, gdt_ents: 4960, kernel_ss: 4968, kernel_sp: 4976, ctrlreg: 4984,
    debugreg: 5048, event_callback_eip: 5112, failsafe_callback_eip: 5120,
    syscall_callback_eip: 5128, vm_assist: 5136, fs_base: 5144, gs_base_kernel: 5152,
    gs_base_user: 5160,
});

constants! {
    // Flags of [`VcpuGuestContext`].
    u64 {
        /// `fpu_ctxt` is valid.
        I387_VALID = 1 << 0, "VGCF_I387_VALID";
        /// It runs in the kernel.
        IN_KERNEL = 1 << 2, "VGCF_IN_KERNEL";
        /// It is up.
        ONLINE = 1 << 5, "VGCF_online";
    }
}
