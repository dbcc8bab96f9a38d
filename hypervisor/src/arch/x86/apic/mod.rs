//! Interrupt controllers: each CPU's local APIC, the IO-APICs, and the 8259s, which stay masked.

pub mod ioapic;
pub mod local;
pub mod pic;
