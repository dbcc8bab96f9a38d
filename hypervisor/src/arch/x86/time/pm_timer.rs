//! The ACPI power management timer (ACPI 6.5, 4.8.3.3).
#![expect(unsafe_code, reason = "claims the timer's port")]

use hv_loader::acpi::{AddressSpace, Fadt};

use crate::arch::x86::port::Ports;

/// Its rate, everywhere.
pub const HZ: u64 = 3_579_545;

/// The timer.
pub struct PmTimer {
    port: Ports,
    bits: u32,
}

impl PmTimer {
    /// The timer that the FADT names, if it is at a port and counts.
    pub fn open(fadt: &Fadt) -> Option<Self> {
        let register = fadt.pm_timer.filter(|register| register.space == AddressSpace::IO)?;
        let port = u16::try_from(register.address).ok()?;
        // SAFETY: the firmware says that this is the timer's port; reading it has no effect.
        let port = unsafe { Ports::new(port) };
        let timer = Self { port, bits: if fadt.pm_timer_is_32_bit() { 32 } else { 24 } };
        let first = timer.read();
        (0..10_000).any(|_| timer.read() != first).then_some(timer)
    }

    /// How many bits it counts.
    pub fn bits(&self) -> u32 {
        self.bits
    }

    /// The count.
    pub fn read(&self) -> u32 {
        self.port.read_u32(0)
    }
}
