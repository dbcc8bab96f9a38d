//! The interrupt descriptor table, shared by all CPUs (AMD64 manual, volume 2, section 8).
#![expect(unsafe_code, reason = "tells the CPU where its interrupt vectors are")]

use core::sync::atomic::{AtomicU64, Ordering};

use x86_64::VirtAddr;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;

use super::descriptors::CODE_SELECTOR;

const VECTORS: usize = 256;
/// What `vectors.S` spends on each vector.
const STUB_BYTES: u64 = 16;
/// Present, interrupt gate: interrupts are off in the handler.
const INTERRUPT_GATE: u64 = 0x8E00;

const VECTOR_DEBUG: u64 = 1;
const VECTOR_NMI: u64 = 2;
const VECTOR_DOUBLE_FAULT: u64 = 8;
const VECTOR_MACHINE_CHECK: u64 = 18;
const FIRST_INTERRUPT: u64 = 32;

/// The interrupt stack that a vector uses: 1 to 6, an index into the TSS.
///
/// What can interrupt anything has a stack of its own; all other exceptions share one, as only
/// the marked instructions of the exception table and bugs raise them; and all interrupts share
/// one, as they are not nested.
const fn interrupt_stack(vector: u64) -> u64 {
    match vector {
        VECTOR_DOUBLE_FAULT => 1,
        VECTOR_NMI => 2,
        VECTOR_MACHINE_CHECK => 3,
        VECTOR_DEBUG => 4,
        FIRST_INTERRUPT.. => 6,
        _ => 5,
    }
}

static IDT: [[AtomicU64; 2]; VECTORS] = [const { [const { AtomicU64::new(0) }; 2] }; VECTORS];

unsafe extern "C" {
    /// The first stub of `vectors.S`.
    static vector_stubs: u8;
}

/// Fills the table. It never changes afterwards.
pub fn init() {
    let stubs = &raw const vector_stubs as u64;
    for (vector, [low, high]) in (0..).zip(&IDT) {
        let handler = stubs + vector * STUB_BYTES;
        let flags = INTERRUPT_GATE | interrupt_stack(vector);
        let gate = (handler & 0xFFFF)
            | u64::from(CODE_SELECTOR) << 16
            | flags << 32
            | (handler >> 16 & 0xFFFF) << 48;
        low.store(gate, Ordering::Relaxed);
        high.store(handler >> 32, Ordering::Relaxed);
    }
}

/// Makes this CPU use the table.
pub fn load() {
    let pointer = DescriptorTablePointer {
        limit: (size_of_val(&IDT) - 1) as u16,
        base: VirtAddr::from_ptr(&raw const IDT),
    };
    // SAFETY: `init` has filled the static table with gates to the stubs; their stacks are in
    // the TSS that `descriptors` loads before this.
    unsafe { lidt(&pointer) };
}
