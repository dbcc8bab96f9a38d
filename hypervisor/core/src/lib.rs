//! The portable policy of the hypervisor: what a domain, a vCPU, a frame, an event channel and
//! a grant are, and what each hypercall does to them.
//!
//! No hardware is touched here. What policy needs of the machine it asks of [`platform`]'s
//! traits, so that every rule can be tested on the host.
#![no_std]
#![forbid(unsafe_code)]

extern crate alloc;
#[cfg(test)]
extern crate std;

pub mod domain;
pub mod errno;
pub mod frame;
pub mod hypercall;
pub mod hypervisor;
pub mod p2m;
pub mod platform;
#[cfg(test)]
mod testing;
pub mod types;
pub mod vcpu;
