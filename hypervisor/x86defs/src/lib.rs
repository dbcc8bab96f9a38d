//! The x86-64 machine as plain data: control structures, registers, MSRs, CPUID leaves, page
//! table entries, interrupt controllers, and the firmware tables that describe them.
//!
//! Nothing here touches hardware. Structures are `repr(C)` with their sizes and offsets asserted
//! at compile time; values that come from hardware, firmware or guests are open enums (integer
//! newtypes) or bit sets that keep unknown bits. Sources: "APM" is AMD's Architecture
//! Programmer's Manual (24593), "SDM" is Intel's Software Developer's Manual, "VT-d" is Intel's
//! Virtualization Technology for Directed I/O specification.
#![no_std]
#![forbid(unsafe_code)]

mod macros;

pub mod apic;
pub mod cpuid;
pub mod cr;
pub mod dr;
pub mod exception;
pub mod ioapic;
pub mod msr;
pub mod paging;
pub mod pic;
pub mod rflags;
pub mod segment;
pub mod vmcb;
pub mod vmx;
pub mod vtd;
