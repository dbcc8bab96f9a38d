//! The Xen 4.20 public ABI as plain data: structures, constants, command numbers.
#![no_std]
#![forbid(unsafe_code)]

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};
/// probe
#[repr(C)]
#[derive(Clone, Copy, Debug, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Probe { /// a
 pub a: u32, /// b
 pub b: u32 }
