//! What a domain starts from: a kernel image, a memory map, `start_info`, ACPI tables.
//!
//! Everything here is a pure function from bytes to bytes. [`image`] reads kernel files
//! ([`image::Image`]: bzImage or bare ELF) and finds what to load where ([`image::Kernel`]);
//! [`unpack`] holds the decoders. [`acpi`] reads the host's tables and composes the control
//! domain's. [`map`] says what its memory looks like, [`layout`] where in it everything goes,
//! [`cmdline`] and [`start_info`] what its kernel is told.
//!
//! All input is untrusted: lengths and offsets are checked, and every error says what is wrong
//! with which thing and what to do about it.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(not(test), deny(clippy::unwrap_used, clippy::arithmetic_side_effects))]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod acpi;
mod bytes;
pub mod cmdline;
pub mod image;
pub mod layout;
pub mod map;
pub mod memory;
pub mod start_info;
pub mod unpack;
