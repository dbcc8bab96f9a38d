//! Vectors: which there are, and who handles them.
//!
//! Interrupts are off in the hypervisor but for the idle loop and [`window`]; each handler runs
//! to its end on the interrupt stack.

use core::sync::atomic::{AtomicU64, Ordering};

use spin::RwLock;

use super::apic::local;

/// The first vector that may be given to devices.
pub const FIRST_DYNAMIC: u8 = 0x30;
/// The last vector that may be given to devices.
pub const LAST_DYNAMIC: u8 = 0xEF;
/// Makes a CPU leave guest mode or its sleep. Does nothing else.
pub const KICK: u8 = 0xF0;
/// The local APIC's timer.
pub const TIMER: u8 = 0xF1;
/// The serial consoles' input.
pub const CONSOLE: u8 = 0xF2;
/// The local APIC's errors.
pub const APIC_ERROR: u8 = 0xFE;
/// What the local APIC raises when an interrupt went away in the last moment.
pub const SPURIOUS: u8 = 0xFF;

/// Handles a vector. The local APIC gets its end of interrupt when this returns.
pub type Handler = fn(vector: u8);

static HANDLERS: RwLock<[Option<Handler>; 256]> = RwLock::new([None; 256]);
static COUNTS: [AtomicU64; 256] = [const { AtomicU64::new(0) }; 256];

/// Sets a vector's handler.
pub fn register(vector: u8, handler: Handler) {
    HANDLERS.write()[usize::from(vector)] = Some(handler);
}

/// How often a vector was raised, on all CPUs.
pub fn count(vector: u8) -> u64 {
    COUNTS[usize::from(vector)].load(Ordering::Relaxed)
}

/// Sets the handlers of the hypervisor's own vectors.
pub fn init() {
    register(KICK, |_| {});
    register(APIC_ERROR, |_| error!("local APIC error {:#x}", local::take_errors()));
}

/// Lets the interrupts in that wait, and goes on.
pub fn window() {
    x86_64::instructions::interrupts::enable();
    // Interrupts are taken after the instruction that follows STI.
    x86_64::instructions::nop();
    x86_64::instructions::interrupts::disable();
}

/// Sleeps until an interrupt, and handles it.
pub fn wait() {
    x86_64::instructions::interrupts::enable_and_hlt();
    x86_64::instructions::interrupts::disable();
}

/// Calls a vector's handler, from the entry code.
pub(super) fn dispatch(vector: u8) {
    COUNTS[usize::from(vector)].fetch_add(1, Ordering::Relaxed);
    // Neither the spurious vector nor those of the 8259s are in service in the local APIC.
    if vector == SPURIOUS || vector < FIRST_DYNAMIC {
        return;
    }
    let handler = HANDLERS.read()[usize::from(vector)];
    match handler {
        Some(handler) => handler(vector),
        None => warning!("unexpected interrupt, vector {vector:#x}"),
    }
    local::eoi();
}
