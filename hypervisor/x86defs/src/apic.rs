//! The local APIC: registers, and the fields of those that have some (APM volume 2, chapter 16;
//! SDM volume 3, chapter 12).

use crate::macros::{constants, flags, open_enum};

open_enum! {
    /// Offset of a register in the xAPIC page. Its x2APIC MSR is [`Register::x2apic_msr`].
    pub struct Register(u16) {
        /// APIC id; xAPIC: in bits 31..24.
        ID = 0x20;
        /// Version 7..0, last LVT entry 23..16.
        VERSION = 0x30;
        /// Task priority.
        TPR = 0x80;
        /// Arbitration priority; xAPIC only.
        APR = 0x90;
        /// Processor priority.
        PPR = 0xa0;
        /// End of interrupt; write 0.
        EOI = 0xb0;
        /// Remote read; xAPIC only.
        RRD = 0xc0;
        /// Logical destination.
        LDR = 0xd0;
        /// Destination format; xAPIC only.
        DFR = 0xe0;
        /// Spurious vector, and the APIC's switch: [`Svr`].
        SVR = 0xf0;
        /// In service: the first of eight.
        ISR0 = 0x100;
        /// Trigger mode: the first of eight.
        TMR0 = 0x180;
        /// Requested: the first of eight.
        IRR0 = 0x200;
        /// Errors: [`Esr`].
        ESR = 0x280;
        /// LVT: corrected machine checks.
        LVT_CMCI = 0x2f0;
        /// Interrupt command, low half; x2APIC: all of it.
        ICR_LOW = 0x300;
        /// Interrupt command, high half: destination in bits 31..24; xAPIC only.
        ICR_HIGH = 0x310;
        /// LVT: timer.
        LVT_TIMER = 0x320;
        /// LVT: thermal sensor.
        LVT_THERMAL = 0x330;
        /// LVT: performance counters.
        LVT_PERF = 0x340;
        /// LVT: pin LINT0.
        LVT_LINT0 = 0x350;
        /// LVT: pin LINT1.
        LVT_LINT1 = 0x360;
        /// LVT: APIC error.
        LVT_ERROR = 0x370;
        /// Timer: initial count.
        TIMER_INITIAL = 0x380;
        /// Timer: current count.
        TIMER_CURRENT = 0x390;
        /// Timer: divider.
        TIMER_DIVIDE = 0x3e0;
        /// Interrupt to itself; x2APIC only.
        SELF_IPI = 0x3f0;
    }
}

impl Register {
    /// The MSR of this register in x2APIC mode.
    #[must_use]
    pub const fn x2apic_msr(self) -> u32 {
        0x800 + (self.0 as u32 >> 4)
    }

    /// The register of an x2APIC MSR.
    #[must_use]
    pub const fn from_x2apic_msr(msr: u32) -> Option<Self> {
        match msr {
            0x800..=0x8ff => Some(Self((msr as u16 & 0xff) << 4)),
            _ => None,
        }
    }
}

flags! {
    /// Spurious vector register; the vector is in the low byte.
    pub struct Svr(u32) {
        /// The APIC is on.
        ENABLE = 1 << 8;
        /// No focus check.
        FOCUS_DISABLE = 1 << 9;
        /// End-of-interrupt isn't broadcast to I/O APICs.
        EOI_BROADCAST_SUPPRESS = 1 << 12;
    }
}

flags! {
    /// Error status.
    pub struct Esr(u32) {
        /// Send checksum.
        SEND_CHECKSUM = 1 << 0;
        /// Receive checksum.
        RECEIVE_CHECKSUM = 1 << 1;
        /// Nobody accepted what was sent.
        SEND_ACCEPT = 1 << 2;
        /// Nobody accepted what was received.
        RECEIVE_ACCEPT = 1 << 3;
        /// Lowest-priority IPIs can't be redirected.
        REDIRECTABLE_IPI = 1 << 4;
        /// Sent a vector below 16.
        SEND_VECTOR = 1 << 5;
        /// Received a vector below 16.
        RECEIVE_VECTOR = 1 << 6;
        /// No such register.
        REGISTER = 1 << 7;
    }
}

flags! {
    /// An entry of the local vector table; the vector is in the low byte.
    pub struct Lvt(u32) {
        /// Delivery is pending.
        PENDING = 1 << 12;
        /// LINT pins: active low.
        ACTIVE_LOW = 1 << 13;
        /// LINT pins: a level interrupt waits for its end.
        REMOTE_IRR = 1 << 14;
        /// LINT pins: level triggered.
        LEVEL = 1 << 15;
        /// No delivery.
        MASKED = 1 << 16;
        /// Timer: periodic.
        TIMER_PERIODIC = 1 << 17;
        /// Timer: at a TSC value.
        TIMER_TSC_DEADLINE = 1 << 18;
    }
}

impl Lvt {
    /// The vector.
    #[must_use]
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// The delivery mode.
    #[must_use]
    pub const fn delivery_mode(self) -> DeliveryMode {
        DeliveryMode((self.0 >> 8) as u8 & 7)
    }

