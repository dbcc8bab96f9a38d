//! The only way to read or write guest memory.
//!
//! Guest handles are virtual addresses, so each copy walks the caller's page tables as the CPU
//! would, then the domain's p2m. A page is translated
//! once per copy; what the guest does to its tables meanwhile is its own affair, as the bytes
//! then come from a frame that was its own when it was looked up, and the p2m lock is held until
//! they are copied.

use hv_core::hypercall::{Fault, GuestCopy};
use hv_core::types::{Gpa, Gva};
use hv_x86::walk::{Access, Kind, Paging, WalkError, walk};

use crate::platform::{Domain, hypervisor};

/// The memory of a stopped vCPU, by virtual address.
pub struct VcpuMemory<'a> {
    domain: &'a Domain,
    paging: Paging,
    takes_interrupts: bool,
}

impl<'a> VcpuMemory<'a> {
    /// What a vCPU of `domain` with these control registers would reach. `takes_interrupts` says
    /// whether its interrupt flag is set.
    pub fn new(domain: &'a Domain, paging: Paging, takes_interrupts: bool) -> Self {
        Self { domain, paging, takes_interrupts }
    }

    /// The guest-physical address behind `gva`, and how far from it the translation holds.
    ///
    /// # Errors
    /// If the guest's tables don't allow the access, or lie outside of its memory.
    pub fn locate(&self, gva: Gva, access: Access) -> Result<(Gpa, usize), WalkError<Fault>> {
        let found = walk(&self.paging, gva.0, access, |gpa| {
            let mut entry = [0; 8];
            read_physical(self.domain, gpa, &mut entry)?;
            Ok(u64::from_le_bytes(entry))
        })?;
        let within = gva.0 & (found.page_bytes - 1);
        Ok((found.gpa, (found.page_bytes - within) as usize))
    }

    /// Calls `step` with each physically contiguous piece of `[gva, gva + len)`.
    fn pieces(
        &self,
        gva: Gva,
        len: usize,
        kind: Kind,
        mut step: impl FnMut(Gpa, core::ops::Range<usize>) -> Result<(), Fault>,
    ) -> Result<(), Fault> {
        let access = Access { kind, user: false };
        let mut done = 0;
        while done < len {
            let at = gva.0.checked_add(done as u64).ok_or(Fault)?;
            let (gpa, room) = self.locate(Gva(at), access).map_err(|_| Fault)?;
            let end = len.min(done + room);
            step(gpa, done..end)?;
            done = end;
        }
        Ok(())
    }
}

impl GuestCopy for VcpuMemory<'_> {
    fn copy_from(&self, from: Gva, into: &mut [u8]) -> Result<(), Fault> {
        self.pieces(from, into.len(), Kind::Read, |gpa, range| {
            read_physical(self.domain, gpa, into.get_mut(range).ok_or(Fault)?)
        })
    }

    fn copy_to(&self, to: Gva, from: &[u8]) -> Result<(), Fault> {
        self.pieces(to, from.len(), Kind::Write, |gpa, range| {
            write_physical(self.domain, gpa, from.get(range).ok_or(Fault)?)
        })
    }

    fn takes_interrupts(&self) -> bool {
        self.takes_interrupts
    }

    fn translate(&self, gva: Gva) -> Result<Gpa, Fault> {
        self.locate(gva, Access::WRITE).map(|(gpa, _)| gpa).map_err(|_| Fault)
    }
}

/// Copies out of a domain's guest-physical memory.
///
/// # Errors
/// If a part of the range isn't memory.
pub fn read_physical(domain: &Domain, gpa: Gpa, into: &mut [u8]) -> Result<(), Fault> {
    domain.memory.read(&hypervisor().platform, gpa, into).map_err(|_| Fault)
}

/// Copies into a domain's guest-physical memory, as the domain itself could.
///
/// # Errors
/// If a part of the range isn't memory, or not writable.
pub fn write_physical(domain: &Domain, gpa: Gpa, from: &[u8]) -> Result<(), Fault> {
    domain.memory.write(&hypervisor().platform, gpa, from).map_err(|_| Fault)
}
