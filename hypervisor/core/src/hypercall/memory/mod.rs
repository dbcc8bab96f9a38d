//! `memory_op`: what a domain's memory is, and changing it (public header `memory.h`).
//!
//! Commands that go through many extents return how many they did, or go on where they stopped:
//! bits 6 and up of the command say from which extent on.

mod maps;
mod physmap;
mod reservation;
mod resource;
#[cfg(test)]
mod tests;

use xen_abi::memory::{MemoryCmd, MemoryDomain, PodTarget, VnumaTopologyInfo};
use xen_abi::xen::Ulong;

use super::{Call, HypercallResult, Outcome};
use crate::errno::Errno;
use crate::machine::MemoryHost;
use crate::memory::MemoryError;
use crate::platform::Platform;
use crate::types::{DomId, Gva};

/// Where the first extent is in the command.
const EXTENT_SHIFT: u32 = 6;
/// The command itself.
const COMMAND_MASK: u64 = (1 << EXTENT_SHIFT) - 1;
/// How many elements of a caller's array are copied at once.
const CHUNK: usize = 32;

/// `memory_op(cmd, arg)`.
pub fn memory_op<P: Platform + MemoryHost>(call: &Call<'_, P>) -> HypercallResult {
    let [raw, arg, ..] = call.args;
    let (arg, start) = (Gva(arg), raw >> EXTENT_SHIFT);
    let command = MemoryCmd((raw & COMMAND_MASK) as u32);
    match command {
        MemoryCmd::POPULATE_PHYSMAP
        | MemoryCmd::INCREASE_RESERVATION
        | MemoryCmd::DECREASE_RESERVATION => return reservation::adjust(call, command, start, arg),
        MemoryCmd::ADD_TO_PHYSMAP => return physmap::add(call, start, arg),
        MemoryCmd::ADD_TO_PHYSMAP_BATCH => return physmap::add_batch(call, start, arg),
        MemoryCmd::ACQUIRE_RESOURCE => return resource::acquire(call, start, arg),
        _ => {}
    }
    if start != 0 {
        return Err(Errno::EINVAL);
    }
    match command {
        MemoryCmd::MAXIMUM_RAM_PAGE => {
            Ok(Outcome::Done(call.hv.frames.max_mfn().0.saturating_add(1)))
        }
        MemoryCmd::CURRENT_RESERVATION
        | MemoryCmd::MAXIMUM_RESERVATION
        | MemoryCmd::MAXIMUM_GPFN => query(call, command, arg),
        MemoryCmd::REMOVE_FROM_PHYSMAP => physmap::remove(call, arg),
        MemoryCmd::CLAIM_PAGES => reservation::claim(call, arg),
        MemoryCmd::MEMORY_MAP => maps::memory_map(call, arg),
        MemoryCmd::SET_MEMORY_MAP => maps::set_memory_map(call, arg),
        MemoryCmd::MACHINE_MEMORY_MAP => maps::machine_memory_map(call, arg),
        MemoryCmd::RESERVED_DEVICE_MEMORY_MAP => maps::reserved_device_memory(call, arg),
        MemoryCmd::GET_VNUMAINFO => {
            let info: VnumaTopologyInfo = call.read(arg)?;
            call.resolve_owned(DomId(info.domid))?;
            Err(Errno::EOPNOTSUPP)
        }
        // Nothing is ever shared between domains behind their backs.
        MemoryCmd::GET_SHARING_FREED_PAGES | MemoryCmd::GET_SHARING_SHARED_PAGES => Ok(Outcome::OK),
        MemoryCmd::SET_POD_TARGET | MemoryCmd::GET_POD_TARGET => pod_target(call, arg),
        _ => Err(Errno::ENOSYS),
    }
}

/// `XENMEM_current_reservation`, `_maximum_reservation` and `_maximum_gpfn`.
fn query<P: Platform>(call: &Call<'_, P>, command: MemoryCmd, arg: Gva) -> HypercallResult {
    let query: MemoryDomain = call.read(arg)?;
    let memory = &call.resolve_owned(DomId(query.domid))?.memory;
    Ok(Outcome::Done(match command {
        MemoryCmd::CURRENT_RESERVATION => memory.pages(),
        // "No limit" has no other value in 32 bits, which is what toolstacks expect.
        MemoryCmd::MAXIMUM_RESERVATION => memory.max_pages().min(u32::MAX.into()),
        _ => memory.highest_gfn().0,
    }))
}

/// Memory is never populated on demand, so any target is as good as reached.
fn pod_target<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let mut target: PodTarget = call.read(arg)?;
    let domain = call.resolve(DomId(target.domid))?;
    if domain.id == call.domain.id || !call.domain.is_privileged() {
        return Err(Errno::EPERM);
    }
    target.tot_pages = domain.memory.pages();
    (target.pod_cache_pages, target.pod_entries) = (0, 0);
    call.write(arg, &target)?;
    Ok(Outcome::OK)
}

/// Runs the same command again from extent `next` on.
fn resume<P: Platform>(call: &Call<'_, P>, next: u64) -> Outcome {
    let [command, rest @ ..] = call.args;
    let [a, b, c, d, e] = rest;
    let command = (command & COMMAND_MASK) | (next << EXTENT_SHIFT);
    Outcome::Continue([command, a, b, c, d, e])
}

/// Copies elements `[from, from + into.len())` of the caller's array at `base`.
fn read_array<P: Platform>(
    call: &Call<'_, P>,
    base: Gva,
    from: u64,
    into: &mut [Ulong],
) -> Result<(), Errno> {
    call.read_all(call.element::<Ulong>(base, from)?, into)
}

impl From<MemoryError> for Errno {
    fn from(error: MemoryError) -> Self {
        match error {
            MemoryError::NoMemory => Self::ENOMEM,
            MemoryError::ReadOnly => Self::EACCES,
            MemoryError::BadAddress
            | MemoryError::NotMapped
            | MemoryError::NotRam
            | MemoryError::Busy
            | MemoryError::OverLimit
            | MemoryError::Identity
            | MemoryError::Dying => Self::EINVAL,
        }
    }
}
