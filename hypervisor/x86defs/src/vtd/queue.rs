//! Descriptors of the invalidation queue (VT-d, 6.5.2).

use crate::macros::{layout, open_enum};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

open_enum! {
    /// How much an invalidation covers.
    pub struct Granularity(u8) {
        /// Everything.
        GLOBAL = 1;
        /// One domain.
        DOMAIN = 2;
        /// One device, in the context cache; some pages, in the IOTLB.
        SELECTIVE = 3;
    }
}

/// A 128-bit descriptor.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, FromBytes, IntoBytes, KnownLayout, Immutable,
)]
#[repr(C, align(16))]
pub struct Descriptor {
    /// Bits 63..0.
    pub low: u64,
    /// Bits 127..64.
    pub high: u64,
}

layout!(Descriptor, size 16, { low: 0, high: 8 });

/// What a [`Descriptor::wait`] writes.
pub const STATUS_WRITTEN: u32 = 1;

impl Descriptor {
    /// Invalidates context entries.
    #[must_use]
    pub const fn context(granularity: Granularity, domain: u16, source: u16) -> Self {
        let low = 1 | (granularity.0 as u64 & 3) << 4 | (domain as u64) << 16;
        Self { low: low | (source as u64) << 32, high: 0 }
    }

    /// Invalidates all translations, or those of a domain; reads and writes are drained.
    #[must_use]
    pub const fn iotlb(granularity: Granularity, domain: u16) -> Self {
        let low = 2 | (granularity.0 as u64 & 3) << 4 | 1 << 6 | 1 << 7;
        Self { low: low | (domain as u64) << 16, high: 0 }
    }

    /// Invalidates the translations of `1 << order` pages of a domain, at an aligned address.
    #[must_use]
    pub const fn iotlb_pages(domain: u16, address: u64, order: u8) -> Self {
        let low = Self::iotlb(Granularity::SELECTIVE, domain).low;
        Self { low, high: address & !0xfff | (order & 0x3f) as u64 }
    }

    /// Invalidates all interrupt entries.
    #[must_use]
    pub const fn interrupts() -> Self {
        Self { low: 4, high: 0 }
    }

    /// Invalidates `1 << order` interrupt entries from an aligned index.
    #[must_use]
    pub const fn interrupt(index: u16, order: u8) -> Self {
        let low = 4 | 1 << 4 | (order as u64 & 0x1f) << 27 | (index as u64) << 32;
        Self { low, high: 0 }
    }

    /// When all before it is done, writes [`STATUS_WRITTEN`] to the 4 bytes at `address`.
    #[must_use]
    pub const fn wait(address: u64) -> Self {
        Self { low: 5 | 1 << 5 | (STATUS_WRITTEN as u64) << 32, high: address & !3 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes() {
        assert_eq!(Descriptor::context(Granularity::GLOBAL, 0, 0).low, 0x11);
        assert_eq!(Descriptor::context(Granularity::SELECTIVE, 7, 0x10).low, 0x10_0007_0031);
        assert_eq!(Descriptor::iotlb(Granularity::DOMAIN, 7).low, 0x0007_00e2);
        let pages = Descriptor::iotlb_pages(7, 0x20_0000, 9);
        assert_eq!((pages.low, pages.high), (0x0007_00f2, 0x20_0009));
        assert_eq!(Descriptor::interrupt(0x55, 0).low, 0x0000_0055_0000_0014);
        let wait = Descriptor::wait(0x1000);
        assert_eq!((wait.low, wait.high), (0x1_0000_0025, 0x1000));
    }
}
