//! The time-stamp counter, and whether all CPUs' agree.
#![expect(unsafe_code, reason = "reads the TSC")]

use core::arch::x86_64::{_mm_lfence, _rdtsc};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How often the two CPUs read their TSCs in turn in a check.
const ROUNDS: u32 = 64;

/// The executing CPU's TSC; neither earlier nor later instructions change places with it.
pub fn read() -> u64 {
    // SAFETY: every x86-64 CPU has LFENCE.
    unsafe { _mm_lfence() };
    // SAFETY: every x86-64 CPU has a TSC, and the hypervisor runs where it may be read.
    unsafe { _rdtsc() }
}

/// The last value that either CPU read, while a check runs. Odd turns are the boot CPU's.
static LAST: AtomicU64 = AtomicU64::new(0);
static TURN: AtomicU64 = AtomicU64::new(0);
static ONGOING: AtomicBool = AtomicBool::new(false);

/// One side of a check: the CPUs read their TSCs in turn, and none may see it go backwards.
/// Gives by how much it did at worst.
fn side(parity: u64) -> u64 {
    let mut worst = 0;
    for round in 0..u64::from(ROUNDS) {
        let turn = 2 * round + parity;
        while TURN.load(Ordering::Acquire) != turn {
            core::hint::spin_loop();
        }
        let now = read();
        worst = worst.max(LAST.load(Ordering::Relaxed).saturating_sub(now));
        LAST.store(now, Ordering::Relaxed);
        TURN.store(turn + 1, Ordering::Release);
    }
    worst
}

/// Compares this CPU's TSC with the boot CPU's, which runs [`serve_check`]. Gives by how many
/// ticks this one is behind.
pub fn check_against_boot_cpu() -> u64 {
    while !ONGOING.load(Ordering::Acquire) {
        core::hint::spin_loop();
    }
    side(1)
}

/// The boot CPU's side. Gives by how many ticks the boot CPU is behind the other one.
pub fn serve_check() -> u64 {
    LAST.store(0, Ordering::Relaxed);
    TURN.store(0, Ordering::Relaxed);
    ONGOING.store(true, Ordering::Release);
    let worst = side(0);
    // The other CPU's last turn.
    while TURN.load(Ordering::Acquire) != u64::from(ROUNDS) * 2 {
        core::hint::spin_loop();
    }
    ONGOING.store(false, Ordering::Relaxed);
    worst
}
