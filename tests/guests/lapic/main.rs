//! The local APIC: its page, x2APIC mode, IPIs to itself, its timer.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::apic::{self, read, write};
use guest::clock::{Clock, MILLISECOND};
use guest::cpu::{self, read_msr, write_msr};
use guest::events::Shared;
use guest::memory::register;
use guest::{ensure, ensure_eq, interrupts, note};
use x86defs::apic::{DeliveryMode, Lvt, Register, Shorthand};
use x86defs::msr::{ApicBase, Msr};

guest::guest!("lapic", test);

const VECTOR: u8 = 0x51;
const TIMER: u8 = 0x71;

fn test() {
    let clock = Shared::map().clock();
    page();
    apic::enable();
    registers();
    self_interrupts(clock);
    timer(clock);
}

/// Before x2APIC mode, the registers are in memory.
fn page() {
    let base = ApicBase(read_msr(Msr::APIC_BASE.0).unwrap_or(0));
    ensure!(base.contains(ApicBase::ENABLE | ApicBase::BSP), "APIC_BASE is {:#x}", base.0);
    ensure_eq!(base.address(), ApicBase::DEFAULT_ADDRESS, "the page's address");
    if base.contains(ApicBase::X2APIC) {
        note!("the local APIC starts in x2APIC mode");
        return;
    }
    let at = |register: Register| base.address() + u64::from(register.0);
    ensure_eq!(register(at(Register::ID)) >> 24, 0, "id");
    let version = register(at(Register::VERSION));
    ensure!((0x10..=0x1f).contains(&(version & 0xff)), "version {version:#x}");
    let lvt = register(at(Register::LVT_TIMER));
    ensure!(Lvt(lvt).contains(Lvt::MASKED), "the timer isn't masked: {lvt:#x}");
}

fn registers() {
    ensure_eq!(apic::id(), 0, "x2APIC id");
    ensure_eq!(read(Register::LDR), 1, "x2APIC logical id");
    write(Register::TPR, 0x35);
    ensure_eq!(read(Register::TPR), 0x35, "TPR");
    write(Register::TPR, 0);
    write(Register::LVT_TIMER, u64::from(Lvt::MASKED.0 | u32::from(TIMER)));
    ensure_eq!(read(Register::LVT_TIMER), u64::from(Lvt::MASKED.0) | u64::from(TIMER), "LVT");
    for wrong in [0x800, 0x80e, 0x831, 0x8ff] {
        ensure!(read_msr(wrong).is_err(), "x2APIC MSR {wrong:#x} was read");
    }
    let read_only = write_msr(Register::ID.x2apic_msr(), 1);
    ensure!(read_only.is_err(), "the id was written");
    let read_only = write_msr(Register::TPR.x2apic_msr(), 1 << 32);
    ensure!(read_only.is_err(), "reserved bits of TPR were written");
}

fn comes(clock: Clock, vector: u8, before: u64) -> bool {
    guest::events::wait_for_vector(clock, vector, before, 5000)
}

fn self_interrupts(clock: Clock) {
    let id = apic::id();
    let fixed = DeliveryMode::FIXED;
    let ways: [(&str, &dyn Fn()); 4] = [
        ("by id", &|| apic::send(fixed, VECTOR, Shorthand::NONE, id)),
        ("by the shorthand for itself", &|| apic::send(fixed, VECTOR, Shorthand::SELF, 0)),
        ("by the shorthand for all", &|| apic::send(fixed, VECTOR, Shorthand::ALL, 0)),
        ("by the self-IPI register", &|| write(Register::SELF_IPI, u64::from(VECTOR))),
    ];
    for (way, send) in ways {
        let before = interrupts::count(VECTOR);
        send();
        ensure_eq!(interrupts::count(VECTOR), before, "interrupts while they are off, {way}");
        ensure!(pending(VECTOR), "not requested, {way}");
        ensure!(comes(clock, VECTOR, before), "no interrupt {way}");
        ensure!(!pending(VECTOR), "still requested, {way}");
        ensure_eq!(interrupts::count(VECTOR), before + 1, "interrupts {way}");
    }
    let before = interrupts::count(VECTOR);
    apic::send(fixed, VECTOR, Shorthand::OTHERS, 0);
    cpu::enable_interrupts();
    clock.spin(5 * MILLISECOND);
    cpu::disable_interrupts();
    ensure_eq!(interrupts::count(VECTOR), before, "interrupts to all others");
}

fn pending(vector: u8) -> bool {
    let register = Register(Register::IRR0.0 + u16::from(vector / 32) * 16);
    read(register) & 1 << (vector % 32) != 0
}

fn timer(clock: Clock) {
    write(Register::TIMER_DIVIDE, 0b1011);
    write(Register::LVT_TIMER, u64::from(Lvt::new(TIMER, DeliveryMode::FIXED).0));
    let before = interrupts::count(TIMER);
    let start = clock.now();
    // So long that it goes on while a busy machine stands still.
    write(Register::TIMER_INITIAL, 4_000_000_000);
    let current = read(Register::TIMER_CURRENT);
    ensure!(current > 0 && current <= 4_000_000_000, "the count is {current}");
    write(Register::TIMER_INITIAL, 50_000_000);
    ensure!(comes(clock, TIMER, before), "the timer didn't fire");
    note!("50 000 000 ticks of the local APIC timer took {} ns", clock.now() - start);
    ensure_eq!(read(Register::TIMER_CURRENT), 0, "the count after the end");
    clock.spin(100 * MILLISECOND);
    ensure_eq!(interrupts::count(TIMER), before + 1, "shots of a one-shot timer");

    let periodic = Lvt::new(TIMER, DeliveryMode::FIXED) | Lvt::TIMER_PERIODIC;
    write(Register::LVT_TIMER, u64::from(periodic.0));
    write(Register::TIMER_INITIAL, 50_000_000);
    for tick in 1..=3 {
        ensure!(comes(clock, TIMER, before + tick), "tick {tick} of the timer didn't come");
    }
    write(Register::TIMER_INITIAL, 0);
    let stopped = interrupts::count(TIMER);
    cpu::enable_interrupts();
    clock.spin(100 * MILLISECOND);
    cpu::disable_interrupts();
    ensure!(interrupts::count(TIMER) <= stopped + 1, "the stopped timer ticks on");
}
