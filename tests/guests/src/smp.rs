//! Starting other CPUs by INIT and startup IPIs.

#![expect(unsafe_code, reason = "hands a function and a stack to another CPU")]

use crate::clock::Clock;
use crate::memory::copy_code;
use crate::{apic, cpu, symbols};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use x86defs::apic::{DeliveryMode, Shorthand};

/// Page below 1 MiB where an AP starts.
const TRAMPOLINE: u64 = 0x8000;
const STACK_BYTES: usize = 16 * 1024;
const MAX_APS: usize = 16;

#[repr(C, align(16))]
struct Stacks(core::cell::UnsafeCell<[[u8; STACK_BYTES]; MAX_APS]>);

// SAFETY: each AP gets an element of its own; Rust never looks inside.
unsafe impl Sync for Stacks {}

static STACKS: Stacks = Stacks(core::cell::UnsafeCell::new([[0; STACK_BYTES]; MAX_APS]));
static STARTED: AtomicU32 = AtomicU32::new(0);
static ENTRY: AtomicPtr<()> = AtomicPtr::new(core::ptr::null_mut());
static INDEX: AtomicU64 = AtomicU64::new(0);

/// How many APs reached their function.
#[must_use]
pub fn started() -> u32 {
    STARTED.load(Ordering::SeqCst)
}

/// Starts the CPU `apic_id` in `function(index)`, with its local APIC on; whether it got there
/// within a second. One at a time; at most 16 in all.
pub fn start(apic_id: u32, index: u64, function: fn(u64), clock: Clock) -> bool {
    let before = started();
    let Some(stacks) = (before as usize).checked_add(1).filter(|count| *count <= MAX_APS) else {
        return false;
    };
    let code = symbols::ap_trampoline();
    copy_code(code, symbols::ap_trampoline_end().saturating_sub(code), TRAMPOLINE);
    let stack = STACKS.0.get() as u64 + (stacks * STACK_BYTES) as u64;
    // SAFETY: `ap_stack_top` is 8 bytes in boot.S, read only by the AP that starts now.
    unsafe { (symbols::ap_stack_top() as *mut u64).write_volatile(stack) };
    ENTRY.store(function as *mut (), Ordering::SeqCst);
    INDEX.store(index, Ordering::SeqCst);
    apic::send(DeliveryMode::INIT, 0, Shorthand::NONE, apic_id);
    clock.spin(1_000_000);
    let page = (TRAMPOLINE >> 12) as u8;
    for _ in 0..2 {
        apic::send(DeliveryMode::STARTUP, page, Shorthand::NONE, apic_id);
        clock.spin(200_000);
    }
    clock.wait_until(5000, || started() > before)
}

/// An AP's first Rust code.
pub(crate) fn enter() -> ! {
    apic::enable();
    let function = ENTRY.load(Ordering::SeqCst);
    // SAFETY: `start` stored a `fn(u64)`.
    let function = unsafe { core::mem::transmute::<*mut (), fn(u64)>(function) };
    let index = INDEX.load(Ordering::SeqCst);
    STARTED.fetch_add(1, Ordering::SeqCst);
    function(index);
    cpu::halt()
}
