//! [`VcpuState`] as the `CPU` record (public header `arch-x86/hvm/save.h`).

use xen_abi::hvm::save::Cpu;
use zerocopy::FromZeros;

use super::{PagingState, Segment, Segments, Special, Table, VcpuState};
use crate::decode::Registers;

/// A selector has 16 bits, attributes 12; more of them is kept, so that it can be refused.
const fn segment(sel: u32, limit: u32, base: u64, attributes: u32) -> Segment {
    let attributes = if attributes > 0xffff { 0xffff } else { attributes as u16 };
    Segment { selector: sel as u16, attributes, limit, base }
}

impl From<&Cpu> for VcpuState {
    fn from(cpu: &Cpu) -> Self {
        let general = Registers {
            gpr: [
                cpu.rax, cpu.rcx, cpu.rdx, cpu.rbx, cpu.rsp, cpu.rbp, cpu.rsi, cpu.rdi, cpu.r8,
                cpu.r9, cpu.r10, cpu.r11, cpu.r12, cpu.r13, cpu.r14, cpu.r15,
            ],
            rip: cpu.rip,
            rflags: cpu.rflags,
        };
        let segments = Segments {
            es: segment(cpu.es_sel, cpu.es_limit, cpu.es_base, cpu.es_arbytes),
            cs: segment(cpu.cs_sel, cpu.cs_limit, cpu.cs_base, cpu.cs_arbytes),
            ss: segment(cpu.ss_sel, cpu.ss_limit, cpu.ss_base, cpu.ss_arbytes),
            ds: segment(cpu.ds_sel, cpu.ds_limit, cpu.ds_base, cpu.ds_arbytes),
            fs: segment(cpu.fs_sel, cpu.fs_limit, cpu.fs_base, cpu.fs_arbytes),
            gs: segment(cpu.gs_sel, cpu.gs_limit, cpu.gs_base, cpu.gs_arbytes),
            ldtr: segment(cpu.ldtr_sel, cpu.ldtr_limit, cpu.ldtr_base, cpu.ldtr_arbytes),
            tr: segment(cpu.tr_sel, cpu.tr_limit, cpu.tr_base, cpu.tr_arbytes),
        };
        Self {
            general,
            paging: PagingState { cr0: cpu.cr0, cr3: cpu.cr3, cr4: cpu.cr4, efer: cpu.msr_efer },
            segments,
            special: Special {
                gdtr: Table { base: cpu.gdtr_base, limit: cpu.gdtr_limit },
                idtr: Table { base: cpu.idtr_base, limit: cpu.idtr_limit },
                cr2: cpu.cr2,
                dr6: cpu.dr6,
                dr7: cpu.dr7,
            },
            breakpoints: [cpu.dr0, cpu.dr1, cpu.dr2, cpu.dr3],
            msrs: [
                cpu.sysenter_cs,
                cpu.sysenter_esp,
                cpu.sysenter_eip,
                cpu.msr_star,
                cpu.msr_lstar,
                cpu.msr_cstar,
                cpu.msr_syscall_mask,
                cpu.shadow_gs,
            ],
            tsc_aux: cpu.msr_tsc_aux as u32,
            event: cpu.pending_event,
            event_code: cpu.error_code,
        }
    }
}

impl From<&VcpuState> for Cpu {
    /// Without extended state and TSC.
    fn from(state: &VcpuState) -> Self {
        let mut cpu = Self::new_zeroed();
        [
            cpu.rax, cpu.rcx, cpu.rdx, cpu.rbx, cpu.rsp, cpu.rbp, cpu.rsi, cpu.rdi, cpu.r8, cpu.r9,
            cpu.r10, cpu.r11, cpu.r12, cpu.r13, cpu.r14, cpu.r15,
        ] = state.general.gpr;
        (cpu.rip, cpu.rflags) = (state.general.rip, state.general.rflags);
        let PagingState { cr0, cr3, cr4, efer } = state.paging;
        (cpu.cr0, cpu.cr3, cpu.cr4, cpu.msr_efer) = (cr0, cr3, cr4, efer);
        put_segments(&mut cpu, &state.segments);
        let Special { gdtr, idtr, cr2, dr6, dr7 } = state.special;
        (cpu.gdtr_base, cpu.gdtr_limit) = (gdtr.base, gdtr.limit);
        (cpu.idtr_base, cpu.idtr_limit) = (idtr.base, idtr.limit);
        (cpu.cr2, cpu.dr6, cpu.dr7) = (cr2, dr6, dr7);
        [cpu.dr0, cpu.dr1, cpu.dr2, cpu.dr3] = state.breakpoints;
        [
            cpu.sysenter_cs,
            cpu.sysenter_esp,
            cpu.sysenter_eip,
            cpu.msr_star,
            cpu.msr_lstar,
            cpu.msr_cstar,
            cpu.msr_syscall_mask,
            cpu.shadow_gs,
        ] = state.msrs;
        cpu.msr_tsc_aux = state.tsc_aux.into();
        (cpu.pending_event, cpu.error_code) = (state.event, state.event_code);
        cpu
    }
}

fn put_segments(cpu: &mut Cpu, segments: &Segments) {
    let Segments { es, cs, ss, ds, fs, gs, ldtr, tr } = *segments;
    for (from, sel, limit, base, attributes) in [
        (es, &mut cpu.es_sel, &mut cpu.es_limit, &mut cpu.es_base, &mut cpu.es_arbytes),
        (cs, &mut cpu.cs_sel, &mut cpu.cs_limit, &mut cpu.cs_base, &mut cpu.cs_arbytes),
        (ss, &mut cpu.ss_sel, &mut cpu.ss_limit, &mut cpu.ss_base, &mut cpu.ss_arbytes),
        (ds, &mut cpu.ds_sel, &mut cpu.ds_limit, &mut cpu.ds_base, &mut cpu.ds_arbytes),
        (fs, &mut cpu.fs_sel, &mut cpu.fs_limit, &mut cpu.fs_base, &mut cpu.fs_arbytes),
        (gs, &mut cpu.gs_sel, &mut cpu.gs_limit, &mut cpu.gs_base, &mut cpu.gs_arbytes),
        (ldtr, &mut cpu.ldtr_sel, &mut cpu.ldtr_limit, &mut cpu.ldtr_base, &mut cpu.ldtr_arbytes),
        (tr, &mut cpu.tr_sel, &mut cpu.tr_limit, &mut cpu.tr_base, &mut cpu.tr_arbytes),
    ] {
        (*sel, *limit, *base) = (from.selector.into(), from.limit, from.base);
        *attributes = from.attributes.into();
    }
}
