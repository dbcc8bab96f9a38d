//! One redirection entry of an IO-APIC (Intel 82093AA data sheet, 3.2.4).

use crate::interrupt::{Delivery, Destination, Message, Trigger};

/// Level of an interrupt line that means "asserted".
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Polarity {
    /// Active high.
    #[default]
    High,
    /// Active low.
    Low,
}

/// The part of an entry that a physical pin must share: the rest is between guest and vLAPIC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PinConfig {
    /// The pin sends nothing.
    pub masked: bool,
    /// How the line signals.
    pub trigger: Trigger,
    /// Which level asserts it.
    pub polarity: Polarity,
}

/// A redirection entry as its 64-bit register.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rte(pub u64);

impl Rte {
    /// After reset: masked.
    pub const RESET: Self = Self(Self::MASKED);

    const LOGICAL: u64 = 1 << 11;
    const ACTIVE_LOW: u64 = 1 << 13;
    const REMOTE_IRR: u64 = 1 << 14;
    const LEVEL: u64 = 1 << 15;
    const MASKED: u64 = 1 << 16;
    /// Delivery status (never set: messages go out at once) and remote IRR.
    const READ_ONLY: u64 = 1 << 12 | Self::REMOTE_IRR;
    const WRITABLE: u64 = 0xff00_0000_0001_ffff & !Self::READ_ONLY;

    /// The entry after a guest's write of `value`. Remote IRR stays as it is, but an edge has
    /// none: guests switch to edge and back to clear a stuck one.
    pub const fn written(self, value: u64) -> Self {
        let kept = if value & Self::LEVEL != 0 { self.0 & Self::REMOTE_IRR } else { 0 };
        Self(value & Self::WRITABLE | kept)
    }

    /// The pin sends nothing.
    pub const fn masked(self) -> bool {
        self.0 & Self::MASKED != 0
    }

    /// A level interrupt was sent, and its EOI has not come.
    pub const fn remote_irr(self) -> bool {
        self.0 & Self::REMOTE_IRR != 0
    }

    /// The entry with remote IRR set or cleared.
    pub const fn with_remote_irr(self, on: bool) -> Self {
        Self(if on { self.0 | Self::REMOTE_IRR } else { self.0 & !Self::REMOTE_IRR })
    }

    /// The vector that it sends.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// How the line signals.
    pub const fn trigger(self) -> Trigger {
        if self.0 & Self::LEVEL != 0 { Trigger::Level } else { Trigger::Edge }
    }

    /// What a physical pin behind this entry must be set to.
    pub const fn config(self) -> PinConfig {
        PinConfig {
            masked: self.masked(),
            trigger: self.trigger(),
            polarity: if self.0 & Self::ACTIVE_LOW != 0 { Polarity::Low } else { Polarity::High },
        }
    }

    /// What the pin sends.
    pub const fn message(self) -> Message {
        Message {
            vector: self.vector(),
            delivery: Delivery::from_bits((self.0 >> 8) as u32),
            trigger: self.trigger(),
            destination: Destination::from_u8((self.0 >> 56) as u8, self.0 & Self::LOGICAL != 0),
        }
    }
}
