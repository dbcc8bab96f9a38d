//! Interrupts and exceptions: the IDT, a count for each vector, and recovery from expected faults.

#![expect(unsafe_code, reason = "loads the IDT and the TSS; reads the recovery table")]

use crate::cpu::Fault;
use crate::events::Shared;
use crate::memory::Page;
use crate::{apic, report, symbols};
use core::arch::asm;
use core::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use x86defs::exception::Exception;
use x86defs::segment::{Descriptor, Gate, SegmentAttributes, SystemType, TablePointer, Tss64};

/// Registers of the interrupted code, as `boot.S` pushes them.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
#[expect(missing_docs, reason = "register names")]
pub struct Frame {
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
    pub vector: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

/// The vector by which code at CPL 3 comes back.
pub const USER_RETURN: u8 = 0x80;

const CODE: u16 = 0x08;
const TSS: u16 = 0x30;

static COUNTS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];
/// The callback's vector, 0 if there is none, and the address of the shared info page.
static CALLBACK: (AtomicU8, AtomicU64) = (AtomicU8::new(0), AtomicU64::new(0));

/// How often `vector` came, on all CPUs.
#[must_use]
pub fn count(vector: u8) -> u64 {
    COUNTS[usize::from(vector)].load(Ordering::SeqCst)
}

/// Says that `vector` is the callback: it doesn't come through the local APIC, wants no
/// end-of-interrupt, and comes again until the upcall is taken, which is done for it.
pub fn set_callback(vector: u8, shared: Shared) {
    CALLBACK.1.store(shared.0.address(), Ordering::SeqCst);
    CALLBACK.0.store(vector, Ordering::SeqCst);
}

/// What came through the gates: called by `boot.S`.
#[cfg_attr(freestanding, unsafe(no_mangle))]
pub extern "C" fn interrupt_dispatch(frame: &mut Frame) {
    let vector = frame.vector as u8;
    COUNTS[usize::from(vector)].fetch_add(1, Ordering::SeqCst);
    if vector < 32 {
        exception(frame, vector);
    } else if vector == USER_RETURN {
        frame.rip = symbols::user_return();
        frame.cs = u64::from(CODE);
        frame.ss = 0x10;
        frame.rsp = symbols::boot_stack_top();
        frame.rflags = 2;
    } else if vector == CALLBACK.0.load(Ordering::SeqCst) {
        let _ = Shared(Page::at(CALLBACK.1.load(Ordering::SeqCst))).take_upcall();
    } else {
        apic::end_of_interrupt();
    }
}

fn exception(frame: &mut Frame, vector: u8) {
    if let Some(resume) = recovery(frame.rip) {
        let fault = Fault { vector, error_code: frame.error_code as u32 };
        frame.r11 = fault.encode();
        frame.rip = resume;
    } else if vector != Exception::NMI.0 {
        report::error(format_args!(
            "exception {vector} ({}) at {:#x}, error code {:#x}, {frame:x?}",
            Exception(vector).name().unwrap_or("?"),
            frame.rip,
            frame.error_code,
        ));
    }
}

/// Where to go on if the instruction at `rip` is one that may fault.
fn recovery(rip: u64) -> Option<u64> {
    let start = symbols::recovery_table_start();
    let entries = symbols::recovery_table_end().saturating_sub(start) / 16;
    // SAFETY: the linker collects pairs of addresses between the two symbols.
    let table = unsafe { core::slice::from_raw_parts(start as *const [u64; 2], entries as usize) };
    table.iter().find(|[at, _]| *at == rip).map(|[_, resume]| *resume)
}

static mut TASK_STATE: Tss64 = Tss64 {
    _pad0: 0,
    rsp: [[0; 2]; 3],
    _pad1: [0; 2],
    ist: [[0; 2]; 7],
    _pad2: [0; 2],
    _pad3: 0,
    iomap_base: 104,
};
static mut IDT: [Gate; 256] = [Gate {
    offset_low: 0,
    selector: 0,
    ist: 0,
    type_attributes: 0,
    offset_middle: 0,
    offset_high: 0,
    _pad0: 0,
}; 256];

/// Fills the tables. Once, on the boot CPU, before [`load`].
pub(crate) fn init() {
    let entries = symbols::interrupt_entries();
    let idt = &raw mut IDT;
    for vector in 0..=255_u8 {
        let dpl = if vector == USER_RETURN { 3 } else { 0 };
        let handler = entries + u64::from(vector) * 16;
        let gate = Gate::new(handler, CODE, SystemType::INTERRUPT_GATE, dpl, 0);
        let entry = idt.cast::<Gate>().wrapping_add(usize::from(vector));
        // SAFETY: within the table, which nothing else touches yet.
        unsafe { entry.write(gate) };
    }
    let tss = &raw mut TASK_STATE;
    let stack = symbols::boot_stack_top() - 0x8000;
    // SAFETY: nothing else touches it; the CPU reads it when CPL 3 is left.
    unsafe { (*tss).rsp[0] = [stack as u32, (stack >> 32) as u32] };
    let descriptor = Descriptor::tss(tss as u64, 103, SegmentAttributes(0x089));
    // SAFETY: `gdt_tss` are two unused entries of the GDT.
    unsafe { (symbols::gdt_tss() as *mut [Descriptor; 2]).write_volatile(descriptor) };
    // SAFETY: the descriptor that was just written.
    unsafe { asm!("ltr {0:x}", in(reg) TSS, options(nostack)) };
    load();
}

/// Makes this CPU use the tables.
pub(crate) fn load() {
    let pointer = TablePointer { limit: 4095, base: &raw const IDT as u64 };
    // SAFETY: all 256 gates lead to entries that keep all registers.
    unsafe { asm!("lidt [{}]", in(reg) &raw const pointer, options(nostack, readonly)) };
}
