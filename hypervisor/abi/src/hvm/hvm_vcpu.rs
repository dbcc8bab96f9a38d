//! `hvm/hvm_vcpu.h`: first state of a vCPU of an HVM container (`VCPUOP_initialise`).

use crate::macros::{layout, open_enum};
use crate::payload::Payload;
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// Start in 32-bit mode; attributes in the packed 12-bit form.
///
/// `vcpu_hvm_x86_32` in `hvm/hvm_vcpu.h`.
#[doc(alias = "vcpu_hvm_x86_32")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuHvmX86_32 {
    /// EAX.
    pub eax: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
    /// EBX.
    pub ebx: u32,
    /// ESP.
    pub esp: u32,
    /// EBP.
    pub ebp: u32,
    /// ESI.
    pub esi: u32,
    /// EDI.
    pub edi: u32,
    /// EIP.
    pub eip: u32,
    /// EFLAGS.
    pub eflags: u32,
    /// CR0.
    pub cr0: u32,
    /// CR3.
    pub cr3: u32,
    /// CR4.
    pub cr4: u32,
    /// Padding; zero.
    pub _pad0: u32,
    /// EFER.
    pub efer: u64,
    /// CS base.
    pub cs_base: u32,
    /// DS base.
    pub ds_base: u32,
    /// SS base.
    pub ss_base: u32,
    /// ES base.
    pub es_base: u32,
    /// TR base.
    pub tr_base: u32,
    /// CS limit.
    pub cs_limit: u32,
    /// DS limit.
    pub ds_limit: u32,
    /// SS limit.
    pub ss_limit: u32,
    /// ES limit.
    pub es_limit: u32,
    /// TR limit.
    pub tr_limit: u32,
    /// CS attributes.
    pub cs_ar: u16,
    /// DS attributes.
    pub ds_ar: u16,
    /// SS attributes.
    pub ss_ar: u16,
    /// ES attributes.
    pub es_ar: u16,
    /// TR attributes.
    pub tr_ar: u16,
    /// Padding; zero.
    pub _pad1: [u16; 3],
}

layout!(VcpuHvmX86_32, size 120, {
    eax: 0, ecx: 4, edx: 8, ebx: 12, esp: 16, ebp: 20, esi: 24, edi: 28, eip: 32, eflags: 36,
    cr0: 40, cr3: 44, cr4: 48, _pad0: 52, efer: 56, cs_base: 64, ds_base: 68, ss_base: 72,
    es_base: 76, tr_base: 80, cs_limit: 84, ds_limit: 88, ss_limit: 92, es_limit: 96,
    tr_limit: 100, cs_ar: 104, ds_ar: 106, ss_ar: 108, es_ar: 110, tr_ar: 112, _pad1: 114,
});

/// Start in 64-bit mode.
///
/// `vcpu_hvm_x86_64` in `hvm/hvm_vcpu.h`.
#[doc(alias = "vcpu_hvm_x86_64")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuHvmX86_64 {
    /// RAX.
    pub rax: u64,
    /// RCX.
    pub rcx: u64,
    /// RDX.
    pub rdx: u64,
    /// RBX.
    pub rbx: u64,
    /// RSP.
    pub rsp: u64,
    /// RBP.
    pub rbp: u64,
    /// RSI.
    pub rsi: u64,
    /// RDI.
    pub rdi: u64,
    /// RIP.
    pub rip: u64,
    /// RFLAGS.
    pub rflags: u64,
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// EFER.
    pub efer: u64,
}

layout!(VcpuHvmX86_64, size 112, {
    rax: 0, rcx: 8, rdx: 16, rbx: 24, rsp: 32, rbp: 40, rsi: 48, rdi: 56, rip: 64, rflags: 72,
    cr0: 80, cr3: 88, cr4: 96, efer: 104,
});

open_enum! {
    /// Which member [`VcpuHvmContext`] holds.
    pub struct VcpuHvmMode(u32) {
        /// [`VcpuHvmX86_32`].
        MODE_32B = 0, "VCPU_HVM_MODE_32B";
        /// [`VcpuHvmX86_64`].
        MODE_64B = 1, "VCPU_HVM_MODE_64B";
    }
}

/// Argument of `VCPUOP_initialise`.
///
/// `vcpu_hvm_context` in `hvm/hvm_vcpu.h`.
#[doc(alias = "vcpu_hvm_context")]
#[derive(
    Default, Clone, Copy, Debug, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C)]
pub struct VcpuHvmContext {
    /// Which member.
    pub mode: VcpuHvmMode,
    /// Padding; zero.
    pub _pad0: u32,
    /// [`VcpuHvmX86_32`] or [`VcpuHvmX86_64`].
    pub cpu_regs: Payload<15>,
}

layout!(VcpuHvmContext, size 128, { mode: 0, _pad0: 4, cpu_regs: 8 });
