//! The 2-level delivery interface: a bit per port in the shared info page, and a bit per word of
//! those in the vCPU's `vcpu_info`.

use core::mem::offset_of;

use xen_abi::xen::{SharedInfo, VcpuInfo};

use crate::domain::Domain;
use crate::event_channel::Pending;
use crate::platform::Platform;
use crate::types::{Mfn, Port, VcpuId};

const PENDING: usize = offset_of!(SharedInfo, evtchn_pending);
const MASK: usize = offset_of!(SharedInfo, evtchn_mask);
const SELECTOR: usize = offset_of!(VcpuInfo, evtchn_pending_sel);

/// Where a port's bit is within an array of the shared info page.
struct Bit {
    offset: usize,
    mask: u64,
    /// The bit in the selector that stands for the word.
    selector: u64,
}

impl Bit {
    fn of(port: Port) -> Self {
        let word = port.0 / u64::BITS;
        Self {
            offset: (word as usize).saturating_mul(size_of::<u64>()),
            mask: 1 << (port.0 % u64::BITS),
            selector: 1_u64.wrapping_shl(word),
        }
    }
}

/// Makes a port's event pending.
pub(super) fn set_pending<P: Platform>(
    memory: &P,
    domain: &Domain<P>,
    port: Port,
    vcpu: VcpuId,
) -> Pending {
    let bit = Bit::of(port);
    let page = domain.shared_info();
    if memory.fetch_or_u64(page, PENDING.saturating_add(bit.offset), bit.mask) & bit.mask != 0 {
        return Pending::ALREADY;
    }
    let masked = memory.load_u64(page, MASK.saturating_add(bit.offset)) & bit.mask != 0;
    Pending { fresh: true, upcall: (!masked && select(memory, domain, vcpu, &bit)).then_some(vcpu) }
}

/// Whether a port's event is pending.
pub(super) fn is_pending<P: Platform>(memory: &P, domain: &Domain<P>, port: Port) -> bool {
    let bit = Bit::of(port);
    memory.load_u64(domain.shared_info(), PENDING.saturating_add(bit.offset)) & bit.mask != 0
}

/// Whether a port is masked.
pub(super) fn is_masked<P: Platform>(memory: &P, domain: &Domain<P>, port: Port) -> bool {
    let bit = Bit::of(port);
    memory.load_u64(domain.shared_info(), MASK.saturating_add(bit.offset)) & bit.mask != 0
}

/// Takes a port's event back.
pub(super) fn clear_pending<P: Platform>(memory: &P, domain: &Domain<P>, port: Port) {
    let bit = Bit::of(port);
    memory.fetch_and_u64(domain.shared_info(), PENDING.saturating_add(bit.offset), !bit.mask);
}

/// Unmasks a port. The vCPU to make an upcall to, if its event was waiting for this.
pub(super) fn unmask<P: Platform>(
    memory: &P,
    domain: &Domain<P>,
    port: Port,
    vcpu: VcpuId,
) -> Option<VcpuId> {
    let bit = Bit::of(port);
    let page = domain.shared_info();
    let was = memory.fetch_and_u64(page, MASK.saturating_add(bit.offset), !bit.mask);
    let waited = was & bit.mask != 0 && is_pending(memory, domain, port);
    (waited && select(memory, domain, vcpu, &bit)).then_some(vcpu)
}

/// Tells the vCPU to look at the word of the port. Whether it needs an upcall for that.
fn select<P: Platform>(memory: &P, domain: &Domain<P>, vcpu: VcpuId, bit: &Bit) -> bool {
    let Some(info) = vcpu_info(domain, vcpu) else { return false };
    let (page, offset) = info;
    memory.fetch_or_u64(page, offset.saturating_add(SELECTOR), bit.selector) & bit.selector == 0
        && super::mark_upcall(memory, info)
}

fn vcpu_info<P: Platform>(domain: &Domain<P>, vcpu: VcpuId) -> Option<(Mfn, usize)> {
    domain.vcpu(vcpu)?.events.info()
}
