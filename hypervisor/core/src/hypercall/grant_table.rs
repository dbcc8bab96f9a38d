//! `grant_table_op`: granting access to frames, and using it (public header `grant_table.h`).
//!
//! Each command but the queries takes an array. A chunk of it is copied in, worked on and copied
//! out at once; between chunks the command may stop, and is then executed again with the array
//! and the count advanced.

#[cfg(test)]
mod tests;

use alloc::sync::Arc;

use xen_abi::Argument;
use xen_abi::grant_table::{
    COPY_DEST_GREF, COPY_SOURCE_GREF, CopyPtr, GetVersion, GrantCopy, GrantStatus, GrantTableCmd,
    MapGrantRef, QuerySize, SetVersion, SetupTable, SwapGrantRef, UnmapGrantRef,
};
use xen_abi::xen::Ulong;

use super::{Call, HypercallResult, Outcome};
use crate::domain::Domain;
use crate::errno::Errno;
use crate::grant_table::{
    CopyEnd, CopyPage, GrantResult, GrantTable, MapRequest, Party, UnmapRequest, Unmapped,
};
use crate::memory::DomainListener;
use crate::p2m::{FlushBatch, HostFormat};
use crate::platform::Platform;
use crate::types::{DomId, Gfn, Gpa, GrantRef, Gva, Hpa};

/// How many elements of the array are worked on at once, with one flush.
const CHUNK: usize = 16;

/// `grant_table_op(cmd, args, count)`.
pub fn grant_table_op<P: Platform>(call: &Call<'_, P>) -> HypercallResult {
    let [command, args, count, ..] = call.args;
    let (args, count) = (Gva(args), count as u32);
    if count.cast_signed() < 0 {
        return Err(Errno::EINVAL);
    }
    match GrantTableCmd(command as u32) {
        GrantTableCmd::MAP_GRANT_REF => map(call, args, count),
        GrantTableCmd::UNMAP_GRANT_REF => unmap(call, args, count),
        GrantTableCmd::COPY => copy(call, args, count),
        GrantTableCmd::SWAP_GRANT_REF => each(call, args, count, |ops: &mut [SwapGrantRef]| {
            for op in ops {
                let (a, b) = (GrantRef(op.ref_a), GrantRef(op.ref_b));
                op.status = status(call.domain.grants.swap(&call.hv.platform, a, b));
            }
            Ok(())
        }),
        GrantTableCmd::SETUP_TABLE => setup_table(call, args, count),
        GrantTableCmd::QUERY_SIZE => query_size(call, args, count),
        GrantTableCmd::SET_VERSION => set_version(call, args),
        GrantTableCmd::GET_VERSION => get_version(call, args),
        _ => Err(Errno::ENOSYS),
    }
}

/// Works through the caller's array in chunks.
fn each<P: Platform, T>(
    call: &Call<'_, P>,
    args: Gva,
    count: u32,
    mut work: impl FnMut(&mut [T]) -> Result<(), Errno>,
) -> HypercallResult
where
    T: Argument + Copy,
{
    let mut ops = [T::new_zeroed(); CHUNK];
    let mut done = 0;
    while done < u64::from(count) {
        let here = call.element::<T>(args, done)?;
        let left = u64::from(count).saturating_sub(done);
        if done > 0 && call.hv.platform.preemption_pending() {
            let [command, _, _, rest @ ..] = call.args;
            let [a, b, c] = rest;
            return Ok(Outcome::Continue([command, here.0, left, a, b, c]));
        }
        let len = left.min(CHUNK as u64);
        let ops = ops.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
        call.read_all(here, ops)?;
        work(ops)?;
        call.write_all(here, ops)?;
        done = done.saturating_add(len);
    }
    Ok(Outcome::OK)
}

