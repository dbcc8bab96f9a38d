//! The local APIC's task priority: what isn't above it is held back, and comes later.
//!
//! Apart from the other tests of the local APIC, because Xen under QEMU's software emulation of
//! SVM hangs in it.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::apic::{self, read, write};
use guest::events::{Shared, wait_for_vector};
use guest::{ensure, ensure_eq, interrupts};
use x86defs::apic::Register;

guest::guest!("lapic_priority", test);

const LOWER: u8 = 0x51;
const HIGHER: u8 = 0x61;

fn test() {
    let clock = Shared::map().clock();
    apic::enable();
    write(Register::TPR, 0x55);
    ensure_eq!(read(Register::PPR), 0x55, "PPR");
    let (low, high) = (interrupts::count(LOWER), interrupts::count(HIGHER));
    write(Register::SELF_IPI, u64::from(LOWER));
    write(Register::SELF_IPI, u64::from(HIGHER));
    ensure!(wait_for_vector(clock, HIGHER, high, 5000), "the higher interrupt didn't come");
    ensure_eq!(interrupts::count(LOWER), low, "interrupts that the TPR holds back");
    write(Register::TPR, 0);
    ensure!(wait_for_vector(clock, LOWER, low, 5000), "the lower interrupt got lost");
}
