//! Growing and shrinking a domain's memory, extent by extent, and setting memory aside.

use xen_abi::memory::{ADDRESS_BITS_MASK, MemoryCmd, MemoryReservation, POPULATE_ON_DEMAND};
use xen_abi::xen::Ulong;

use super::{CHUNK, read_array, resume};
use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypercall::{Call, HypercallResult, Outcome};
use crate::memory::{DomainListener, MemoryError, PopulateRequest};
use crate::p2m::{FlushBatch, ORDER_1G, ORDER_2M};
use crate::platform::Platform;
use crate::types::{DomId, FRAME_SHIFT, Gfn, Gva, Mfn};

/// The largest extents of the hardware domain, where it isn't privileged too.
const HARDWARE_DOMAIN_ORDER: u32 = 12;
/// More extents than this can't be continued: the command has no room for their number.
const MAX_EXTENTS: u64 = (u32::MAX >> super::EXTENT_SHIFT) as u64;

/// `XENMEM_populate_physmap`, `_increase_reservation` and `_decrease_reservation`: the result is
/// how many extents are done, whatever went wrong with the next one.
pub(super) fn adjust<P: Platform>(
    call: &Call<'_, P>,
    command: MemoryCmd,
    start: u64,
    arg: Gva,
) -> HypercallResult {
    let stopped = Ok(Outcome::Done(start));
    let Ok(reservation) = call.read::<MemoryReservation>(arg) else { return stopped };
    let extents = reservation.nr_extents;
    if extents > MAX_EXTENTS || start >= extents {
        return stopped;
    }
    let Ok(target) = call.resolve_owned(DomId(reservation.domid)) else { return stopped };
    if reservation.extent_order > largest_order(call.domain) {
        return stopped;
    }
    // Memory that isn't at a guest frame is of no use to a translated domain.
    if command == MemoryCmd::INCREASE_RESERVATION {
        return stopped;
    }
    let populate = command == MemoryCmd::POPULATE_PHYSMAP;
    let Ok(below) = address_limit(reservation.mem_flags, call.hv.frames.max_mfn()) else {
        return stopped;
    };
    if populate && reservation.mem_flags & POPULATE_ON_DEMAND != 0 {
        return stopped;
    }
    let list = Gva(reservation.extent_start.0);
    let order = reservation.extent_order;
    let frames = call.hv.frames();
    let listener = DomainListener::new(&call.hv.platform, target.id);
    let mut batch = FlushBatch::new(&call.hv.frames, &listener);
    let mut gfns = Extents { list, end: extents, chunk: [Ulong(0); CHUNK], from: 0, len: 0 };
    for next in start..extents {
        if next > start && call.hv.platform.preemption_pending() {
            return Ok(resume(call, next));
        }
        if populate && order > ORDER_2M && !scrubbed(call) {
            return Ok(resume(call, next));
        }
        let Ok(gfn) = gfns.get(call, next) else { return Ok(Outcome::Done(next)) };
        let done = if populate {
            let request = PopulateRequest { gfn, order, below };
            target.memory.populate(frames, request, &mut batch).map(|_| ())
        } else {
            target.memory.decrease(frames, gfn, order, &mut batch)
        };
        if done.is_err() {
            return Ok(Outcome::Done(next));
        }
    }
    Ok(Outcome::Done(extents))
}

/// Zeroes free memory, as zeroing a gigabyte at once when it is allocated would keep others from
/// running for too long. Gives whether all is zeroed; else others should run.
fn scrubbed<P: Platform>(call: &Call<'_, P>) -> bool {
    while call.hv.frames.scrub_some(&call.hv.platform) {
        if call.hv.platform.preemption_pending() {
            return false;
        }
    }
    true
}

/// `XENMEM_claim_pages`.
pub(super) fn claim<P: Platform>(call: &Call<'_, P>, arg: Gva) -> HypercallResult {
    let claim: MemoryReservation = call.read(arg)?;
    let plain = claim.extent_start.is_null() && claim.extent_order == 0 && claim.mem_flags == 0;
    let target = call.hv.domain(DomId(claim.domid)).filter(|_| plain).ok_or(Errno::EINVAL)?;
    if !call.domain.is_privileged() {
        return Err(Errno::EPERM);
    }
    target.memory.claim(call.hv.frames(), claim.nr_extents)?;
    Ok(Outcome::OK)
}

/// The largest extents that a domain may ask for.
fn largest_order<P: Platform>(domain: &Domain<P>) -> u32 {
    if domain.is_privileged() {
        ORDER_1G
    } else if domain.config.hardware {
        HARDWARE_DOMAIN_ORDER
    } else {
        ORDER_2M
    }
}

/// The frames must lie below this one, if the flags say how wide addresses may be.
fn address_limit(mem_flags: u32, max_mfn: Mfn) -> Result<Option<Mfn>, MemoryError> {
    let bits = mem_flags & ADDRESS_BITS_MASK;
    match bits.checked_sub(FRAME_SHIFT) {
        None | Some(0) if bits != 0 => Err(MemoryError::BadAddress),
        Some(bits) => {
            let limit = 1_u64.checked_shl(bits).unwrap_or(u64::MAX);
            Ok((limit <= max_mfn.0).then_some(Mfn(limit)))
        }
        None => Ok(None),
    }
}

/// The caller's list of extents, read in chunks.
struct Extents {
    list: Gva,
    end: u64,
    chunk: [Ulong; CHUNK],
    from: u64,
    len: u64,
}

impl Extents {
    /// Extent `index`; they are asked for in ascending order.
    fn get<P: Platform>(&mut self, call: &Call<'_, P>, index: u64) -> Result<Gfn, Errno> {
        if index.wrapping_sub(self.from) >= self.len {
            let len = self.end.saturating_sub(index).min(CHUNK as u64);
            let whole = self.chunk.get_mut(..len as usize).ok_or(Errno::EFAULT)?;
            (self.from, self.len) = (index, len);
            // The list may end early, at a page that isn't there: what comes before counts.
            if read_array(call, self.list, index, whole).is_err() {
                self.len = 1;
                let one = self.chunk.get_mut(..1).ok_or(Errno::EFAULT)?;
                read_array(call, self.list, index, one).inspect_err(|_| self.len = 0)?;
            }
        }
        let at = index.wrapping_sub(self.from) as usize;
        self.chunk.get(at).map(|gfn| Gfn(gfn.0)).ok_or(Errno::EFAULT)
    }
}
