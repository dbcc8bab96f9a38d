//! What the portable policy asks of the machine: memory, clock, inter-processor kicks, the
//! console. The binary implements these once; tests implement them over a `Vec`.

use alloc::sync::Arc;

use xen_abi::errno::Errno;
use xen_abi::sched::ShutdownReason;
use xen_abi::xen::Hypercall;

use crate::hypervisor::Hypervisor;
use crate::p2m::Leaf;
use crate::time::clock::TscClock;
use crate::types::{CpuId, DomId, Gfn, Mfn, Nanos, VcpuId};
use crate::vcpu::Vcpu;

/// Access to machine frames that a guest may be writing at the same time.
///
/// Nothing here hands out a reference: bytes are copied, words are atomic. Offsets are bytes
/// within the frame, aligned to the access; an access never crosses the frame's end. The
/// implementation asserts both, as a wrong one is the hypervisor's own mistake.
pub trait FrameMemory {
    /// Copies `into.len()` bytes out of the frame.
    fn read(&self, mfn: Mfn, offset: usize, into: &mut [u8]);
    /// Copies `from` into the frame.
    fn write(&self, mfn: Mfn, offset: usize, from: &[u8]);
    /// Fills the whole frame with zeroes.
    fn zero(&self, mfn: Mfn);
    /// Copies bytes from one frame to another (or within one, without overlap).
    fn copy(&self, from: (Mfn, usize), to: (Mfn, usize), len: usize);

    /// Reads a byte, with acquire ordering.
    fn load_u8(&self, mfn: Mfn, offset: usize) -> u8;
    /// Reads a 32-bit word, with acquire ordering.
    fn load_u32(&self, mfn: Mfn, offset: usize) -> u32;
    /// Reads a 64-bit word, with acquire ordering.
    fn load_u64(&self, mfn: Mfn, offset: usize) -> u64;
    /// Writes a byte, with release ordering.
    fn store_u8(&self, mfn: Mfn, offset: usize, value: u8);
    /// Writes a 32-bit word, with release ordering.
    fn store_u32(&self, mfn: Mfn, offset: usize, value: u32);
    /// Writes a 64-bit word, with release ordering.
    fn store_u64(&self, mfn: Mfn, offset: usize, value: u64);
    /// Swaps a byte in, and gives the old one.
    fn swap_u8(&self, mfn: Mfn, offset: usize, value: u8) -> u8;
    /// Ors `bits` in, and gives the old word.
    fn fetch_or_u64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64;
    /// Ands `bits` in, and gives the old word.
    fn fetch_and_u64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64;
    /// Ors `bits` in, and gives the old word.
    fn fetch_or_u32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32;
    /// Ands `bits` in, and gives the old word.
    fn fetch_and_u32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32;
    /// Replaces `old` by `new`. `Err` holds what was there instead.
    fn cas_u16(&self, mfn: Mfn, offset: usize, old: u16, new: u16) -> Result<u16, u16>;
    /// Replaces `old` by `new`. `Err` holds what was there instead.
    fn cas_u32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32>;
    /// Replaces `old` by `new`. `Err` holds what was there instead.
    fn cas_u64(&self, mfn: Mfn, offset: usize, old: u64, new: u64) -> Result<u64, u64>;
}

/// A hypercall that was refused.
#[derive(Clone, Copy, Debug)]
pub struct Refusal {
    /// The caller's domain.
    pub domain: DomId,
    /// The calling vCPU.
    pub vcpu: VcpuId,
    /// Which hypercall.
    pub call: Hypercall,
    /// Its first argument: of most, what they are to do.
    pub command: u64,
    /// What the caller was told.
    pub errno: Errno,
}

/// The machine as policy sees it. One value of the implementing type exists.
pub trait Platform: FrameMemory + Send + Sync + Sized + 'static {
    /// The architecture's part of a domain (virtual IO-APICs, port bitmap, ...).
    type DomainArch: Send + Sync;
    /// The architecture's part of a vCPU (control block, virtual local APIC, ...).
    type VcpuArch: Send + Sync;

    /// The names of the reasons for which a vCPU leaves guest mode, as counters show them
    /// (`npf`, `hlt`, ...).
    const EXIT_REASONS: &'static [&'static str];

    /// System time: monotonic, the same on every pCPU.
    fn now(&self) -> Nanos;
    /// How system time comes from the TSC: [`Self::now`] goes by it. It never changes.
    fn clock(&self) -> TscClock;
    /// The pCPU that executes this call.
    fn this_cpu(&self) -> CpuId;
    /// How many pCPUs are online; their ids are dense from 0.
    fn cpu_count(&self) -> u32;
    /// Makes `cpu` leave guest mode or its idle sleep soon and look at its scheduler again.
    fn kick(&self, cpu: CpuId);
    /// Programs this pCPU's one-shot timer; `None` stops it.
    fn set_deadline(&self, deadline: Option<Nanos>);
    /// Makes the edge-triggered `vector` pending in a vCPU's local APIC. The caller wakes the
    /// vCPU; this only records.
    fn inject(&self, domain: DomId, vcpu: VcpuId, arch: &Self::VcpuArch, vector: u8);
    /// Whether an interrupt, of the local APIC or the domain's event callback, waits that the
    /// vCPU would take at once if it ran.
    fn has_interrupt(&self, vcpu: &Vcpu<Self>) -> bool;
    /// One of the architecture's timers of a vCPU has expired
    /// ([`TimerKind::Arch`](crate::timer::TimerKind::Arch)).
    fn timer_expired(&self, hv: &Hypervisor<Self>, vcpu: &Arc<Vcpu<Self>>, timer: u8);
    /// Returns once no pCPU can use a translation of this domain's second stage that was cached
    /// before the call. `domain` is the domain's number.
    fn flush_second_stage(&self, domain: DomId);
    /// Guest frames `[gfn, gfn + (1 << order))` of a domain are mapped to `leaf` now, or to
    /// nothing. The domain's memory is locked. Where an IOMMU is in use, its tables follow here,
    /// and [`Self::flush_second_stage`] is for devices too.
    fn second_stage_changed(&self, domain: DomId, gfn: Gfn, order: u32, leaf: Option<Leaf>) {
        let _ = (domain, gfn, order, leaf);
    }
    /// Whether the pCPU has work that should interrupt a long operation (a pending interrupt,
    /// an expired slice).
    fn preemption_pending(&self) -> bool;
    /// Writes a domain's console output to the hypervisor's consoles, unbuffered.
    fn console_write(&self, from: DomId, bytes: &[u8]);
    /// Takes console input that is meant for the domain with input focus. Gives its length.
    fn console_read(&self, into: &mut [u8]) -> usize;
    /// A guest's hypercall was refused; what people may want to know of it goes to the log, if
    /// there isn't too much of it.
    fn log_refusal(&self, refusal: &Refusal) {
        let _ = refusal;
    }
    /// Writes to the hypervisor's log that a domain broke its own state, and how.
    fn log_domain_crash(&self, domain: DomId, why: &str);
    /// The hardware domain has shut down: switches the machine off, restarts it, whatever the
    /// reason and the command line ask for. May return, with that to happen soon.
    fn machine_shutdown(&self, reason: ShutdownReason);
}
