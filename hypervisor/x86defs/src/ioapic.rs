//! The I/O APIC: its window, registers and redirection table.

use crate::apic::DeliveryMode;
use crate::macros::{constants, flags};

constants! {
    u64 {
        /// Offset of the register select in the window.
        IOREGSEL = 0x00;
        /// Offset of the data in the window.
        IOWIN = 0x10;
        /// Offset of the end-of-interrupt register (version 0x20 and later).
        IOEOI = 0x40;
        /// Usual address of the first one.
        DEFAULT_ADDRESS = 0xfec0_0000;
    }
}

constants! {
    u8 {
        /// Register: id in bits 27..24.
        REG_ID = 0x00;
        /// Register: version 7..0, last entry 23..16.
        REG_VERSION = 0x01;
        /// Register: arbitration id.
        REG_ARBITRATION = 0x02;
        /// Register: low half of the first entry; its high half follows, then the others.
        REG_TABLE = 0x10;
    }
}

flags! {
    /// An entry of the redirection table: vector 7..0, delivery mode 10..8, destination 63..56.
    pub struct RedirectionEntry(u64) {
        /// The destination is logical.
        LOGICAL = 1 << 11;
        /// Delivery is pending.
        PENDING = 1 << 12;
        /// Active low.
        ACTIVE_LOW = 1 << 13;
        /// A level interrupt waits for its end.
        REMOTE_IRR = 1 << 14;
        /// Level triggered.
        LEVEL = 1 << 15;
        /// No delivery.
        MASKED = 1 << 16;
        /// Interrupt remapping: bits 63..49 and 11 are an index of the remapping table.
        REMAPPABLE = 1 << 48;
    }
}

impl RedirectionEntry {
    /// Bits that only hardware writes.
    pub const READ_ONLY: Self = Self(1 << 12 | 1 << 14);

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

    /// The destination, physical or logical: 8 bits.
    #[must_use]
    pub const fn destination(self) -> u8 {
        (self.0 >> 56) as u8
    }

    /// The same with another vector.
    #[must_use]
    pub const fn with_vector(self, vector: u8) -> Self {
        Self(self.0 & !0xff | vector as u64)
    }

    /// The same with another delivery mode.
    #[must_use]
    pub const fn with_delivery_mode(self, mode: DeliveryMode) -> Self {
        Self(self.0 & !0x700 | (mode.0 as u64 & 7) << 8)
    }

    /// The same with another destination.
    #[must_use]
    pub const fn with_destination(self, destination: u8) -> Self {
        Self(self.0 & !(0xff << 56) | (destination as u64) << 56)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entry_fields() {
        let entry = RedirectionEntry::LEVEL
            .with_vector(0x31)
            .with_delivery_mode(DeliveryMode::LOWEST_PRIORITY)
            .with_destination(3);
        assert_eq!(entry.0, 0x0300_0000_0000_8131);
        assert_eq!(entry.vector(), 0x31);
        assert_eq!(entry.delivery_mode(), DeliveryMode::LOWEST_PRIORITY);
        assert_eq!(entry.destination(), 3);
    }
}
