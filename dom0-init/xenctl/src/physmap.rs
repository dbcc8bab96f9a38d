//! A domain's memory: what is put where, and what its map says.
#![expect(unsafe_code, reason = "hypercalls read and write memory by address")]

use xen_abi::memory::{E820Entry, ForeignMemoryMap, MemoryCmd, MemoryMap, MemoryReservation};
use xen_abi::xen::Hypercall;
use zerocopy::IntoBytes;

use crate::Xen;
use crate::error::{Error, Result};

/// How many extents are asked for at once.
const AT_ONCE: usize = 4096;
const ENOMEM: i32 = 12;

impl Xen {
    /// Puts new memory at the given frames of a domain, each the first of `1 << order`.
    ///
    /// # Errors
    /// When there isn't as much memory, or the domain may not have it. What was put there until
    /// then stays.
    pub fn populate(&self, domain: u16, order: u32, frames: &[u64]) -> Result<()> {
        for part in frames.chunks(AT_ONCE) {
            if self.populate_part(domain, order, part)? < part.len() {
                let call = MemoryCmd::POPULATE_PHYSMAP.name().unwrap_or("memory_op");
                return Err(Error::Hypercall { call, errno: ENOMEM });
            }
        }
        Ok(())
    }

    /// Puts as much there as there is; gives how many extents that were.
    fn populate_part(&self, domain: u16, order: u32, frames: &[u64]) -> Result<usize> {
        let mut list = self.privcmd.buffer(size_of_val(frames))?;
        for (to, from) in list.bytes_mut().iter_mut().zip(frames.as_bytes()) {
            *to = *from;
        }
        let reservation = MemoryReservation {
            extent_start: list.handle(),
            nr_extents: frames.len() as u64,
            extent_order: order,
            domid: domain,
            ..MemoryReservation::default()
        };
        let cmd = MemoryCmd::POPULATE_PHYSMAP;
        let name = cmd.name().unwrap_or("memory_op");
        let buffers = &mut [&mut list];
        // SAFETY: the handle is the buffer's, which holds that many frame numbers.
        let (_, done) =
            unsafe { self.operation(name, Hypercall::MEMORY_OP, cmd.0, &reservation, buffers) }?;
        Ok(usize::try_from(done).unwrap_or(0))
    }

    /// Tells a domain what its memory looks like, for when it asks the hypervisor.
    ///
    /// # Errors
    /// When there is no such domain.
    pub fn set_memory_map(&self, domain: u16, entries: &[E820Entry]) -> Result<()> {
        let mut list = self.privcmd.buffer(size_of_val(entries))?;
        for (to, from) in list.bytes_mut().iter_mut().zip(entries.as_bytes()) {
            *to = *from;
        }
        let nr_entries = u32::try_from(entries.len()).unwrap_or(u32::MAX);
        let map = MemoryMap { nr_entries, buffer: list.handle(), ..MemoryMap::default() };
        let argument = ForeignMemoryMap { domid: domain, map, ..ForeignMemoryMap::default() };
        let cmd = MemoryCmd::SET_MEMORY_MAP;
        let name = cmd.name().unwrap_or("memory_op");
        let buffers = &mut [&mut list];
        // SAFETY: the handle is the buffer's, which holds that many entries.
        unsafe { self.operation(name, Hypercall::MEMORY_OP, cmd.0, &argument, buffers) }?;
        Ok(())
    }
}