    /// An unmasked entry.
    #[must_use]
    pub const fn new(vector: u8, mode: DeliveryMode) -> Self {
        Self(vector as u32 | (mode.0 as u32 & 7) << 8)
    }
}

open_enum! {
    /// How an interrupt is delivered: in the ICR, LVT entries, I/O APIC entries and MSIs.
    pub struct DeliveryMode(u8) {
        /// To the destination, as `vector`.
        FIXED = 0;
        /// To the destination with the lowest priority.
        LOWEST_PRIORITY = 1;
        /// System management interrupt.
        SMI = 2;
        /// Remote read.
        REMOTE_READ = 3;
        /// Non-maskable interrupt.
        NMI = 4;
        /// INIT.
        INIT = 5;
        /// Startup: begin at page `vector`.
        STARTUP = 6;
        /// From an external 8259.
        EXTINT = 7;
    }
}

open_enum! {
    /// Destination shorthand in the ICR.
    pub struct Shorthand(u8) {
        /// The destination field.
        NONE = 0;
        /// The sender.
        SELF = 1;
        /// All, with the sender.
        ALL = 2;
        /// All but the sender.
        OTHERS = 3;
    }
}

flags! {
    /// Low half of the interrupt command register: vector 7..0, delivery mode 10..8, shorthand
    /// 19..18.
    pub struct Icr(u32) {
        /// The destination is logical.
        LOGICAL = 1 << 11;
        /// Delivery is pending; xAPIC only.
        PENDING = 1 << 12;
        /// Assert; clear only in an INIT de-assert.
        ASSERT = 1 << 14;
        /// Level triggered.
        LEVEL = 1 << 15;
    }
}

impl Icr {
    /// A command with `ASSERT` set.
    #[must_use]
    pub const fn new(mode: DeliveryMode, vector: u8, shorthand: Shorthand) -> Self {
        let mode = (mode.0 as u32 & 7) << 8;
        Self(vector as u32 | mode | (shorthand.0 as u32 & 3) << 18 | Self::ASSERT.0)
    }

    /// The vector, or the start page.
    #[must_use]
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// The delivery mode.
    #[must_use]
    pub const fn delivery_mode(self) -> DeliveryMode {
        DeliveryMode((self.0 >> 8) as u8 & 7)
    }

    /// The shorthand.
    #[must_use]
    pub const fn shorthand(self) -> Shorthand {
        Shorthand((self.0 >> 18) as u8 & 3)
    }
}

constants! {
    u32 {
        /// Version register: end-of-interrupt broadcasts can be suppressed.
        VERSION_EOI_SUPPRESS = 1 << 24;
        /// DFR: flat logical destinations.
        DFR_FLAT = 0xffff_ffff;
        /// DFR: clustered logical destinations.
        DFR_CLUSTER = 0x0fff_ffff;
        /// Broadcast destination in xAPIC mode.
        XAPIC_BROADCAST = 0xff;
        /// Broadcast destination in x2APIC mode.
        X2APIC_BROADCAST = 0xffff_ffff;
        /// Vectors below this one can't be sent.
        FIRST_VECTOR = 16;
    }
}

/// The divisor that a timer divider value means: 1 to 128.
#[must_use]
pub const fn timer_divisor(divide: u32) -> u32 {
    let exponent = (divide & 3 | divide >> 1 & 4).wrapping_add(1) & 7;
    1_u32.wrapping_shl(exponent)
}

/// The logical id in x2APIC mode: cluster in the high half, one bit in the low half.
#[must_use]
pub const fn x2apic_ldr(id: u32) -> u32 {
    (id >> 4) << 16 | 1_u32.wrapping_shl(id & 0xf)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn x2apic_msrs() {
        assert_eq!(Register::ICR_LOW.x2apic_msr(), 0x830);
        assert_eq!(Register::SELF_IPI.x2apic_msr(), 0x83f);
        assert_eq!(Register::from_x2apic_msr(0x80b), Some(Register::EOI));
        assert_eq!(Register::from_x2apic_msr(0x900), None);
    }

    #[test]
    fn timer_divisors() {
        let all = [0, 1, 2, 3, 8, 9, 10, 11].map(timer_divisor);
        assert_eq!(all, [2, 4, 8, 16, 32, 64, 128, 1]);
    }

    #[test]
    fn commands() {
        let init = Icr::new(DeliveryMode::INIT, 0, Shorthand::OTHERS);
        assert_eq!(init.0, 0x000c_4500);
        assert_eq!(init.delivery_mode(), DeliveryMode::INIT);
        assert_eq!(init.shorthand(), Shorthand::OTHERS);
        assert_eq!(Icr::new(DeliveryMode::STARTUP, 8, Shorthand::NONE).0, 0x4608);
        assert_eq!(x2apic_ldr(0x23), 0x0002_0008);
    }
}
