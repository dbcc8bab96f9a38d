//! Who called whom: the chain of frame pointers, with names where they are embedded.
#![expect(unsafe_code, reason = "reads the stack, and the linker's symbols")]

use hv_symbols::Symbols;

use super::TrapFrame;
use crate::mm;

/// Most calls that are shown.
const MAX_DEPTH: usize = 32;

unsafe extern "C" {
    static symbols_start: u8;
    static symbols_end: u8;
    static image_start: u8;
}

/// Prints the calls that led here.
#[inline(never)]
pub fn print_here() {
    let frame: u64;
    // SAFETY: reads a register.
    unsafe { core::arch::asm!("mov {}, rbp", out(reg) frame, options(nomem, nostack)) };
    print_chain(frame);
}

/// Prints the calls that led to an exception or interrupt, its place first.
pub fn print_from(frame: &TrapFrame) {
    print_call(frame.rip, frame.rip);
    print_chain(frame.rbp);
}

fn print_chain(mut frame: u64) {
    for _ in 0..MAX_DEPTH {
        let (Some(next), Some(caller)) = (read(frame), read(frame.wrapping_add(8))) else { break };
        if !mm::is_code(caller) {
            break;
        }
        // The call is before the address where it returns to, perhaps at a function's very end.
        print_call(caller, caller - 1);
        frame = next;
    }
}

fn print_call(address: u64, call: u64) {
    let offset = call.wrapping_sub(&raw const image_start as u64);
    let found = u32::try_from(offset).ok().and_then(|offset| symbols()?.find(offset));
    match found {
        Some((name, into)) => say!("  {address:016x} {name}+{into:#x}"),
        None => say!("  {address:016x}"),
    }
}

fn symbols() -> Option<Symbols<'static>> {
    let start = &raw const symbols_start;
    let len = &raw const symbols_end as usize - start as usize;
    // SAFETY: the linker script puts the two around a read-only section.
    Symbols::new(unsafe { core::slice::from_raw_parts(start, len) })
}

/// Reads a word of a stack, if there is one.
fn read(address: u64) -> Option<u64> {
    if !address.is_multiple_of(8) || !mm::is_mapped(address) {
        return None;
    }
    // SAFETY: mapped and aligned; whatever it is, it is only looked at.
    Some(unsafe { (address as *const u64).read_volatile() })
}
