//! Memory maps: what a domain is told, what the machine has.

use alloc::vec::Vec;

use xen_abi::memory::{E820Entry, ForeignMemoryMap, MemoryMap, RDM_ALL, ReservedDeviceMemoryMap};
use zerocopy::{FromZeros, IntoBytes};

use crate::errno::Errno;
use crate::hypercall::{Call, HypercallResult, Outcome};
use crate::machine::MemoryHost;
use crate::platform::Platform;
use crate::types::{DomId, Gva};

/// The longest map that a domain can be given.
const MAX_ENTRIES: u32 = 1024;

/// `XENMEM_memory_map`: the caller's own.
pub(super) fn memory_map<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let wanted: MemoryMap = call.read(arg)?;
    let entries = call.domain.memory.memory_map();
    if entries.is_empty() {
        return Err(Errno::ENOSYS);
    }
    give(call, arg, wanted, &entries)
}

/// `XENMEM_machine_memory_map`, for privileged domains.
pub(super) fn machine_memory_map<P: Platform + MemoryHost>(
    call: &Call<'_, P>,
    arg: Gva,
) -> HypercallResult {
    if !call.domain.is_privileged() {
        return Err(Errno::EPERM);
    }
    let wanted: MemoryMap = call.read(arg)?;
    give(call, arg, wanted, call.hv.platform.machine_memory_map())
}

/// Hands out as many entries as there is room for, or their number if there is no buffer.
fn give<P: Platform>(
    call: &Call<'_, P>,
    arg: Gva,
    mut wanted: MemoryMap,
    entries: &[E820Entry],
) -> HypercallResult {
    if wanted.buffer.is_null() {
        wanted.nr_entries = u32::try_from(entries.len()).unwrap_or(u32::MAX);
    } else {
        let given = entries.get(..wanted.nr_entries as usize).unwrap_or(entries);
        call.guest.copy_to(Gva(wanted.buffer.0), given.as_bytes())?;
        wanted.nr_entries = u32::try_from(given.len()).unwrap_or(u32::MAX);
    }
    call.write(arg, &wanted)?;
    Ok(Outcome::OK)
}

/// `XENMEM_set_memory_map`.
pub(super) fn set_memory_map<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let set: ForeignMemoryMap = call.read(arg)?;
    if set.map.nr_entries > MAX_ENTRIES {
        return Err(Errno::EINVAL);
    }
    let target = call.resolve_owned(DomId(set.domid))?;
    let count = set.map.nr_entries as usize;
    let mut entries = Vec::new();
    entries.try_reserve_exact(count).map_err(|_| Errno::ENOMEM)?;
    entries.resize_with(count, E820Entry::new_zeroed);
    call.guest.copy_from(Gva(set.map.buffer.0), entries.as_mut_slice().as_mut_bytes())?;
    target.memory.set_memory_map(entries);
    Ok(Outcome::OK)
}

/// `XENMEM_reserved_device_memory_map`: there are no such regions.
pub(super) fn reserved_device_memory<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let mut map: ReservedDeviceMemoryMap = call.read(arg)?;
    if map.flags & !RDM_ALL != 0 {
        return Err(Errno::EINVAL);
    }
    map.nr_entries = 0;
    call.write(arg, &map)?;
    Ok(Outcome::OK)
}
