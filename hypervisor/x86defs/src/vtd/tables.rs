//! Tables of a remapping unit: root, context, second-level and interrupt entries (VT-d,
//! chapter 9, and 5.1).

use crate::apic::DeliveryMode;
use crate::macros::{flags, layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

const ADDRESS_MASK: u64 = !0xfff;

/// One bus: 256 of these are the root table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C, align(16))]
pub struct RootEntry {
    /// Bit 0 present, bits 63..12 the address of the bus's context table.
    pub low: u64,
    /// Reserved.
    pub _pad0: u64,
}

layout!(RootEntry, size 16, { low: 0, _pad0: 8 });

impl RootEntry {
    /// Points to a context table.
    #[must_use]
    pub const fn new(context_table: u64) -> Self {
        Self { low: context_table & ADDRESS_MASK | 1, _pad0: 0 }
    }

    /// The context table, if present.
    #[must_use]
    pub const fn context_table(self) -> Option<u64> {
        if self.low & 1 != 0 { Some(self.low & ADDRESS_MASK) } else { None }
    }
}

open_enum! {
    /// Levels of a second-level table.
    pub struct AddressWidth(u8) {
        /// 3 levels, 39 bits.
        BITS_39 = 1;
        /// 4 levels, 48 bits.
        BITS_48 = 2;
        /// 5 levels, 57 bits.
        BITS_57 = 3;
    }
}

/// One device and function: 256 of these are a bus's context table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C, align(16))]
pub struct ContextEntry {
    /// Bit 0 present, bit 1 faults aren't recorded, bits 3..2 the translation type, bits 63..12
    /// the second-level table.
    pub low: u64,
    /// Bits 2..0 the address width, bits 23..8 the domain id.
    pub high: u64,
}

layout!(ContextEntry, size 16, { low: 0, high: 8 });

impl ContextEntry {
    /// No DMA.
    pub const ABSENT: Self = Self { low: 0, high: 0 };

    /// Translates by a second-level table.
    #[must_use]
    pub const fn new(table: u64, width: AddressWidth, domain: u16) -> Self {
        Self { low: table & ADDRESS_MASK | 1, high: (width.0 as u64 & 7) | (domain as u64) << 8 }
    }

    /// Doesn't translate; needs the pass-through capability.
    #[must_use]
    pub const fn pass_through(width: AddressWidth, domain: u16) -> Self {
        Self { low: 2 << 2 | 1, high: (width.0 as u64 & 7) | (domain as u64) << 8 }
    }

    /// Whether it is present.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.low & 1 != 0
    }
}

flags! {
    /// An entry of a second-level table.
    pub struct SecondLevelEntry(u64) {
        /// Readable.
        READ = 1 << 0;
        /// Writable.
        WRITE = 1 << 1;
        /// A 2 MiB or 1 GiB page.
        LARGE = 1 << 7;
        /// DMA snoops caches; needs snoop control.
        SNOOP = 1 << 11;
    }
}

impl SecondLevelEntry {
    /// Address bits.
    pub const ADDRESS_MASK: u64 = 0x000f_ffff_ffff_f000;

    /// An entry that maps or points to `address`.
    #[must_use]
    pub const fn new(address: u64, flags: Self) -> Self {
        Self(address & Self::ADDRESS_MASK | flags.0)
    }

    /// The address.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0 & Self::ADDRESS_MASK
    }

    /// Whether reads or writes pass.
    #[must_use]
    pub const fn is_present(self) -> bool {
        self.0 & 3 != 0
    }
}

/// An entry of the interrupt remapping table.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C, align(16))]
pub struct InterruptEntry {
    /// Bit 0 present, 2 logical, 3 redirection hint, 4 level, 7..5 delivery mode, 23..16 vector,
    /// 63..32 destination.
    pub low: u64,
    /// Bits 15..0 the source id, 19..18 how it is checked.
    pub high: u64,
}

layout!(InterruptEntry, size 16, { low: 0, high: 8 });

impl InterruptEntry {
    /// No interrupt.
    pub const ABSENT: Self = Self { low: 0, high: 0 };

    /// To one CPU by its physical id, edge triggered, from any source. In xAPIC mode the unit
    /// takes the destination from bits 15..8 of its field; `x2apic` says which mode it is in.
    #[must_use]
    pub const fn new(vector: u8, mode: DeliveryMode, destination: u32, x2apic: bool) -> Self {
        let field = if x2apic { destination } else { (destination & 0xff) << 8 };
        let mode = (mode.0 as u64 & 7) << 5;
        Self { low: 1 | mode | (vector as u64) << 16 | (field as u64) << 32, high: 0 }
    }

    /// The same, level triggered.
    #[must_use]
    pub const fn level(self) -> Self {
        Self { low: self.low | 1 << 4, high: self.high }
    }

    /// The same, accepted only from this bus, device and function.
    #[must_use]
    pub const fn from_source(self, source: u16) -> Self {
        Self { low: self.low, high: 1 << 18 | source as u64 }
    }
}

/// The address of an MSI in remappable format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MsiAddress(pub u32);

impl MsiAddress {
    /// Uses the remapping entry `index`; the MSI's data is 0.
    #[must_use]
    pub const fn remapped(index: u16) -> Self {
        let low = (index as u32 & 0x7fff) << 5;
        Self(0xfee0_0000 | low | 1 << 4 | (index as u32 >> 15) << 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes() {
        assert_eq!(RootEntry::new(0x1234_5000).context_table(), Some(0x1234_5000));
        assert_eq!(RootEntry::default().context_table(), None);
        let context = ContextEntry::new(0x5000, AddressWidth::BITS_48, 3);
        assert_eq!((context.low, context.high), (0x5001, 0x302));
        assert!(context.is_present() && !ContextEntry::ABSENT.is_present());
        let page = SecondLevelEntry::READ | SecondLevelEntry::WRITE;
        assert_eq!(SecondLevelEntry::new(0x8123, page).0, 0x8003);
        let entry = InterruptEntry::new(0x31, DeliveryMode::FIXED, 2, false).from_source(0xf8);
        assert_eq!((entry.low, entry.high), (0x0000_0200_0031_0001, 0x4_00f8));
        let entry = InterruptEntry::new(0x31, DeliveryMode::FIXED, 2, true).level();
        assert_eq!(entry.low, 0x0000_0002_0031_0011);
        assert_eq!(MsiAddress::remapped(3).0, 0xfee0_0070);
        assert_eq!(MsiAddress::remapped(0x8000).0, 0xfee0_0014);
    }
}
