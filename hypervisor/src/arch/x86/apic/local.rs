//! The executing CPU's local APIC, in xAPIC or x2APIC mode (APM volume 2, chapter 16).
#![expect(unsafe_code, reason = "writes the APIC's MSRs")]

use core::sync::atomic::{AtomicBool, Ordering};

use hv_core::types::Hpa;
use spin::Once;
use x86_64::registers::model_specific::Msr as Access;
use x86defs::apic::{DeliveryMode, Icr, Lvt, Register, Shorthand, Svr};
use x86defs::cpuid::{Leaf1Ecx, Leaf1Edx};
use x86defs::msr::{ApicBase, Msr};

use crate::arch::x86::{cpu, interrupts};
use crate::mm::{self, Mmio, phys};

/// Divide by 1.
const TIMER_DIVIDE_BY_1: u32 = 0b1011;

static X2APIC: AtomicBool = AtomicBool::new(false);
static XAPIC: Once<Mmio> = Once::new();

/// Resets all other CPUs, which wait for [`send_startup`] then. Called first of all: firmware
/// leaves them spinning, which slows virtual machines down, in memory of its own.
///
/// Works in the mode that the boot loader left the APIC in, through the boot page tables.
pub fn reset_others() {
    if !cpu::features().leaf1_edx.contains(Leaf1Edx::APIC) {
        return;
    }
    let base = ApicBase(read_msr(Msr::APIC_BASE));
    let command = Icr::new(DeliveryMode::INIT, 0, Shorthand::OTHERS) | Icr::LEVEL;
    if base.contains(ApicBase::X2APIC) {
        write_msr(Msr(Register::ICR_LOW.x2apic_msr()), command.0.into());
    } else if base.contains(ApicBase::ENABLE) {
        let register = Hpa(base.address() + u64::from(Register::ICR_LOW.0));
        // SAFETY: the local APIC's own register; this CPU is the only one that runs our code.
        unsafe { phys::write_early(register, command.0) };
    }
}

/// Chooses the mode for all CPUs, and switches the boot CPU's APIC on. `x2apic` is the user's
/// wish.
pub fn init(x2apic: Option<bool>) {
    let offered = cpu::features().leaf1_ecx.contains(Leaf1Ecx::X2APIC);
    match x2apic {
        Some(true) if !offered => warning!("x2apic ignored: this CPU has none"),
        _ => {}
    }
    let wanted = offered && x2apic.unwrap_or(true);
    X2APIC.store(wanted, Ordering::Relaxed);
    if !wanted {
        XAPIC.call_once(|| {
            let at = Hpa(ApicBase(read_msr(Msr::APIC_BASE)).address());
            let Some(registers) = mm::map_mmio(at, 4096) else { fatal!("no memory for the APIC") };
            registers
        });
    }
    enable();
    info!("local APICs in {} mode", if wanted { "x2APIC" } else { "xAPIC" });
}

/// Switches the executing CPU's APIC on, with every local source masked.
pub fn enable() {
    let base = ApicBase(read_msr(Msr::APIC_BASE));
    if is_x2apic() {
        write_msr(Msr::APIC_BASE, (base | ApicBase::ENABLE).0);
        write_msr(Msr::APIC_BASE, (base | ApicBase::ENABLE | ApicBase::X2APIC).0);
    } else {
        if base.contains(ApicBase::X2APIC) {
            // The only way back from x2APIC mode is through "off".
            write_msr(Msr::APIC_BASE, base.difference(ApicBase::ENABLE | ApicBase::X2APIC).0);
        }
        write_msr(Msr::APIC_BASE, (base.difference(ApicBase::X2APIC) | ApicBase::ENABLE).0);
    }
    accept_all();
    for lvt in [Register::LVT_TIMER, Register::LVT_LINT0, Register::LVT_LINT1] {
        write(lvt, Lvt::MASKED.0);
    }
    let lvt_entries = read(Register::VERSION) >> 16 & 0xFF;
    if lvt_entries >= 4 {
        write(Register::LVT_PERF, Lvt::MASKED.0);
    }
    if lvt_entries >= 5 {
        write(Register::LVT_THERMAL, Lvt::MASKED.0);
    }
    write(Register::SVR, Svr::ENABLE.0 | u32::from(interrupts::SPURIOUS));
    write(Register::ESR, 0);
    write(Register::LVT_ERROR, Lvt::new(interrupts::APIC_ERROR, DeliveryMode::FIXED).0);
    // What a boot loader left in service would block the vectors below it for ever.
    for _ in 0..256 {
        if (0..8).all(|word| read(Register(Register::ISR0.0 + 0x10 * word)) == 0) {
            break;
        }
        eoi();
    }
}

/// Whether the APICs are in x2APIC mode.
pub fn is_x2apic() -> bool {
    X2APIC.load(Ordering::Relaxed)
}

