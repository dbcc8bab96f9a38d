//! Mapping special and foreign pages at chosen guest frames, and unmapping them.

use alloc::sync::Arc;

use xen_abi::memory::{
    AddToPhysmap, AddToPhysmapBatch, MapSpace, RemoveFromPhysmap, XENMAPIDX_GRANT_TABLE_STATUS,
};
use xen_abi::xen::Ulong;

use super::{CHUNK, read_array, resume};
use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypercall::{Call, HypercallResult, Outcome};
use crate::memory::{DomainListener, MemoryError};
use crate::p2m::FlushBatch;
use crate::platform::Platform;
use crate::types::{DomId, Gfn, Gva};

/// One page to map.
struct Page<'a, P: Platform> {
    space: MapSpace,
    idx: u64,
    gfn: Gfn,
    /// Whose it is, if it is foreign.
    foreign: Option<&'a Arc<Domain<P>>>,
}

/// `XENMEM_add_to_physmap`.
pub(super) fn add<P: Platform>(call: &Call<'_, P>, start: u64, arg: Gva) -> HypercallResult {
    let add: AddToPhysmap = call.read(arg)?;
    if add.space == MapSpace::GMFN_FOREIGN {
        return Err(Errno::ENOSYS);
    }
    let target = call.resolve_owned(DomId(add.domid))?;
    let listener = DomainListener::new(&call.hv.platform, target.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    if add.space != MapSpace::GMFN_RANGE {
        let page = Page { space: add.space, idx: add.idx, gfn: Gfn(add.gpfn), foreign: None };
        map_page(call, &target, &page, &mut batch)?;
        return Ok(Outcome::OK);
    }
    let size = u64::from(add.size);
    if size < start {
        return Err(Errno::EILSEQ);
    }
    for next in start..size {
        if next > start && call.hv.platform.preemption_pending() {
            return Ok(resume(call, next));
        }
        let idx = add.idx.checked_add(next).ok_or(Errno::EINVAL)?;
        let gfn = Gfn(add.gpfn.checked_add(next).ok_or(Errno::EINVAL)?);
        let page = Page { space: MapSpace::GMFN, idx, gfn, foreign: None };
        map_page(call, &target, &page, &mut batch)?;
    }
    Ok(Outcome::OK)
}

/// `XENMEM_add_to_physmap_batch`: each page has an error of its own.
pub(super) fn add_batch<P: Platform>(call: &Call<'_, P>, start: u64, arg: Gva) -> HypercallResult {
    let add: AddToPhysmapBatch = call.read(arg)?;
    let target = call.resolve_owned(DomId(add.domid))?;
    let space = MapSpace(add.space.into());
    let foreign = match space {
        MapSpace::GMFN_FOREIGN => Some(foreign_domain(call, &target, DomId(add.foreign_domid))?),
        _ if add.foreign_domid != 0 => return Err(Errno::EOPNOTSUPP),
        _ => None,
    };
    let size = u64::from(add.size);
    if size < start {
        return Err(Errno::EILSEQ);
    }
    let listener = DomainListener::new(&call.hv.platform, target.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    let mut next = start;
    while next < size {
        if next > start && call.hv.platform.preemption_pending() {
            return Ok(resume(call, next));
        }
        let len = size.saturating_sub(next).min(CHUNK as u64);
        let (mut idxs, mut gfns) = ([Ulong(0); CHUNK], [Ulong(0); CHUNK]);
        let mut errors = [0_i32; CHUNK];
        let idxs = idxs.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
        let gfns = gfns.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
        let errors = errors.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
        read_array(call, Gva(add.idxs.0), next, idxs)?;
        read_array(call, Gva(add.gpfns.0), next, gfns)?;
        for ((idx, gfn), error) in idxs.iter().zip(gfns.iter()).zip(errors.iter_mut()) {
            let page = Page { space, idx: idx.0, gfn: Gfn(gfn.0), foreign: foreign.as_ref() };
            if let Err(errno) = map_page(call, &target, &page, &mut batch) {
                *error = errno.negated() as i32;
            }
        }
        let into = call.element::<i32>(Gva(add.errs.0), next)?;
        call.write_all(into, errors)?;
        next = next.saturating_add(len);
    }
    Ok(Outcome::OK)
}

/// `XENMEM_remove_from_physmap`.
pub(super) fn remove<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let remove: RemoveFromPhysmap = call.read(arg)?;
    let target = call.resolve_owned(DomId(remove.domid))?;
    let listener = DomainListener::new(&call.hv.platform, target.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    match target.memory.remove(call.hv.frames(), Gfn(remove.gpfn), &mut batch) {
        Err(MemoryError::NotMapped) => Err(Errno::ENOENT),
        removed => Ok(removed.map(|()| Outcome::OK)?),
    }
}

/// The domain whose frames are to be mapped, if the one that gets them may.
fn foreign_domain<P: Platform>(
    call: &Call<'_, P>,
    target: &Domain<P>,
    id: DomId,
) -> Result<Arc<Domain<P>>, Errno> {
    let foreign = call.resolve(id)?;
    if foreign.id == target.id {
        return Err(Errno::EINVAL);
    }
    if !target.is_privileged_for(&foreign) {
        return Err(Errno::EPERM);
    }
    Ok(foreign)
}

/// Maps one page.
fn map_page<P: Platform>(
    call: &Call<'_, P>,
    target: &Domain<P>,
    page: &Page<'_, P>,
    batch: &mut FlushBatch<'_>,
) -> Result<(), Errno> {
    let (frames, memory, gfn) = (call.hv.frames(), &target.memory, page.gfn);
    match page.space {
        MapSpace::SHARED_INFO if page.idx == 0 => memory.map_shared_info(frames, gfn, batch)?,
        MapSpace::GRANT_TABLE if page.idx & XENMAPIDX_GRANT_TABLE_STATUS == 0 => {
            let index = u32::try_from(page.idx).map_err(|_| Errno::EINVAL)?;
            target.grants.map_frame(frames, memory, index, gfn, batch)?;
        }
        MapSpace::GMFN => memory.move_frame(frames, Gfn(page.idx), gfn, batch)?,
        MapSpace::GMFN_FOREIGN => {
            let foreign = page.foreign.ok_or(Errno::EINVAL)?;
            let frame = foreign.memory.mappable_frame(frames, Gfn(page.idx))?;
            memory.map_foreign(frames, gfn, frame, batch)?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(())
}
