//! A vCPU's registers in the log.

use hv_x86::decode::Gpr;

use super::backend::{Backend, SegmentName};
use super::vcpu::Context;
use crate::arch::cpu;
use crate::platform::{Domain, Vcpu};

const NAMES: [&str; 16] = [
    "rax", "rcx", "rdx", "rbx", "rsp", "rbp", "rsi", "rdi", "r8 ", "r9 ", "r10", "r11", "r12",
    "r13", "r14", "r15",
];

/// Logs the registers of a vCPU.
pub fn log(domain: &Domain, vcpu: &Vcpu, context: &Context) {
    let general = &context.hw.regs().general;
    let paging = context.hw.paging();
    let cs = context.hw.segment(SegmentName::Cs);
    say!("{}v{} at {:04x}:{:016x}", domain.id, vcpu.id.0, cs.selector, general.rip);
    let (cpu, block) = (cpu::this_cpu().id().0, context.hw.control_block().0);
    say!("rflags {:016x}  cpl {}", general.rflags, context.hw.cpl());
    say!("control block {block:#x}, looked at by CPU {cpu}");
    for (row, names) in NAMES.chunks(4).enumerate() {
        let value = |column: usize| general.get(Gpr((row * 4 + column) as u8));
        say!(
            "{} {:016x}  {} {:016x}  {} {:016x}  {} {:016x}",
            names[0],
            value(0),
            names[1],
            value(1),
            names[2],
            value(2),
            names[3],
            value(3)
        );
    }
    say!(
        "cr0 {:016x}  cr3 {:016x}  cr4 {:016x}  efer {:x}",
        paging.cr0,
        paging.cr3,
        paging.cr4,
        paging.efer
    );
}
