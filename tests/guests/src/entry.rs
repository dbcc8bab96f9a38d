//! From `boot.S` to the test: tables, the panic handler, and the functions that the compiler
//! expects every program to have.

#![expect(unsafe_code, reason = "called by boot.S and by compiled code, by name")]

use crate::{interrupts, report, smp, start_info};
use core::arch::{asm, global_asm};
use core::panic::PanicInfo;

global_asm!(include_str!("boot.S"), options(att_syntax));

unsafe extern "C" {
    safe fn guest_main() -> !;
}

#[unsafe(no_mangle)]
extern "C" fn guest_start(start_info: u32) -> ! {
    start_info::set(u64::from(start_info));
    interrupts::init();
    guest_main()
}

#[unsafe(no_mangle)]
extern "C" fn guest_ap_start() -> ! {
    interrupts::load();
    smp::enter()
}

#[panic_handler]
fn panic(info: &PanicInfo<'_>) -> ! {
    report::error(format_args!("{info}"))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    // SAFETY: the caller promises two separate ranges of this size.
    unsafe {
        asm!("rep movsb", inout("rcx") bytes => _, inout("rdi") to => _, inout("rsi") from => _,
            options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, bytes: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= bytes {
        // SAFETY: going up never overwrites what is still to be read.
        return unsafe { memcpy(to, from, bytes) };
    }
    let last = bytes.wrapping_sub(1);
    // SAFETY: going down never overwrites what is still to be read; DF is clear afterwards.
    unsafe {
        asm!("std", "rep movsb", "cld", inout("rcx") bytes => _,
            inout("rdi") to.wrapping_add(last) => _, inout("rsi") from.wrapping_add(last) => _,
            options(nostack));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, bytes: usize) -> *mut u8 {
    // SAFETY: the caller promises a range of this size.
    unsafe {
        asm!("rep stosb", inout("rcx") bytes => _, inout("rdi") to => _, in("al") byte as u8,
            options(nostack, preserves_flags));
    }
    to
}

#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
    for index in 0..bytes {
        // SAFETY: within the range that the caller promises.
        let left = unsafe { a.wrapping_add(index).read_volatile() };
        // SAFETY: as above.
        let right = unsafe { b.wrapping_add(index).read_volatile() };
        if left != right {
            return i32::from(left) - i32::from(right);
        }
    }
    0
}

#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, bytes: usize) -> i32 {
    // SAFETY: the same promise.
    unsafe { memcmp(a, b, bytes) }
}
