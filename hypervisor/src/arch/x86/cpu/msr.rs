//! Model-specific registers that may not exist, or may not take a value.
#![expect(unsafe_code, reason = "reads and writes MSRs")]

use x86defs::msr::Msr;

unsafe extern "C" {
    fn msr_read(msr: u32, value: *mut u64) -> bool;
    fn msr_write(msr: u32, value: u64) -> bool;
}

/// An MSR's value; `None` if the CPU has no such MSR.
pub fn read(msr: Msr) -> Option<u64> {
    let mut value = 0;
    // SAFETY: `value` is valid for the write, and a fault is caught.
    let exists = unsafe { msr_read(msr.0, &raw mut value) };
    exists.then_some(value)
}

/// Writes an MSR. `false` if the CPU refuses.
///
/// # Safety
/// The value must not break memory safety: none that control paging, segments or entry points.
pub unsafe fn write(msr: Msr, value: u64) -> bool {
    // SAFETY: the caller's promise; a fault is caught.
    unsafe { msr_write(msr.0, value) }
}
