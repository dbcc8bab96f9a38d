//! The time-stamp counter, and whether all CPUs' agree.
#![expect(unsafe_code, reason = "reads the TSC")]

use core::arch::x86_64::{_mm_lfence, _rdtsc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often the other CPU reads its TSC in a check, while the boot CPU does so all the time.
const ROUNDS: u32 = 64;

/// The executing CPU's TSC; neither earlier nor later instructions change places with it.
pub fn read() -> u64 {
    // SAFETY: every x86-64 CPU has LFENCE.
    unsafe { _mm_lfence() };
    // SAFETY: every x86-64 CPU has a TSC, and the hypervisor runs where it may be read.
    unsafe { _rdtsc() }
}

/// The highest value that either CPU has read in a check.
static HIGHEST: AtomicU64 = AtomicU64::new(0);
static ONGOING: AtomicBool = AtomicBool::new(false);

/// Reads the TSC, after having seen what was read so far. Gives by how much it is less.
///
/// Neither CPU waits for the other between readings: virtual CPUs may not run at the same time.
fn step() -> u64 {
    let before = HIGHEST.load(Ordering::Acquire);
    let now = read();
    HIGHEST.fetch_max(now, Ordering::AcqRel);
    before.saturating_sub(now)
}

/// Compares this CPU's TSC with the boot CPU's, which runs [`serve_check`]. Gives by how many
/// ticks this one is behind, at least.
pub fn check_against_boot_cpu() -> u64 {
    while !ONGOING.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
    let behind = (0..ROUNDS).map(|_| step()).max();
    ONGOING.store(false, Ordering::Release);
    behind.unwrap_or(0)
}

/// The boot CPU's side. Gives by how many ticks the boot CPU is behind the other one, at least.
pub fn serve_check() -> u64 {
    HIGHEST.store(0, Ordering::Relaxed);
    ONGOING.store(true, Ordering::Release);
    let mut behind = 0;
    while ONGOING.load(Ordering::Acquire) {
        behind = behind.max(step());
    }
    behind
}
