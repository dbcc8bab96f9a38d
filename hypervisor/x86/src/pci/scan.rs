//! Finding the machine's functions.

use alloc::vec::Vec;
use core::ops::RangeInclusive;

use super::address::{Register, Sbdf};
use super::host::ConfigSpace;
use super::registers::{CLASS, HEADER_KIND, HEADER_MULTIFUNCTION, HEADER_TYPE, VENDOR};

/// A function that answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Function {
    /// Where it is.
    pub sbdf: Sbdf,
    /// Vendor in bits 15:0, device in bits 31:16.
    pub id: u32,
    /// Base class, subclass and interface, in bits 23:16, 15:8 and 7:0.
    pub class: u32,
    /// The kind of header: 0 for a device, 1 for a bridge.
    pub header: u8,
}

/// Whether a function answers, and what it is.
pub fn probe(space: &impl ConfigSpace, sbdf: Sbdf) -> Option<Function> {
    let id = space.read(sbdf, Register::dword(VENDOR));
    // Some bridges answer zero for functions that aren't there.
    if matches!(id & 0xFFFF, 0 | 0xFFFF) {
        return None;
    }
    let class = space.read(sbdf, Register::dword(CLASS)) >> 8;
    let header = space.read(sbdf, Register::byte(HEADER_TYPE));
    Some(Function { sbdf, id, class, header: (header & HEADER_KIND) as u8 })
}

/// All functions on the buses of a segment.
///
/// Every bus is looked at, not only those behind bridges that are found: host bridges beside the
/// first one have buses that no other bridge leads to.
pub fn scan(space: &impl ConfigSpace, segment: u16, buses: RangeInclusive<u8>) -> Vec<Function> {
    let mut found = Vec::new();
    for bus in buses {
        for device in 0..32 {
            let Some(first) = probe(space, Sbdf::new(segment, bus, device, 0)) else { continue };
            found.push(first);
            let header = space.read(first.sbdf, Register::byte(HEADER_TYPE));
            if header & HEADER_MULTIFUNCTION != 0 {
                let others = (1..8).map(|function| Sbdf::new(segment, bus, device, function));
                found.extend(others.filter_map(|sbdf| probe(space, sbdf)));
            }
        }
    }
    found
}
