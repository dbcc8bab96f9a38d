//! The x86 architecture as a guest sees it: local and IO-APICs, CPUID, MSRs, ports, page tables,
//! instructions.
//!
//! Everything here is a state machine in safe code that is tested on the host. Nothing touches
//! hardware and nothing knows SVM or VMX: an access comes in, the new state stays here, and what
//! the machine must do about it (arm a timer, send an interrupt, write a frame) goes back to the
//! caller as a value. What the guest passes in can never make it panic: hence the denied lints.
#![no_std]
#![forbid(unsafe_code)]
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod cpuid;
pub mod decode;
pub mod fault;
pub mod interrupt;
pub mod msr;
pub mod pci;
pub mod ports;
pub mod state;
pub mod vioapic;
pub mod vlapic;
pub mod vtd;
pub mod walk;
