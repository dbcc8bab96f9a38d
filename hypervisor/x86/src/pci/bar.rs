//! Base address registers: where a function's registers and memory are, and how large.

use alloc::vec::Vec;

use super::address::{Register, Sbdf};
use super::host::ConfigSpace;
use super::registers::{
    BAR_IO, BAR_KIND, BAR_KIND_64, BAR_PREFETCHABLE, BAR0, CLASS, CLASS_HOST_BRIDGE, COMMAND,
    COMMAND_IO, COMMAND_MEMORY, HEADER_BRIDGE, HEADER_DEVICE, HEADER_KIND, HEADER_TYPE,
};

/// A range of memory that a function answers to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemoryBar {
    /// The number of its (first) register.
    pub index: u8,
    /// Whether it takes two registers.
    pub wide: bool,
    /// Whether it may be prefetched.
    pub prefetchable: bool,
    /// The first address as of now; zero if none was assigned.
    pub address: u64,
    /// Its length in bytes, a power of two.
    pub bytes: u64,
}

impl MemoryBar {
    /// Whether it was given an address, and `address` is in it.
    pub const fn contains(&self, address: u64) -> bool {
        self.address != 0 && address.wrapping_sub(self.address) < self.bytes
    }
}

/// How many base address registers a function has.
pub(super) fn count(space: &impl ConfigSpace, function: Sbdf) -> u8 {
    match space.read(function, Register::byte(HEADER_TYPE)) & HEADER_KIND {
        HEADER_DEVICE => 6,
        HEADER_BRIDGE => 2,
        _ => 0,
    }
}

/// The register of a base address by its number, which is below 6.
pub(super) const fn register(index: u8) -> Register {
    Register::dword(BAR0.wrapping_add((index as u16) << 2))
}

/// The address in a memory base address register as of now; `None` if it is one of I/O ports or
/// has no address.
pub(super) fn address(space: &impl ConfigSpace, function: Sbdf, index: u8) -> Option<u64> {
    let low = space.read(function, register(index));
    if low & BAR_IO != 0 || low == u32::MAX {
        return None;
    }
    let mut address = u64::from(low & !0xF);
    if low & BAR_KIND == BAR_KIND_64 {
        address |= u64::from(space.read(function, register(index.saturating_add(1)))) << 32;
    }
    (address != 0).then_some(address)
}

/// Finds out what memory a function has, by writing all ones to its registers; what they held is
/// restored. The function doesn't answer in the meantime, so it must not be in use.
///
/// Host bridges go on answering: some cut off all memory, RAM too, when they are told not to.
pub fn probe(space: &impl ConfigSpace, function: Sbdf) -> Vec<MemoryBar> {
    let command = space.read(function, Register::word(COMMAND));
    let class = space.read(function, Register::dword(CLASS)) >> 16;
    let stops = class != CLASS_HOST_BRIDGE;
    if stops {
        space.write(function, Register::word(COMMAND), command & !(COMMAND_IO | COMMAND_MEMORY));
    }
    let count = count(space, function);
    let mut bars = Vec::new();
    let mut index = 0;
    while index < count {
        let bar = probe_one(space, function, index);
        let wide = bar.is_some_and(|bar| bar.wide);
        bars.extend(bar.filter(|bar| bar.bytes != 0));
        index = index.saturating_add(if wide { 2 } else { 1 });
    }
    if stops {
        space.write(function, Register::word(COMMAND), command);
    }
    bars
}

fn probe_one(space: &impl ConfigSpace, function: Sbdf, index: u8) -> Option<MemoryBar> {
    let low = register(index);
    let old = space.read(function, low);
    if old & BAR_IO != 0 {
        return None;
    }
    let wide = old & BAR_KIND == BAR_KIND_64;
    let mut mask = u64::from(size_mask(space, function, low) & !0xF);
    let mut address = u64::from(old & !0xF);
    if wide {
        let high = register(index.saturating_add(1));
        address |= u64::from(space.read(function, high)) << 32;
        mask |= u64::from(size_mask(space, function, high)) << 32;
    } else if mask != 0 {
        mask |= 0xFFFF_FFFF << 32;
    }
    let prefetchable = old & BAR_PREFETCHABLE != 0;
    // The lowest bit that can be set is the size; none can be if there is nothing.
    Some(MemoryBar { index, wide, prefetchable, address, bytes: mask & mask.wrapping_neg() })
}

/// Which bits of a register can be set.
fn size_mask(space: &impl ConfigSpace, function: Sbdf, register: Register) -> u32 {
    let old = space.read(function, register);
    space.write(function, register, u32::MAX);
    let mask = space.read(function, register);
    space.write(function, register, old);
    mask
}
