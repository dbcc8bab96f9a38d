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
pub mod event_channel;
pub mod frame;
pub mod grant_table;
mod guest_area;
pub mod hypercall;
pub mod hypervisor;
pub mod machine;
pub mod memory;
pub mod p2m;
pub mod params;
pub mod perf;
pub mod platform;
mod relinquish;
pub mod sched;
#[cfg(test)]
mod testing;
pub mod time;
pub mod timer;
pub mod types;
pub mod vcpu;
