//! The local APIC of the executing CPU: end of interrupt, IPIs, timer.
//!
//! All CPUs use the same access mode, chosen once: x2APIC (MSRs) or xAPIC (a page of registers).
#![expect(unsafe_code, reason = "the APIC's registers are MSRs or device memory")]

use core::sync::atomic::{AtomicPtr, Ordering};

use x86defs::apic::{DeliveryMode, Icr, Lvt, Register, Shorthand, Svr};

use crate::arch::x86::msr;

const APIC_BASE: u32 = 0x1b;
const BASE_ENABLE: u64 = 1 << 11;
const BASE_X2APIC: u64 = 1 << 10;
const TSC_DEADLINE: u32 = 0x6e0;
/// Timer divider 1.
const DIVIDE_BY_1: u32 = 0b1011;

/// The register page in xAPIC mode; null in x2APIC mode.
static PAGE: AtomicPtr<u32> = AtomicPtr::new(core::ptr::null_mut());

/// Chooses the access mode for all CPUs: xAPIC through `page`, or x2APIC if there is none.
/// Called once, before any CPU calls [`init`].
///
/// # Safety
/// `page` must be the mapping of the local APIC's register page, uncached, for good.
pub unsafe fn set_mode(page: Option<*mut u32>) {
    PAGE.store(page.unwrap_or(core::ptr::null_mut()), Ordering::Release);
}

/// Whether the CPUs' APICs are in x2APIC mode.
pub fn is_x2apic() -> bool {
    PAGE.load(Ordering::Relaxed).is_null()
}

fn read(register: Register) -> u32 {
    let page = PAGE.load(Ordering::Relaxed);
    if page.is_null() {
        return msr::read(register.x2apic_msr()) as u32;
    }
    // SAFETY: `set_mode`'s caller vouched for the page, and every register lies in it.
    unsafe { page.byte_add(usize::from(register.0)).read_volatile() }
}

fn write(register: Register, value: u32) {
    let page = PAGE.load(Ordering::Relaxed);
    if page.is_null() {
        // SAFETY: an APIC register; it changes nothing that compiled code relies on.
        unsafe { msr::write(register.x2apic_msr(), u64::from(value)) };
        return;
    }
    // SAFETY: `set_mode`'s caller vouched for the page, and every register lies in it.
    unsafe { page.byte_add(usize::from(register.0)).write_volatile(value) };
}

/// Turns the executing CPU's APIC on, everything masked, with these vectors for errors and
/// spurious interrupts.
pub fn init(error_vector: u8, spurious_vector: u8) {
    let mode = if is_x2apic() { BASE_X2APIC } else { 0 };
    let base = msr::read(APIC_BASE) | BASE_ENABLE;
    // SAFETY: enabling the APIC changes nothing that compiled code relies on. Through xAPIC mode
    // into x2APIC mode is the one way that the manual allows.
    unsafe { msr::write(APIC_BASE, base) };
    // SAFETY: as above.
    unsafe { msr::write(APIC_BASE, base | mode) };
    for lvt in [Register::LVT_TIMER, Register::LVT_LINT0, Register::LVT_LINT1] {
        write(lvt, Lvt::MASKED.0);
    }
    write(Register::TPR, 0);
    write(Register::SVR, Svr::ENABLE.0 | u32::from(spurious_vector));
    write(Register::LVT_ERROR, Lvt::new(error_vector, DeliveryMode::FIXED).0);
}

/// The executing CPU's APIC id.
pub fn id() -> u32 {
    let id = read(Register::ID);
    if is_x2apic() { id } else { id >> 24 }
}

/// Ends the interrupt that is being served.
pub fn end_of_interrupt() {
    write(Register::EOI, 0);
}

/// Takes the errors that the APIC noted since the last call.
pub fn take_errors() -> u32 {
    write(Register::ESR, 0);
    read(Register::ESR)
}

fn command(destination: u32, icr: Icr) {
    if is_x2apic() {
        let value = u64::from(destination) << 32 | u64::from(icr.0);
        // SAFETY: sends an interrupt; those that this hypervisor sends have handlers.
        unsafe { msr::write(Register::ICR_LOW.x2apic_msr(), value) };
        return;
    }
    while read(Register::ICR_LOW) & Icr::PENDING.0 != 0 {
        core::hint::spin_loop();
    }
    write(Register::ICR_HIGH, destination << 24);
    write(Register::ICR_LOW, icr.0);
}

/// Interrupts the CPU with this APIC id.
pub fn send(destination: u32, vector: u8) {
    command(destination, Icr::new(DeliveryMode::FIXED, vector, Shorthand::NONE));
}

/// Sends an NMI to all other CPUs.
pub fn send_nmi_to_others() {
    command(0, Icr::new(DeliveryMode::NMI, 0, Shorthand::OTHERS));
}

/// Resets a CPU, which then waits for [`send_start_up`].
pub fn send_init(destination: u32) {
    command(destination, Icr::new(DeliveryMode::INIT, 0, Shorthand::NONE));
}

/// Starts a CPU in real mode at `page << 12`.
pub fn send_start_up(destination: u32, page: u8) {
    command(destination, Icr::new(DeliveryMode::STARTUP, page, Shorthand::NONE));
}

/// How the timer is programmed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimerMode {
    /// A count of its own input clock, divided by 1.
    Count,
    /// A value of the TSC.
    TscDeadline,
}

/// Prepares the executing CPU's timer to raise `vector`.
pub fn init_timer(mode: TimerMode, vector: u8) {
    let entry = Lvt::new(vector, DeliveryMode::FIXED).0;
    match mode {
        TimerMode::Count => {
            write(Register::TIMER_DIVIDE, DIVIDE_BY_1);
            write(Register::LVT_TIMER, entry);
        }
        TimerMode::TscDeadline => write(Register::LVT_TIMER, entry | Lvt::TIMER_TSC_DEADLINE.0),
    }
}

/// Fires the timer once after `count` ticks of its clock; 0 stops it.
pub fn set_timer_count(count: u32) {
    write(Register::TIMER_INITIAL, count);
}

/// The ticks that are left.
pub fn timer_count() -> u32 {
    read(Register::TIMER_CURRENT)
}

/// Fires the timer once when the TSC reaches this value; 0 stops it.
pub fn set_timer_deadline(tsc: u64) {
    // SAFETY: arms a timer whose vector has a handler.
    unsafe { msr::write(TSC_DEADLINE, tsc) };
}
