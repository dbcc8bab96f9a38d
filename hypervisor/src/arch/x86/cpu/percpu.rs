//! What each CPU has of its own, found through the GS base.
#![expect(unsafe_code, reason = "finds the CPU's own data through GS")]

use core::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use hv_core::types::CpuId;
use x86_64::VirtAddr;
use x86_64::registers::model_specific::GsBase;

/// A CPU's own data. It never moves and is never freed.
#[repr(C)]
pub struct PerCpu {
    /// Where the structure is itself: `gs:[0]`.
    this: AtomicPtr<PerCpu>,
    id: CpuId,
    apic_id: AtomicU32,
}

/// The boot CPU's.
static BOOT_CPU: PerCpu = PerCpu::new(CpuId(0), 0);

impl PerCpu {
    /// The data of the CPU with these numbers.
    pub const fn new(id: CpuId, apic_id: u32) -> Self {
        Self { this: AtomicPtr::new(core::ptr::null_mut()), id, apic_id: AtomicU32::new(apic_id) }
    }

    /// The CPU's number.
    pub fn id(&self) -> CpuId {
        self.id
    }

    /// Its local APIC's id.
    pub fn apic_id(&self) -> u32 {
        self.apic_id.load(Ordering::Relaxed)
    }

    /// Makes this the executing CPU's data.
    pub fn install(&'static self) {
        let this = &raw const *self;
        self.this.store(this.cast_mut(), Ordering::Relaxed);
        GsBase::write(VirtAddr::from_ptr(this));
    }
}

/// Makes `BOOT_CPU` the executing CPU's data.
pub fn install_boot_cpu() {
    BOOT_CPU.install();
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
