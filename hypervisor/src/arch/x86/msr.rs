//! Model-specific registers of the executing CPU.
#![expect(unsafe_code, reason = "RDMSR and WRMSR")]

use core::arch::asm;

/// Reads an MSR that the CPU has.
pub fn read(index: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading an MSR touches no memory; callers name those that exist.
    unsafe {
        asm!("rdmsr", in("ecx") index, out("eax") low, out("edx") high,
            options(nomem, nostack, preserves_flags));
    }
    u64::from(high) << 32 | u64::from(low)
}

/// Writes an MSR.
///
/// # Safety
/// The CPU has it, and the value must not change what running code relies on (mappings, entry
/// points, the segments' bases) in a way that the caller hasn't thought of.
pub unsafe fn write(index: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the caller's promise.
    unsafe {
        asm!("wrmsr", in("ecx") index, in("eax") low, in("edx") high,
            options(nostack, preserves_flags));
    }
}
