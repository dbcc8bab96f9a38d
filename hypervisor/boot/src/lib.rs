//! What the hypervisor's start and its console decide, in safe code that runs on the host too:
//! reading what the boot loader left ([`info`] and one module per protocol), the command line
//! ([`options`]), which memory is whose ([`memory_map`]), the log ring and the input switch.
//!
//! The binary supplies the mechanism: it reads physical memory, drives the devices, and acts.
#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate std;

pub mod clock;
pub mod info;
pub mod input;
pub mod log_ring;
pub mod memory_map;
pub mod multiboot1;
pub mod multiboot2;
pub mod options;
pub mod page_table;
pub mod phys;
pub mod pvh;
pub mod ranges;
pub mod rate_limit;
pub mod terminal;

#[cfg(test)]
mod tests;
