//! The CPU that runs no guests, where QEMU's emulator makes one necessary.
//!
//! QEMU's TCG (seen in 10.0) keeps in one word of each CPU, `hflags2`, whether interrupts are let
//! in (GIF) and whether nested paging is on. CLGI, STGI, VMRUN and #VMEXIT change it. So do
//! FXRSTOR, XRSTOR and FLDENV: they clear another bit (`cpu_clear_ignne`) in the word of the
//! *first* CPU, whichever executes them, and without a lock. What the first CPU changes at that
//! moment is undone: a guest then goes on without nested paging, the hypervisor with it, or
//! interrupts stay out. A guest's FXRSTOR doesn't exit, so what is left is to let nothing change
//! on the first CPU: it serves interrupts, and the others run the guests.

use hv_core::types::CpuId;

use super::features::features;
use super::percpu;

/// The CPU that must not run guests, if there is one.
pub fn spare() -> Option<CpuId> {
    (features().tcg && percpu::all().len() > 1).then(|| percpu::boot_cpu().id())
}
