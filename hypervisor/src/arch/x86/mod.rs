//! The x86-64 architecture.

pub mod apic;
pub mod boot;
pub mod cpu;
pub mod hvm;
pub mod interrupts;
pub mod port;
pub mod reset;
pub mod time;

#[cfg(freestanding)]
#[expect(unsafe_code, reason = "assembly is beyond the compiler's checks")]
mod assembly {
    //! The assembly files. Each states its register contract.

    use core::arch::global_asm;

    global_asm!(include_str!("boot/header.S"));
    global_asm!(include_str!("boot/entry.S"));
    global_asm!(include_str!("boot/symbols.S"));
    global_asm!(include_str!("boot/trampoline.S"));
    global_asm!(include_str!("cpu/msr.S"));
    global_asm!(include_str!("cpu/vectors.S"));
    global_asm!(include_str!("mem.S"));
}
