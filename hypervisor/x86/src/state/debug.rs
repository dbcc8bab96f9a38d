//! [`VcpuState`] as debuggers and core dumps have it (public header `arch-x86/xen.h`).

use xen_abi::arch_x86::context::{CpuUserRegs, I387_VALID, IN_KERNEL, ONLINE, VcpuGuestContext};
use zerocopy::FromZeros;

use super::VcpuState;

/// The registers of a vCPU, with its FXSAVE image. `up` if it was brought up.
pub fn context(state: &VcpuState, fpu: &[u8; 512], up: bool) -> VcpuGuestContext {
    let mut context = VcpuGuestContext::new_zeroed();
    context.fpu_ctxt = *fpu;
    let in_kernel = state.segments.ss.attributes >> 5 & 3 == 0;
    context.flags =
        I387_VALID | if in_kernel { IN_KERNEL } else { 0 } | if up { ONLINE } else { 0 };
    context.user_regs = user_regs(state);
    let paging = state.paging;
    context.ctrlreg = [paging.cr0, 0, state.special.cr2, paging.cr3, paging.cr4, 0, 0, 0];
    let [dr0, dr1, dr2, dr3] = state.breakpoints;
    context.debugreg = [dr0, dr1, dr2, dr3, 0, 0, state.special.dr6, state.special.dr7];
    context.fs_base = state.segments.fs.base;
    // SWAPGS keeps the other one in an MSR.
    let [.., shadow] = state.msrs;
    let bases = (state.segments.gs.base, shadow);
    (context.gs_base_kernel, context.gs_base_user) =
        if in_kernel { bases } else { (bases.1, bases.0) };
    context
}

fn user_regs(state: &VcpuState) -> CpuUserRegs {
    let [rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8, r9, r10, r11, r12, r13, r14, r15] =
        state.general.gpr;
    let segments = &state.segments;
    CpuUserRegs {
        r15,
        r14,
        r13,
        r12,
        rbp,
        rbx,
        r11,
        r10,
        r9,
        r8,
        rax,
        rcx,
        rdx,
        rsi,
        rdi,
        rip: state.general.rip,
        rflags: state.general.rflags,
        rsp,
        cs: segments.cs.selector,
        ss: segments.ss.selector,
        es: segments.es.selector,
        ds: segments.ds.selector,
        fs: segments.fs.selector,
        gs: segments.gs.selector,
        ..CpuUserRegs::default()
    }
}
