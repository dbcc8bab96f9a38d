//! Switching the machine off, and restarting it.

use alloc::vec;
use alloc::vec::Vec;

use hv_loader::acpi::{PhysRead, SleepType};
use xen_abi::sched::ShutdownReason;

use crate::arch::{port, reset};
use crate::drivers::acpi;
use crate::mm::phys::Firmware;

/// The hardware domain has shut down: the machine goes with it.
pub fn hardware_domain_shut_down(reason: ShutdownReason) {
    say!("dom0 has shut down: {reason:?}");
    if reason == ShutdownReason::POWEROFF {
        power_off();
    }
    restart();
}

/// Switches the machine off by ACPI's state S5. Returns if the firmware doesn't say how.
fn power_off() {
    let fadt = &acpi::machine().fadt;
    let Some(sleep_type) = table(fadt.dsdt).and_then(|dsdt| SleepType::find_s5(&dsdt)) else {
        return warning!("the firmware's tables have no state S5: can't switch the machine off");
    };
    reset::sleep(fadt, sleep_type);
}

/// The ACPI table at `address`.
fn table(address: u64) -> Option<Vec<u8>> {
    let mut header = [0; 8];
    if !Firmware.read(address, &mut header) {
        return None;
    }
    let [.., a, b, c, d] = header;
    let mut table = vec![0; u32::from_le_bytes([a, b, c, d]) as usize];
    Firmware.read(address, &mut table).then_some(table)
}

/// Restarts the machine.
pub fn restart() -> ! {
    say!("restarting");
    reset::reboot()
}

/// Dom0 writes `control` to a PM1 control register to make the machine sleep, or to switch it
/// off.
pub fn sleep(register: u16, control: u16) {
    say!("dom0 switches the machine off");
    port::write(register, 2, control.into());
}
