//! Restarting the machine, and switching it off.
#![expect(unsafe_code, reason = "claims the ports that reset the machine")]

use hv_core::types::Hpa;
use hv_loader::acpi::{AddressSpace, Fadt, Register};
use spin::Once;
use x86_64::instructions::tables::lidt;
use x86_64::structures::DescriptorTablePointer;
use x86defs::pic::{I8042_COMMAND, I8042_RESET, RESET_CONTROL, RESET_FULL};

use super::cpu;
use super::port::Ports;
use super::time;
use crate::drivers::acpi;
use crate::mm::{self, Mmio};

/// How long each way has to work.
const PATIENCE_NANOS: u64 = 100_000_000;

/// The reset register, where it is in memory: mapped in time, as a panic can't wait for locks.
static IN_MEMORY: Once<Mmio> = Once::new();

/// Prepares for [`reboot`].
pub fn init(fadt: &Fadt) {
    let Some((register, _)) = fadt.reset else { return };
    if register.space == AddressSpace::MEMORY
        && let Some(mmio) = mm::map_mmio(Hpa(register.address), 1)
    {
        IN_MEMORY.call_once(|| mmio);
    }
}

/// Restarts the machine: by ACPI's reset register, else the chipset's, else the keyboard
/// controller's, else by a triple fault. All other CPUs are stopped first.
pub fn reboot() -> ! {
    cpu::stop_others();
    if let Some((register, value)) = acpi::machine_if_known().and_then(|machine| machine.fadt.reset)
    {
        write(register, value);
        time::delay(PATIENCE_NANOS);
    }
    // SAFETY: the chipset's reset control; resetting is what is wanted.
    let chipset = unsafe { Ports::new(RESET_CONTROL) };
    chipset.write_u8(0, 0x02);
    chipset.write_u8(0, RESET_FULL);
    time::delay(PATIENCE_NANOS);
    // SAFETY: the keyboard controller, which can pulse the reset line.
    let keyboard = unsafe { Ports::new(I8042_COMMAND) };
    keyboard.write_u8(0, I8042_RESET);
    time::delay(PATIENCE_NANOS);
    let nothing = DescriptorTablePointer { limit: 0, base: x86_64::VirtAddr::zero() };
    // SAFETY: without vectors the next exception resets the CPU, which is what is wanted.
    unsafe { lidt(&nothing) };
    x86_64::instructions::interrupts::int3();
    cpu::stop()
}

/// Writes a byte to a register that firmware describes.
fn write(register: Register, value: u8) {
    match register.space {
        AddressSpace::IO => {
            let Ok(port) = u16::try_from(register.address) else { return };
            // SAFETY: the firmware says that this port resets the machine.
            unsafe { Ports::new(port) }.write_u8(0, value);
        }
        AddressSpace::MEMORY => {
            if let Some(mmio) = IN_MEMORY.get() {
                mmio.write_u8(0, value);
            }
        }
        _ => {}
    }
}

/// Enters a sleep state by the PM1 control registers: 5 with its type switches the machine off.
/// Returns if the machine doesn't obey.
pub fn sleep(fadt: &Fadt, sleep_type: hv_loader::acpi::SleepType) {
    const SLEEP_TYPE_SHIFT: u32 = 10;
    const SLEEP_TYPE_MASK: u16 = 7 << SLEEP_TYPE_SHIFT;
    const SLEEP_ENABLE: u16 = 1 << 13;
    let registers = [(fadt.pm1a_control, sleep_type.a), (fadt.pm1b_control, sleep_type.b)];
    for (register, kind) in registers {
        let Some(register) = register.filter(|register| register.space == AddressSpace::IO) else {
            continue;
        };
        let Ok(port) = u16::try_from(register.address) else { continue };
        // SAFETY: the firmware says that this is a PM1 control register.
        let port = unsafe { Ports::new(port) };
        let rest = port.read_u16(0) & !(SLEEP_TYPE_MASK | SLEEP_ENABLE);
        let value = rest | u16::from(kind) << SLEEP_TYPE_SHIFT;
        port.write_u16(0, value);
        port.write_u16(0, value | SLEEP_ENABLE);
    }
    time::delay(PATIENCE_NANOS);
}
