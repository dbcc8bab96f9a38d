//! What the rarer hypercalls ask of this machine: one file for each of [`hv_core::machine`]'s
//! subjects.

mod cpu_policies;
mod devices;
mod domains;
pub mod firmware;
mod host;
mod saved_state;
mod vcpus;
