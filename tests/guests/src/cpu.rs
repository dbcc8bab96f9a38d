//! The instructions that Rust has no words for, and those of them that may fault.

#![expect(unsafe_code, reason = "inline assembly")]

use core::arch::{asm, x86_64};
use x86defs::cpuid::{LEAF_VENDOR, VENDOR_AMD, VENDOR_HYGON};

/// Registers after CPUID.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cpuid {
    /// EAX.
    pub eax: u32,
    /// EBX.
    pub ebx: u32,
    /// ECX.
    pub ecx: u32,
    /// EDX.
    pub edx: u32,
}

/// Reads a CPUID leaf.
#[must_use]
pub fn cpuid(leaf: u32, subleaf: u32) -> Cpuid {
    let result = x86_64::__cpuid_count(leaf, subleaf);
    Cpuid { eax: result.eax, ebx: result.ebx, ecx: result.ecx, edx: result.edx }
}

/// The vendor string.
#[must_use]
pub fn vendor() -> [u8; 12] {
    let leaf = cpuid(LEAF_VENDOR, 0);
    let mut vendor = [0; 12];
    for (to, from) in vendor.chunks_exact_mut(4).zip([leaf.ebx, leaf.edx, leaf.ecx]) {
        to.copy_from_slice(&from.to_le_bytes());
    }
    vendor
}

/// Whether hypercalls are made by VMMCALL.
#[must_use]
pub fn uses_vmmcall() -> bool {
    matches!(vendor(), VENDOR_AMD | VENDOR_HYGON)
}

/// The TSC, after all that came before.
#[must_use]
pub fn tsc() -> u64 {
    // SAFETY: LFENCE and RDTSC change nothing.
    unsafe {
        x86_64::_mm_lfence();
    }
    // SAFETY: as above.
    unsafe { x86_64::_rdtsc() }
}

/// Lets interrupts in.
pub fn enable_interrupts() {
    // SAFETY: every vector has an entry that keeps all registers.
    unsafe { asm!("sti", options(nostack)) };
}

/// Keeps interrupts out.
pub fn disable_interrupts() {
    // SAFETY: changes only RFLAGS.IF.
    unsafe { asm!("cli", options(nostack)) };
}

/// Lets interrupts in, waits for one, keeps them out again. One that waits already isn't missed.
pub fn wait_for_interrupt() {
    // SAFETY: every vector has an entry that keeps all registers.
    unsafe { asm!("sti", "hlt", "cli", options(nostack)) };
}

/// Stops this CPU.
pub fn halt() -> ! {
    loop {
        // SAFETY: nothing runs after this.
        unsafe { asm!("cli", "hlt", options(nostack)) };
    }
}

/// Reads a byte from a port.
#[must_use]
pub fn in8(port: u16) -> u8 {
    let value;
    // SAFETY: port reads don't touch memory.
    unsafe { asm!("in al, dx", in("dx") port, out("al") value, options(nomem, nostack)) };
    value
}

/// Reads 16 bits from a port.
#[must_use]
pub fn in16(port: u16) -> u16 {
    let value;
    // SAFETY: as in `in8`.
    unsafe { asm!("in ax, dx", in("dx") port, out("ax") value, options(nomem, nostack)) };
    value
}

/// Reads 32 bits from a port.
#[must_use]
pub fn in32(port: u16) -> u32 {
    let value;
    // SAFETY: as in `in8`.
    unsafe { asm!("in eax, dx", in("dx") port, out("eax") value, options(nomem, nostack)) };
    value
}

/// Writes a byte to a port.
pub fn out8(port: u16, value: u8) {
    // SAFETY: no device of a test guest is told to write to memory.
    unsafe { asm!("out dx, al", in("dx") port, in("al") value, options(nomem, nostack)) };
}

/// Writes 32 bits to a port.
pub fn out32(port: u16, value: u32) {
    // SAFETY: as in `out8`.
    unsafe { asm!("out dx, eax", in("dx") port, in("eax") value, options(nomem, nostack)) };
}

/// An exception that an instruction raised.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fault {
    /// Its vector.
    pub vector: u8,
    /// Its error code, or zero.
    pub error_code: u32,
}

impl Fault {
    /// From what the interrupt dispatcher leaves in R11.
    fn decode(r11: u64) -> Result<(), Self> {
        if r11 == 0 {
            return Ok(());
        }
        Err(Self { vector: r11 as u8, error_code: (r11 >> 32) as u32 })
    }

    /// What the interrupt dispatcher leaves in R11.
    pub(crate) fn encode(self) -> u64 {
        1 << 31 | u64::from(self.vector) | u64::from(self.error_code) << 32
    }
}

/// Assembly around one instruction that may fault: the dispatcher goes on at the second label and
/// leaves the fault in R11.
macro_rules! recoverable {
    ($instruction:literal; $($rest:tt)*) => {
        asm!(
            "xor r11d, r11d",
            "2:",
            $instruction,
            "3:",
            ".pushsection .recovery_table, \"a\"",
            ".quad 2b, 3b",
            ".popsection",
            $($rest)*
        )
    };
}

/// Reads an MSR.
///
/// # Errors
/// What it raised.
pub fn read_msr(msr: u32) -> Result<u64, Fault> {
    let (low, high): (u32, u32);
    let fault: u64;
    // SAFETY: reading an MSR changes nothing that Rust knows of; a fault is caught.
    unsafe {
        recoverable!("rdmsr"; in("ecx") msr, inout("eax") 0 => low, inout("edx") 0 => high,
            out("r11") fault, options(nostack));
    }
    Fault::decode(fault).map(|()| u64::from(high) << 32 | u64::from(low))
}

/// Writes an MSR that doesn't change how code runs.
///
/// # Errors
/// What it raised.
pub fn write_msr(msr: u32, value: u64) -> Result<(), Fault> {
    let fault: u64;
    // SAFETY: the MSRs that tests write concern interrupts, time and hypercalls; a fault is caught.
    unsafe {
        recoverable!("wrmsr"; in("ecx") msr, in("eax") value as u32, in("edx") (value >> 32) as u32,
            out("r11") fault, options(nostack));
    }
    Fault::decode(fault)
}

/// Reads 32 bits of memory that may not be there.
///
/// # Errors
/// What it raised.
pub fn read_memory(address: u64) -> Result<u32, Fault> {
    let value: u32;
    let fault: u64;
    // SAFETY: a read; a fault is caught.
    unsafe {
        recoverable!("mov eax, [rdi]"; in("rdi") address, inout("eax") 0 => value,
            out("r11") fault, options(nostack, readonly));
    }
    Fault::decode(fault).map(|()| value)
}

/// Writes 32 bits of memory that may not be there.
///
/// # Safety
/// Nothing that Rust uses is at `address`.
///
/// # Errors
/// What it raised.
pub unsafe fn write_memory(address: u64, value: u32) -> Result<(), Fault> {
    let fault: u64;
    // SAFETY: the caller promises that nothing is lost; a fault is caught.
    unsafe {
        recoverable!("mov [rdi], eax"; in("rdi") address, in("eax") value,
            out("r11") fault, options(nostack));
    }
    Fault::decode(fault)
}

/// Executes UD2.
///
/// # Errors
/// Always: what it raised.
pub fn undefined_instruction() -> Result<(), Fault> {
    let fault: u64;
    // SAFETY: the fault is caught.
    unsafe { recoverable!("ud2"; out("r11") fault, options(nostack)) };
    Fault::decode(fault)
}
