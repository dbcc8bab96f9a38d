//! The lengths of intercepted instructions, remembered by where they are.
//!
//! Processors without NRIP save don't report the next instruction's address. Finding it means
//! walking the guest's page tables to read the instruction, on every exit; but a kernel makes
//! the same few exits from the same few places. An entry is only a guess of what stands there
//! now: a guest that changes an intercepted instruction into a longer one confuses itself alone.

use hv_x86::decode::Intercepted;

const ENTRIES: usize = 64;

/// One vCPU's cache, direct-mapped by the instruction's address.
pub struct LengthCache([Entry; ENTRIES]);

#[derive(Clone, Copy)]
struct Entry {
    rip: u64,
    cr3: u64,
    what: Intercepted,
    length: u8,
}

impl LengthCache {
    /// An empty cache.
    pub const fn new() -> Self {
        Self([Entry { rip: 0, cr3: 0, what: Intercepted::Hlt, length: 0 }; ENTRIES])
    }

    /// The length of the instruction `what` at `rip` in the address space `cr3`, if it is known.
    pub fn get(&self, rip: u64, cr3: u64, what: Intercepted) -> Option<u8> {
        let entry = self.0.get(index(rip))?;
        let known = (entry.rip, entry.cr3, entry.what) == (rip, cr3, what) && entry.length != 0;
        known.then_some(entry.length)
    }

    /// Remembers a length.
    pub fn put(&mut self, rip: u64, cr3: u64, what: Intercepted, length: u8) {
        if let Some(entry) = self.0.get_mut(index(rip)) {
            *entry = Entry { rip, cr3, what, length };
        }
    }
}

fn index(rip: u64) -> usize {
    (rip ^ rip >> 6) as usize % ENTRIES
}
