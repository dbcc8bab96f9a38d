//! Where a PVH guest's memory is.
//!
//! RAM starts at zero and leaves out the last 256 MiB below 4 GiB, where Xen's special pages, the
//! ACPI tables and the local APICs are; the rest follows at 4 GiB.

use hv_loader::memory::Span;
use xen_abi::arch_x86::hvm::start_info::{MemmapEntry, MemmapType};
use xen_abi::memory::E820Entry;

const GIB: u64 = 1 << 30;
const FOUR_GIB: u64 = 4 * GIB;
/// RAM below 4 GiB ends here at the latest.
const LOW_END: u64 = FOUR_GIB - 0x1000_0000;

/// Bytes of a page and of the large pages.
pub const PAGE: u64 = 4096;
const LARGE: u64 = 2 << 20;
/// Order of a large page: 512 pages.
pub const LARGE_ORDER: u32 = 9;

/// The first of the pages that hypervisor and toolstack share with the guest, as libxl has them.
pub const SPECIAL_FIRST: u64 = 0xFEFF8;
/// How many there are.
pub const SPECIAL_COUNT: u64 = 8;
/// The ring to the store.
pub const STORE_FRAME: u64 = 0xFEFFC;
/// The console's ring.
pub const CONSOLE_FRAME: u64 = 0xFEFFF;
/// Where the ACPI tables lie.
pub const ACPI: u64 = 0xFC00_0000;
/// More than they take.
const MOST_ACPI: u64 = 4 * PAGE;

/// The spans of RAM of a guest.
pub fn ram(bytes: u64) -> Vec<Span> {
    let low = bytes.min(LOW_END);
    let mut spans = vec![Span::new(0, low)];
    if bytes > low {
        spans.push(Span::new(FOUR_GIB, bytes - low));
    }
    spans
}

/// Every frame where a guest that has so many pages may have one, in order.
pub fn frames(pages: u64) -> Vec<u64> {
    let mut spans: Vec<Span> = ram(pages.saturating_mul(PAGE));
    spans.push(Span::new(ACPI, MOST_ACPI));
    spans.push(Span::new(SPECIAL_FIRST * PAGE, SPECIAL_COUNT * PAGE));
    let mut frames: Vec<u64> =
        spans.iter().flat_map(|span| span.start / PAGE..span.end.div_ceil(PAGE)).collect();
    frames.sort_unstable();
    frames
}

/// What the guest is told about its memory.
pub fn map(ram: &[Span], acpi_bytes: u64) -> Vec<MemmapEntry> {
    let entry = |addr, size, ty| MemmapEntry { addr, size, ty, reserved: 0 };
    let mut entries: Vec<MemmapEntry> =
        ram.iter().map(|span| entry(span.start, span.bytes(), MemmapType::RAM)).collect();
    let acpi = entry(ACPI, acpi_bytes.next_multiple_of(PAGE), MemmapType::ACPI);
    let special = entry(SPECIAL_FIRST * PAGE, SPECIAL_COUNT * PAGE, MemmapType::RESERVED);
    entries.extend([acpi, special]);
    entries.sort_by_key(|entry| entry.addr);
    entries
}

/// The same for the hypercall that asks for it.
pub fn e820(map: &[MemmapEntry]) -> Vec<E820Entry> {
    map.iter()
        .map(|entry| E820Entry {
            addr: entry.addr.into(),
            size: entry.size.into(),
            ty: entry.ty.0.into(),
        })
        .collect()
}

/// The first frames of all large pages that fit into `ram`, and of the single pages left over.
pub fn extents(ram: &[Span]) -> (Vec<u64>, Vec<u64>) {
    let (mut large, mut single) = (Vec::new(), Vec::new());
    for span in ram {
        let mut at = span.start;
        while at < span.end {
            let whole = at.is_multiple_of(LARGE) && at + LARGE <= span.end;
            let (list, bytes) = if whole { (&mut large, LARGE) } else { (&mut single, PAGE) };
            list.push(at / PAGE);
            at += bytes;
        }
    }
    (large, single)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn large_guests_have_two_spans() {
        assert_eq!(ram(512 * MIB), [Span::new(0, 512 * MIB)]);
        let spans = ram(5 * GIB);
        assert_eq!(spans, [Span::new(0, LOW_END), Span::new(FOUR_GIB, 5 * GIB - LOW_END)]);
        let entries = map(&spans, 700);
        let types: Vec<_> = entries.iter().map(|entry| entry.ty).collect();
        let (ram, acpi) = (MemmapType::RAM, MemmapType::ACPI);
        assert_eq!(types, [ram, acpi, MemmapType::RESERVED, ram]);
        assert!(entries.is_sorted_by(|a, b| a.addr + a.size <= b.addr));
        assert_eq!(e820(&entries)[1].addr.get(), ACPI);
    }

    proptest! {
        #[test]
        fn every_page_is_in_one_extent(mib in 1_u64..6000, odd_pages in 0_u64..3) {
            let bytes = mib * MIB + odd_pages * PAGE;
            let spans = ram(bytes);
            let (large, single) = extents(&spans);
            prop_assert_eq!(large.len() as u64 * LARGE + single.len() as u64 * PAGE, bytes);
            prop_assert!(large.iter().all(|frame| frame.is_multiple_of(512)));
            prop_assert!(single.len() < 1024);
        }
    }
}
