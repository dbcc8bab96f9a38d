//! What each CPU has of its own, found through the GS base.
#![expect(unsafe_code, reason = "finds the CPU's own data through GS")]

use alloc::vec::Vec;
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};

use hv_core::types::CpuId;
use spin::Once;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

/// A CPU's own data. It never moves and is never freed.
#[repr(C)]
pub struct PerCpu {
    /// Where the structure is itself: `gs:[0]`.
    this: AtomicPtr<PerCpu>,
    id: CpuId,
    apic_id: AtomicU32,
    state: AtomicU32,
    nmis: AtomicU64,
    /// By how many ticks its TSC is behind the boot CPU's.
    pub(super) tsc_behind: AtomicU64,
}

/// How far a CPU's start has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u32)]
pub enum State {
    /// It has not run our code yet.
    Off,
    /// It runs, and compares its TSC.
    Started,
    /// It is ready for work.
    Online,
    /// It was stopped, for good.
    Stopped,
}

/// The boot CPU's.
static BOOT_CPU: PerCpu = PerCpu::new(CpuId(0), 0);

/// All CPUs, by their numbers.
static ALL: Once<Vec<&'static PerCpu>> = Once::new();

impl PerCpu {
    /// The data of the CPU with these numbers.
    pub const fn new(id: CpuId, apic_id: u32) -> Self {
        Self {
            this: AtomicPtr::new(core::ptr::null_mut()),
            id,
            apic_id: AtomicU32::new(apic_id),
            state: AtomicU32::new(State::Off as u32),
            nmis: AtomicU64::new(0),
            tsc_behind: AtomicU64::new(0),
        }
    }

    /// The CPU's number.
    pub fn id(&self) -> CpuId {
        self.id
    }

    /// Its local APIC's id.
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(Ordering::Relaxed)
    }

    /// Whether its start has come at least this far.
    pub fn has_reached(&self, state: State) -> bool {
        self.state.load(Ordering::Acquire) >= state as u32
    }

    /// Says how far the CPU has come.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// Counts an NMI that nobody sent.
    pub(super) fn count_nmi(&self) {
        self.nmis.fetch_add(1, Ordering::Relaxed);
    }

    /// How many NMIs came that nobody sent: hardware reports its faults so.
    pub fn nmis(&self) -> u64 {
        self.nmis.load(Ordering::Relaxed)
    }

    /// Makes this the executing CPU's data.
    pub fn install(&'static self) {
        let this = &raw const *self;
        self.this.store(this.cast_mut(), Ordering::Relaxed);
        GsBase::write(VirtAddr::from_ptr(this));
    }
}

/// The boot CPU's data.
pub fn boot_cpu() -> &'static PerCpu {
    &BOOT_CPU
}

/// Notes the boot CPU's APIC id, once its APIC is on.
pub fn set_boot_apic_id(apic_id: u32) {
    BOOT_CPU.apic_id.store(apic_id, Ordering::Relaxed);
    BOOT_CPU.set_state(State::Online);
}

/// Makes the list of CPUs known, in the order of their numbers.
pub(super) fn set_all(cpus: Vec<&'static PerCpu>) {
    ALL.call_once(|| cpus);
}

/// All CPUs that run, by their numbers; none before they were started.
pub fn all() -> &'static [&'static PerCpu] {
    ALL.get().map_or(&[], |cpus| cpus)
}

/// The executing CPU's own data.
pub fn this_cpu() -> &'static PerCpu {
    let this: *const PerCpu;
    // SAFETY: reads `PerCpu::this`, where `install` pointed GS before anything else ran.
    unsafe {
        core::arch::asm!("mov {}, gs:[0]", out(reg) this,
            options(nostack, preserves_flags, readonly, pure));
    }
    // SAFETY: `install` stored the address of a `'static` value.
    unsafe { &*this }
}
