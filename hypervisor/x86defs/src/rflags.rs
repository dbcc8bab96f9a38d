//! RFLAGS (APM volume 2, 3.1.6).

use crate::macros::flags;

flags! {
    /// RFLAGS.
    pub struct Rflags(u64) {
        /// Carry.
        CF = 1 << 0;
        /// Always one.
        FIXED = 1 << 1;
        /// Parity.
        PF = 1 << 2;
        /// Auxiliary carry.
        AF = 1 << 4;
        /// Zero.
        ZF = 1 << 6;
        /// Sign.
        SF = 1 << 7;
        /// Single step.
        TF = 1 << 8;
        /// Interrupts are taken.
        IF = 1 << 9;
        /// String instructions go down.
        DF = 1 << 10;
        /// Overflow.
        OF = 1 << 11;
        /// I/O privilege level, low bit.
        IOPL_LOW = 1 << 12;
        /// I/O privilege level, high bit.
        IOPL_HIGH = 1 << 13;
        /// Nested task.
        NT = 1 << 14;
        /// Resume: no instruction breakpoint.
        RF = 1 << 16;
        /// Virtual 8086 mode.
        VM = 1 << 17;
        /// Alignment check; user access where SMAP is on.
        AC = 1 << 18;
        /// Virtual interrupt flag.
        VIF = 1 << 19;
        /// Virtual interrupt pending.
        VIP = 1 << 20;
        /// CPUID exists.
        ID = 1 << 21;
    }
}

impl Rflags {
    /// The value at reset.
    pub const RESET: Self = Self::FIXED;

    /// The I/O privilege level.
    #[must_use]
    pub const fn iopl(self) -> u8 {
        (self.0 >> 12) as u8 & 3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iopl() {
        assert_eq!(Rflags(0x3202).iopl(), 3);
        assert_eq!(Rflags::RESET.iopl(), 0);
    }
}
