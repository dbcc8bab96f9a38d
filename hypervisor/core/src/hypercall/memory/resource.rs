//! Mapping a domain's special frames into its toolstack: `XENMEM_acquire_resource`.

use xen_abi::memory::{MemAcquireResource, RESOURCE_GRANT_TABLE_ID_SHARED, Resource};
use xen_abi::xen::Ulong;

use super::{CHUNK, read_array, resume};
use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypercall::{Call, HypercallResult, Outcome};
use crate::memory::DomainListener;
use crate::p2m::FlushBatch;
use crate::platform::Platform;
use crate::types::{DomId, Gfn, Gva};

/// `XENMEM_acquire_resource`.
pub(super) fn acquire<P: Platform>(call: &Call<'_, P>, start: u64, arg: Gva) -> HypercallResult {
    let mut wanted: MemAcquireResource = call.read(arg)?;
    if wanted._pad0 != 0 {
        return Err(Errno::EINVAL);
    }
    let target = call.resolve(DomId(wanted.domid))?;
    if target.id == call.domain.id || !call.domain.is_privileged_for(&target) {
        return Err(Errno::EPERM);
    }
    let size = resource_frames(&target, &wanted).ok_or(Errno::EINVAL)?;
    if wanted.frame_list.is_null() {
        if wanted.nr_frames != 0 || start != 0 {
            return Err(Errno::EINVAL);
        }
        wanted.nr_frames = size;
        call.write(arg, &wanted)?;
        return Ok(Outcome::OK);
    }
    let count = u64::from(wanted.nr_frames);
    let last = wanted.frame.checked_add(count).ok_or(Errno::EINVAL)?;
    if start > count || last > u64::from(u32::MAX) {
        return Err(Errno::EINVAL);
    }
    let listener = DomainListener::new(&call.hv.platform, call.domain.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    let mut next = start;
    while next < count {
        if next > start && call.hv.platform.preemption_pending() {
            return Ok(resume(call, next));
        }
        let mut gfns = [Ulong(0); CHUNK];
        let len = count.saturating_sub(next).min(CHUNK as u64);
        let gfns = gfns.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
        read_array(call, Gva(wanted.frame_list.0), next, gfns)?;
        for gfn in gfns.iter() {
            let frame = wanted.frame.saturating_add(next);
            let mapped = map_frame(call, &target, frame, Gfn(gfn.0), &mut batch);
            // A caller that sees EIO knows that some are mapped, and unmaps all.
            mapped.map_err(|errno| if next == 0 { errno } else { Errno::EIO })?;
            next = next.saturating_add(1);
        }
    }
    Ok(Outcome::OK)
}

/// How many frames a resource may have; `None` for those that don't exist.
fn resource_frames<P: Platform>(target: &Domain<P>, wanted: &MemAcquireResource) -> Option<u32> {
    match (wanted.ty, wanted.id) {
        (Resource::GRANT_TABLE, RESOURCE_GRANT_TABLE_ID_SHARED) => {
            Some(target.grants.max_frames()).filter(|frames| *frames > 0)
        }
        _ => None,
    }
}

/// Maps one frame of the grant table, which grows for it, into the caller's memory.
fn map_frame<P: Platform>(
    call: &Call<'_, P>,
    target: &Domain<P>,
    frame: u64,
    gfn: Gfn,
    batch: &mut FlushBatch<'_>,
) -> Result<(), Errno> {
    let frames = call.hv.frames();
    let index = u32::try_from(frame).map_err(|_| Errno::EINVAL)?;
    let frame = target.grants.frame(frames, index)?;
    Ok(call.domain.memory.map_foreign(frames, gfn, frame, batch)?)
}
