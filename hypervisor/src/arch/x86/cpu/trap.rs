//! Where every exception and interrupt arrives.
#![expect(unsafe_code, reason = "receives the frame that vectors.S built")]

use core::fmt;

use super::{fixup, stop};
use crate::arch::x86::interrupts;
use x86_64::registers::control::{Cr0, Cr2, Cr3, Cr4};

/// The registers at an exception or interrupt, as `vectors.S` and the CPU push them.
#[repr(C)]
#[derive(Clone, Debug)]
pub struct TrapFrame {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rdi: u64,
    pub rsi: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub rdx: u64,
    pub rcx: u64,
    pub rax: u64,
    /// The vector's number.
    pub vector: u64,
    /// The exception's error code, or 0.
    pub error: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const NMI: u64 = 2;

const NAMES: [&str; 22] = [
    "divide error",
    "debug",
    "non-maskable interrupt",
    "breakpoint",
    "overflow",
    "bound range",
    "invalid opcode",
    "device not available",
    "double fault",
    "coprocessor segment overrun",
    "invalid TSS",
    "segment not present",
    "stack fault",
    "general protection",
    "page fault",
    "reserved",
    "x87 floating point",
    "alignment check",
    "machine check",
    "SIMD floating point",
    "virtualization",
    "control protection",
];

/// The exception's name.
pub fn name(vector: u64) -> &'static str {
    usize::try_from(vector).ok().and_then(|vector| NAMES.get(vector).copied()).unwrap_or("reserved")
}

/// Called by `vectors.S` for every vector.
///
/// # Safety
/// `frame` is the frame on the current interrupt stack, which nothing else refers to.
#[cfg_attr(freestanding, unsafe(no_mangle))]
unsafe extern "C" fn trap_entry(frame: *mut TrapFrame) {
    // SAFETY: the caller's promise.
    let frame = unsafe { &mut *frame };
    match frame.vector {
        NMI => stop::nmi(frame),
        0..32 => exception(frame),
        vector => interrupts::dispatch(vector as u8),
    }
}

fn exception(frame: &mut TrapFrame) {
    if let Some(resume) = fixup::find(frame.rip) {
        frame.rip = resume;
        return;
    }
    crate::panic::exception(
        frame,
        format_args!("{} (error code {:#x})", name(frame.vector), frame.error),
    )
}

impl fmt::Display for TrapFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "rip {:016x}  rsp {:016x}  rflags {:08x}", self.rip, self.rsp, self.rflags)?;
        let rows = [
            [("rax", self.rax), ("rbx", self.rbx), ("rcx", self.rcx), ("rdx", self.rdx)],
            [("rsi", self.rsi), ("rdi", self.rdi), ("rbp", self.rbp), ("r8 ", self.r8)],
            [("r9 ", self.r9), ("r10", self.r10), ("r11", self.r11), ("r12", self.r12)],
        ];
        for [a, b, c, d] in rows {
            for (name, value) in [a, b, c] {
                write!(f, "{name} {value:016x}  ")?;
            }
            writeln!(f, "{} {:016x}", d.0, d.1)?;
        }
        writeln!(f, "r13 {:016x}  r14 {:016x}  r15 {:016x}", self.r13, self.r14, self.r15)?;
        ControlRegisters.fmt(f)
    }
}

/// Prints the executing CPU's control registers.
pub struct ControlRegisters;

impl fmt::Display for ControlRegisters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (cr0, cr2, cr4) = (Cr0::read_raw(), Cr2::read_raw(), Cr4::read_raw());
        let cr3 = Cr3::read().0.start_address().as_u64();
        write!(f, "cr0 {cr0:016x}  cr2 {cr2:016x}  cr3 {cr3:016x}  cr4 {cr4:016x}")
    }
}
