//! One redirection entry of an IO-APIC (Intel 82093AA data sheet, 3.2.4).

use x86defs::ioapic::RedirectionEntry as Entry;

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
    pub const RESET: Self = Self(Entry::MASKED.bits());

    /// Vector, delivery, destination and the flags; delivery status is never set, as messages
    /// go out at once.
    const WRITABLE: u64 = 0xff00_0000_0001_ffff & !Entry::READ_ONLY.bits();

    const fn has(self, flag: Entry) -> bool {
        self.0 & flag.bits() != 0
    }

    /// The entry after a guest's write of `value`. Remote IRR stays as it is, but an edge has
    /// none: guests switch to edge and back to clear a stuck one.
    pub const fn written(self, value: u64) -> Self {
        let level = Self(value).has(Entry::LEVEL);
        let kept = if level { self.0 & Entry::REMOTE_IRR.bits() } else { 0 };
        Self(value & Self::WRITABLE | kept)
    }

    /// The pin sends nothing.
    pub const fn masked(self) -> bool {
        self.has(Entry::MASKED)
    }

    /// A level interrupt was sent, and its EOI has not come.
    pub const fn remote_irr(self) -> bool {
        self.has(Entry::REMOTE_IRR)
    }

    /// The entry with remote IRR set or cleared.
    pub const fn with_remote_irr(self, on: bool) -> Self {
        let flag = Entry::REMOTE_IRR.bits();
        Self(if on { self.0 | flag } else { self.0 & !flag })
    }

    /// The vector that it sends.
    pub const fn vector(self) -> u8 {
        self.0 as u8
    }

    /// How the line signals.
    pub const fn trigger(self) -> Trigger {
        if self.has(Entry::LEVEL) { Trigger::Level } else { Trigger::Edge }
    }

    /// What a physical pin behind this entry must be set to.
    pub const fn config(self) -> PinConfig {
        PinConfig {
            masked: self.masked(),
            trigger: self.trigger(),
            polarity: if self.has(Entry::ACTIVE_LOW) { Polarity::Low } else { Polarity::High },
        }
    }

    /// What the pin sends.
    pub const fn message(self) -> Message {
        Message {
            vector: self.vector(),
            delivery: Delivery::from_bits((self.0 >> 8) as u32),
            trigger: self.trigger(),
            destination: Destination::from_u8((self.0 >> 56) as u8, self.has(Entry::LOGICAL)),
        }
    }
}
