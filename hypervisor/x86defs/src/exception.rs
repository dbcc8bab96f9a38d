//! Exception vectors and error codes (APM volume 2, 8.2 and 8.4).

use crate::macros::{constants, flags, open_enum};

open_enum! {
    /// A vector below 32.
    pub struct Exception(u8) {
        /// Divide error.
        DE = 0;
        /// Debug.
        DB = 1;
        /// Non-maskable interrupt.
        NMI = 2;
        /// Breakpoint (INT3).
        BP = 3;
        /// Overflow (INTO).
        OF = 4;
        /// Bound range.
        BR = 5;
        /// Invalid opcode.
        UD = 6;
        /// Device not available.
        NM = 7;
        /// Double fault.
        DF = 8;
        /// Coprocessor segment overrun.
        CSO = 9;
        /// Invalid TSS.
        TS = 10;
        /// Segment not present.
        NP = 11;
        /// Stack.
        SS = 12;
        /// General protection.
        GP = 13;
        /// Page fault.
        PF = 14;
        /// x87 floating point.
        MF = 16;
        /// Alignment check.
        AC = 17;
        /// Machine check.
        MC = 18;
        /// SIMD floating point.
        XM = 19;
        /// Virtualization (Intel).
        VE = 20;
        /// Control protection.
        CP = 21;
        /// Hypervisor injection.
        HV = 28;
        /// VMM communication.
        VC = 29;
        /// Security.
        SX = 30;
    }
}

impl Exception {
    /// Whether the CPU pushes an error code.
    #[must_use]
    pub const fn has_error_code(self) -> bool {
        matches!(
            self,
            Self::DF
                | Self::TS
                | Self::NP
                | Self::SS
                | Self::GP
                | Self::PF
                | Self::AC
                | Self::CP
                | Self::VC
                | Self::SX
        )
    }

    /// Whether a second such exception during its delivery makes a double fault
    /// (APM volume 2, 8.2.9).
    #[must_use]
    pub const fn is_contributory(self) -> bool {
        matches!(self, Self::DE | Self::TS | Self::NP | Self::SS | Self::GP | Self::CP)
    }

    /// What results when `second` is raised while `self` is being delivered.
    #[must_use]
    pub const fn then(self, second: Self) -> Combined {
        if matches!(self, Self::DF) {
            if second.is_contributory() || matches!(second, Self::PF) {
                return Combined::TripleFault;
            }
        } else if second.is_contributory() && (self.is_contributory() || matches!(self, Self::PF))
            || matches!(self, Self::PF) && matches!(second, Self::PF)
        {
            return Combined::DoubleFault;
        }
        Combined::Serial
    }
}

/// Outcome of two exceptions at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Combined {
    /// The second is delivered; the first comes again by itself.
    Serial,
    /// #DF with error code 0.
    DoubleFault,
    /// The CPU shuts down.
    TripleFault,
}

flags! {
    /// Error code of a page fault.
    pub struct PageFaultError(u32) {
        /// The page is present: a protection violation.
        PRESENT = 1 << 0;
        /// A write.
        WRITE = 1 << 1;
        /// At CPL 3.
        USER = 1 << 2;
        /// A reserved bit is set in an entry.
        RESERVED = 1 << 3;
        /// An instruction fetch.
        FETCH = 1 << 4;
        /// A protection key forbids it.
        PROTECTION_KEY = 1 << 5;
        /// A shadow stack access.
        SHADOW_STACK = 1 << 6;
    }
}

flags! {
    /// Error code that names a selector.
    pub struct SelectorError(u32) {
        /// The source is outside of the program.
        EXTERNAL = 1 << 0;
        /// The selector is in the IDT.
        IDT = 1 << 1;
        /// The selector is in the LDT.
        TI = 1 << 2;
    }
}

constants! {
    u8 {
        /// Vectors below this one belong to the CPU.
        FIRST_EXTERNAL_VECTOR = 32;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn double_and_triple_faults() {
        assert_eq!(Exception::GP.then(Exception::GP), Combined::DoubleFault);
        assert_eq!(Exception::PF.then(Exception::PF), Combined::DoubleFault);
        assert_eq!(Exception::PF.then(Exception::NP), Combined::DoubleFault);
        assert_eq!(Exception::GP.then(Exception::PF), Combined::Serial);
        assert_eq!(Exception::DB.then(Exception::GP), Combined::Serial);
        assert_eq!(Exception::DF.then(Exception::PF), Combined::TripleFault);
        assert_eq!(Exception::DF.then(Exception::UD), Combined::Serial);
    }

    #[test]
    fn error_codes() {
        assert!(Exception::PF.has_error_code());
        assert!(!Exception::UD.has_error_code());
        assert_eq!(Exception::GP.name(), Some("GP"));
        assert_eq!(Exception(15).name(), None);
    }
}