fn map<P: Platform>(call: &Call<'_, P>, args: Gva, count: u32) -> HypercallResult {
    let listener = DomainListener::new(&call.hv.platform, call.domain.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    let mut domains = Domains::new();
    each(call, args, count, |ops: &mut [MapGrantRef]| {
        for op in ops {
            let request = MapRequest {
                host_addr: Gpa(op.host_addr),
                flags: op.flags,
                gref: GrantRef(op.gref),
            };
            let granter = domains.find(call, DomId(op.dom)).map(party);
            let own = party(call.domain);
            match own.map_grant(call.hv.frames(), granter, &request, &mut batch) {
                Ok(mapped) => {
                    op.status = GrantStatus::OKAY;
                    op.handle = mapped.handle;
                    op.dev_bus_addr = mapped.device_address.0;
                }
                Err(status) => op.status = status,
            }
        }
        Ok(())
    })
}

fn unmap<P: Platform>(call: &Call<'_, P>, args: Gva, count: u32) -> HypercallResult {
    let listener = DomainListener::new(&call.hv.platform, call.domain.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    let mut domains = Domains::new();
    let frames = call.hv.frames();
    each(call, args, count, |ops: &mut [UnmapGrantRef]| {
        let mut begun: [Option<Unmapped>; CHUNK] = [const { None }; CHUNK];
        for (op, begun) in ops.iter_mut().zip(&mut begun) {
            let request = UnmapRequest {
                host_addr: Gpa(op.host_addr),
                device_address: Hpa(op.dev_bus_addr),
                handle: op.handle,
            };
            let unmapped = party(call.domain).begin_unmap(frames, &request, &mut batch);
            op.status = status(unmapped.map(|unmapped| *begun = unmapped));
        }
        batch.commit();
        for unmapped in begun.into_iter().flatten() {
            let granter = domains.find(call, unmapped.granter());
            let granter = granter.map(|granter| &granter.grants);
            call.domain.grants.finish_unmap(frames, granter, unmapped);
        }
        Ok(())
    })
}

fn copy<P: Platform>(call: &Call<'_, P>, args: Gva, count: u32) -> HypercallResult {
    let (mut from, mut to) = (Domains::new(), Domains::new());
    each(call, args, count, |ops: &mut [GrantCopy]| {
        for op in ops {
            let source = copy_end(call, &mut from, &op.source, op.flags & COPY_SOURCE_GREF != 0);
            let dest = copy_end(call, &mut to, &op.dest, op.flags & COPY_DEST_GREF != 0);
            op.status = status(source.and_then(|source| {
                party(call.domain).copy_grant(call.hv.frames(), &source, &dest?, op.len)
            }));
        }
        Ok(())
    })
}

/// One end of a copy: a domain's entry, or a frame of the caller's.
fn copy_end<'a, P: Platform>(
    call: &'a Call<'_, P>,
    domains: &'a mut Domains<P>,
    end: &CopyPtr,
    is_gref: bool,
) -> GrantResult<CopyEnd<'a, HostFormat>> {
    let domid = DomId(end.domid);
    let page = if is_gref {
        let domid = if domid == DomId::SELF { call.domain.id } else { domid };
        let granter = domains.find(call, domid).ok_or(GrantStatus::BAD_DOMAIN)?;
        CopyPage::Granted(party(granter), GrantRef(end.u as u32))
    } else if domid == DomId::SELF {
        CopyPage::Own(Gfn(end.u))
    } else {
        return Err(GrantStatus::PERMISSION_DENIED);
    };
    Ok(CopyEnd { page, offset: end.offset })
}

fn setup_table<P: Platform>(call: &Call<'_, P>, args: Gva, count: u32) -> HypercallResult {
    if count != 1 {
        return Err(Errno::EINVAL);
    }
    let mut op: SetupTable = call.read(args)?;
    let grown = owned_table(call, op.dom).and_then(|domain| {
        let grown = domain.grants.grow_to(call.hv.frames(), op.nr_frames);
        grown.map(|()| domain).map_err(|_| GrantStatus::GENERAL_ERROR)
    });
    if let Ok(domain) = &grown {
        for index in 0..op.nr_frames {
            let gfn = domain.grants.frame_gfn(index).map_or(u64::MAX, |gfn| gfn.0);
            let into = call.element::<Ulong>(Gva(op.frame_list.0), index.into())?;
            call.write(into, &Ulong(gfn))?;
        }
    }
    op.status = status(grown.map(|_| ()));
    call.write(args, &op)?;
    Ok(Outcome::OK)
}

fn query_size<P: Platform>(call: &Call<'_, P>, args: Gva, count: u32) -> HypercallResult {
    if count != 1 {
        return Err(Errno::EINVAL);
    }
    let mut op: QuerySize = call.read(args)?;
    op.status = status(owned_table(call, op.dom).map(|domain| {
        op.nr_frames = domain.grants.frames();
        op.max_nr_frames = domain.grants.max_frames();
    }));
    call.write(args, &op)?;
    Ok(Outcome::OK)
}

/// The version can't be changed; whatever is asked for, the caller learns which it is.
fn set_version<P: Platform>(call: &Call<'_, P>, args: Gva) -> HypercallResult {
    let mut op: SetVersion = call.read(args)?;
    let result = match op.version {
        GrantTable::VERSION => Ok(Outcome::OK),
        2 => Err(Errno::ENOSYS),
        _ => Err(Errno::EINVAL),
    };
    op.version = GrantTable::VERSION;
    call.write(args, &op)?;
    result
}

fn get_version<P: Platform>(call: &Call<'_, P>, args: Gva) -> HypercallResult {
    let mut op: GetVersion = call.read(args)?;
    call.resolve_owned(DomId(op.dom))?;
    op.version = GrantTable::VERSION;
    call.write(args, &op)?;
    Ok(Outcome::OK)
}

/// The domain whose table the caller wants to know or set up.
fn owned_table<P: Platform>(call: &Call<'_, P>, dom: u16) -> GrantResult<Arc<Domain<P>>> {
    call.resolve_owned(DomId(dom)).map_err(|errno| match errno {
        Errno::ESRCH => GrantStatus::BAD_DOMAIN,
        _ => GrantStatus::PERMISSION_DENIED,
    })
}

/// A domain as the grant table's operations see it.
fn party<P: Platform>(domain: &Arc<Domain<P>>) -> Party<'_> {
    Party { memory: &domain.memory, grants: &domain.grants }
}

fn status(result: GrantResult<()>) -> GrantStatus {
    result.err().unwrap_or(GrantStatus::OKAY)
}

/// The domain that was looked up last: most arrays name only one.
struct Domains<P: Platform> {
    last: Option<(DomId, Option<Arc<Domain<P>>>)>,
}

impl<P: Platform> Domains<P> {
    const fn new() -> Self {
        Self { last: None }
    }

    fn find(&mut self, call: &Call<'_, P>, id: DomId) -> Option<&Arc<Domain<P>>> {
        if self.last.as_ref().is_none_or(|(last, _)| *last != id) {
            self.last = Some((id, call.hv.domain(id)));
        }
        self.last.as_ref()?.1.as_ref()
    }
}
