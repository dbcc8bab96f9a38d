//! What a domain starts from: a kernel image, a memory map, `start_info`, ACPI tables.
//!
//! Everything here is a pure function from bytes to bytes. [`image`] reads kernel files
//! ([`image::Image`]: bzImage or bare ELF) and finds what to load where ([`image::Kernel`]);
//! [`unpack`] holds the decoders; [`acpi`] reads the host's tables and writes the control
//! domain's. All input is untrusted: lengths and offsets are checked, and every error says what
//! is wrong with which thing and what to do about it.
#![no_std]
#![forbid(unsafe_code)]
#![deny(clippy::unwrap_used, clippy::arithmetic_side_effects)]

extern crate alloc;

pub mod acpi;
mod bytes;
pub mod image;
pub mod memory;
pub mod unpack;
