//! The x86 architecture as data: structures and numbers from the processor manuals.
#![no_std]
#![forbid(unsafe_code)]

pub mod vmcb;