/// The executing CPU's APIC id.
pub fn id() -> u32 {
    let id = read(Register::ID);
    if is_x2apic() { id } else { id >> 24 }
}

/// Ends the interrupt in service.
pub fn eoi() {
    write(Register::EOI, 0);
}

/// Lets every interrupt in, whatever its priority. It is so anyway; but the write makes the APIC
/// look again at what is pending, and raise it.
pub fn accept_all() {
    write(Register::TPR, 0);
}

/// Reads and clears the error status.
pub fn take_errors() -> u32 {
    write(Register::ESR, 0);
    read(Register::ESR)
}

/// Sends an interrupt to another CPU, or to this one.
pub fn send(apic_id: u32, vector: u8) {
    command(apic_id, Icr::new(DeliveryMode::FIXED, vector, Shorthand::NONE));
}

/// Sends an NMI to every other CPU.
pub fn send_nmi_to_others() {
    command(0, Icr::new(DeliveryMode::NMI, 0, Shorthand::OTHERS));
}

/// Sends an NMI to a CPU.
pub fn send_nmi(apic_id: u32) {
    command(apic_id, Icr::new(DeliveryMode::NMI, 0, Shorthand::NONE));
}

/// Resets a CPU, which then waits for [`send_startup`].
pub fn send_init(apic_id: u32) {
    command(apic_id, Icr::new(DeliveryMode::INIT, 0, Shorthand::NONE) | Icr::LEVEL);
    if !is_x2apic() {
        let deassert = Icr::new(DeliveryMode::INIT, 0, Shorthand::NONE).difference(Icr::ASSERT);
        command(apic_id, deassert | Icr::LEVEL);
    }
}

/// Starts a CPU in real mode at the beginning of a page below 1 MiB.
pub fn send_startup(apic_id: u32, page: u8) {
    command(apic_id, Icr::new(DeliveryMode::STARTUP, page, Shorthand::NONE));
}

fn command(apic_id: u32, command: Icr) {
    if is_x2apic() {
        // The write to an MSR of the APIC doesn't wait for earlier stores; the receiver must see
        // them.
        core::sync::atomic::fence(Ordering::SeqCst);
        let bits = u64::from(apic_id) << 32 | u64::from(command.0);
        write_msr(Msr(Register::ICR_LOW.x2apic_msr()), bits);
    } else {
        while read(Register::ICR_LOW) & Icr::PENDING.0 != 0 {
            core::hint::spin_loop();
        }
        write(Register::ICR_HIGH, apic_id << 24);
        write(Register::ICR_LOW, command.0);
    }
}

/// Makes the timer raise `vector` once, when so many ticks of the bus clock have passed; 0 stops
/// it.
pub fn start_timer(ticks: u32) {
    write(Register::TIMER_INITIAL, ticks);
}

/// What is left of the timer's ticks.
pub fn timer_ticks() -> u32 {
    read(Register::TIMER_CURRENT)
}

/// Sets the timer up to count ticks once; masked if there is no vector.
pub fn set_up_timer(vector: Option<u8>) {
    write(Register::TIMER_DIVIDE, TIMER_DIVIDE_BY_1);
    let entry = vector.map_or(Lvt::MASKED, |vector| Lvt::new(vector, DeliveryMode::FIXED));
    write(Register::LVT_TIMER, entry.0);
}

/// Sets the timer up to fire when the TSC reaches what [`set_tsc_deadline`] says.
pub fn set_up_tsc_deadline(vector: u8) {
    let entry = Lvt::new(vector, DeliveryMode::FIXED) | Lvt::TIMER_TSC_DEADLINE;
    write(Register::LVT_TIMER, entry.0);
    // The mode must have changed before the deadline is written (SDM volume 3, 12.5.4.1).
    core::sync::atomic::fence(Ordering::SeqCst);
}

/// Makes the timer fire when the TSC reaches this value; 0 stops it.
pub fn set_tsc_deadline(tsc: u64) {
    write_msr(Msr::TSC_DEADLINE, tsc);
}

fn read(register: Register) -> u32 {
    match XAPIC.get() {
        Some(registers) => registers.read_u32(register.0.into()),
        None => read_msr(Msr(register.x2apic_msr())) as u32,
    }
}

fn write(register: Register, value: u32) {
    match XAPIC.get() {
        Some(registers) => registers.write_u32(register.0.into(), value),
        None => write_msr(Msr(register.x2apic_msr()), value.into()),
    }
}

fn read_msr(msr: Msr) -> u64 {
    // SAFETY: the APIC's MSRs exist in the mode that is on; reading has no effect on memory.
    unsafe { Access::new(msr.0).read() }
}

fn write_msr(msr: Msr, value: u64) {
    // SAFETY: the APIC's MSRs exist in the mode that is on; the APIC touches no memory, and every
    // vector has a handler.
    unsafe { Access::new(msr.0).write(value) };
}
