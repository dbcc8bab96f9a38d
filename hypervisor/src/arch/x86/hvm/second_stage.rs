//! Second-stage faults that a mapping can cure: the hardware domain's devices.
//!
//! The hardware domain reaches every physical address that is no RAM and no device of the
//! hypervisor's own. Which of them there are is known to its drivers only, so they are mapped
//! when they are first touched, in the largest pieces that fit.

use alloc::sync::Arc;

use hv_core::memory::DomainListener;
use hv_core::p2m::{FlushBatch, ORDER_2M, P2mKind};
use hv_core::types::{Gfn, Mfn};

use super::exit::MemoryFault;
use crate::platform::{Domain, hypervisor};

/// Whether the fault is cured, so that the guest's instruction can simply run again.
pub fn resolve(domain: &Arc<Domain>, fault: &MemoryFault) -> bool {
    let hv = hypervisor();
    let gfn = fault.gpa.gfn();
    let found = domain.memory.lookup(&hv.platform, gfn);
    if let Some(leaf) = found.leaf {
        // Another vCPU was faster, or the hardware remembered what is no longer so.
        let allowed = (!fault.write || leaf.kind.is_writable())
            && (!fault.fetch || leaf.kind.is_executable());
        return allowed && !fault.present;
    }
    domain.config.hardware && map_device(domain, gfn, found.order)
}

/// Maps the device memory around `gfn`, which lies in a hole of at least `hole_order`. `false`
/// if there is none.
fn map_device(domain: &Arc<Domain>, gfn: Gfn, hole_order: u32) -> bool {
    if gfn.0 >> (domain.arch.physical_bits - 12) != 0 {
        return false;
    }
    let hv = hypervisor();
    let frames = hv.frames();
    let listener = DomainListener::new(&hv.platform, domain.id);
    let mut batch = FlushBatch::new(&hv.frames, &listener);
    // Held until all is mapped, as what is hidden may grow meanwhile.
    let hidden = domain.arch.hidden.read();
    let mut map = |order: u32| {
        let start = gfn.0 & !((1 << order) - 1);
        // Small blocks near what is hidden; whole ones elsewhere.
        if order > hole_order || hidden.any(Gfn(start), 1 << order) {
            return false;
        }
        let (gfn, mfn) = (Gfn(start), Mfn(start));
        domain.memory.map_mmio(frames, gfn, mfn, order, P2mKind::Mmio, &mut batch).is_ok()
    };
    map(ORDER_2M) || map(0)
}
