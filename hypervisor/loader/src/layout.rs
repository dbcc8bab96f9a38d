//! Where the parts of a domain's start go in its memory.
//!
//! The control domain is identity-mapped, so its memory may still hold what the boot loader put
//! there: an initrd that lies well is used in place, and nothing is put over a source that is
//! still to be read. Parts are put low, but not below 1 MiB, and the initrd high, so that the
//! memory between stays in one piece.

use alloc::vec::Vec;
use core::fmt;

use hv_core::types::FRAME_BYTES;

use crate::image::Relocation;
use crate::memory::{Span, subtract};

const FRAME: u64 = FRAME_BYTES as u64;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
/// Cuts in a domain's memory are made here if possible: it keeps to large pages.
const LARGE_PAGE: u64 = 2 * MIB;
/// Below are interrupt vectors and the BIOS's data, which some kernels expect to find untouched.
const FIRST_FREE: u64 = 0x1_0000;

/// What has to be placed where.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The domain's memory, in whole frames.
    pub ram: &'a [Span],
    /// What must not be overwritten: sources that are still to be read, such as the unpacked
    /// kernel. Not the initrd.
    pub busy: &'a [Span],
    /// Where the kernel is linked to ([`crate::image::Kernel::range`]).
    pub kernel: Span,
    /// Whether and where it may be moved.
    pub relocation: Option<Relocation>,
    /// Where the initrd lies now.
    pub initrd: Option<Span>,
    /// Length of `start_info` and all that goes with it.
    pub start_bytes: u64,
    /// Length of the ACPI tables; zero for none.
    pub acpi_bytes: u64,
    /// Whether the RSDP has to be below 1 MiB
    /// (if not [`crate::image::Features::rsdp_unrestricted`]).
    pub low_rsdp: bool,
}

/// Where everything goes.
///
/// The order of writing is free but for one rule: first the initrd is copied (if its place
/// changed), then the rest is written. The old and the new place of the initrd don't overlap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Layout {
    /// The kernel, from its lowest to its highest byte.
    pub kernel: Span,
    /// The initrd; the same as in the request if it can stay.
    pub initrd: Option<Span>,
    /// `start_info` and all that goes with it, in whole frames.
    pub start: Span,
    /// The ACPI tables, in whole frames; empty for none.
    pub acpi: Span,
}

/// Why a domain's start has no place in its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LayoutError {
    /// The kernel can't go where it is linked to, and not elsewhere.
    Kernel {
        /// Where it is linked to.
        linked: Span,
        /// Whether it can be moved at all.
        relocatable: bool,
    },
    /// Some other part has no room.
    NoRoom {
        /// The part.
        what: &'static str,
        /// Its length.
        bytes: u64,
        /// The address that it has to be below.
        below: u64,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Kernel { linked, relocatable: false } => write!(
                f,
                "kernel is linked to {:#x}-{:#x}, which is not all memory of its domain, and can't \
                 be moved; use a kernel with XEN_ELFNOTE_PHYS32_RELOC (Linux 6.10) or give dom0 \
                 more memory with dom0_mem=",
                linked.start, linked.end
            ),
            Self::Kernel { linked, relocatable: true } => write!(
                f,
                "kernel takes {} MiB in one piece, which its domain doesn't have where the kernel \
                 may be; give dom0 more memory with dom0_mem=",
                linked.bytes().div_ceil(MIB)
            ),
            Self::NoRoom { what, bytes, below } => write!(
                f,
                "{what} takes {} KiB in one piece below {} MiB, which its domain doesn't have; \
                 give dom0 more memory with dom0_mem=",
                bytes.div_ceil(1024),
                below / MIB
            ),
        }
    }
}

impl core::error::Error for LayoutError {}

/// Finds a place for everything.
///
/// # Errors
/// Something has no place; the message names it.
pub fn plan(request: &Request<'_>) -> Result<Layout, LayoutError> {
    let mut free = subtract(request.ram, request.busy);
    let kernel = place_kernel(request, &free)?;
    free = subtract(&free, &[kernel.grow_to(FRAME)]);

    let initrd = match request.initrd {
        Some(now) => Some(place_initrd(now, request.ram, kernel, &free)?),
        None => None,
    };
    // Small parts go neither over the initrd nor over where it is copied from.
    let initrds = [initrd, request.initrd].map(|span| span.map_or(Span::new(0, 0), grown));
    free = subtract(&free, &initrds);

    let acpi = if request.acpi_bytes == 0 {
        Span::new(0, 0)
    } else if request.low_rsdp {
        let bytes = request.acpi_bytes.next_multiple_of(FRAME);
        highest(&free, bytes, FRAME, Span { start: FIRST_FREE, end: MIB }).ok_or(no_room(
            "ACPI tables",
            request.acpi_bytes,
            MIB,
        ))?
    } else {
        small("ACPI tables", request.acpi_bytes, 4 * GIB, &free)?
    };
    free = subtract(&free, &[acpi]);
    let start = small("start_info", request.start_bytes, GIB, &free)?;
    Ok(Layout { kernel, initrd, start, acpi })
}

const fn no_room(what: &'static str, bytes: u64, below: u64) -> LayoutError {
    LayoutError::NoRoom { what, bytes, below }
}

fn grown(span: Span) -> Span {
    span.grow_to(FRAME)
}

fn place_kernel(request: &Request<'_>, free: &[Span]) -> Result<Span, LayoutError> {
    let linked = request.kernel;
    if free.iter().any(|span| span.contains(&linked)) {
        return Ok(linked);
    }
    let error = LayoutError::Kernel { linked, relocatable: request.relocation.is_some() };
    let Relocation { align, min, max } = request.relocation.ok_or(error)?;
    let within = Span { start: u64::from(min), end: u64::from(max).saturating_add(1) };
    lowest(free, linked.bytes(), u64::from(align), within).ok_or(error)
}

fn place_initrd(now: Span, ram: &[Span], kernel: Span, free: &[Span]) -> Result<Span, LayoutError> {
    let usable = ram.iter().any(|span| span.contains(&grown(now)));
    if usable && now.start.is_multiple_of(FRAME) && now.end <= 4 * GIB && !now.overlaps(&kernel) {
        return Ok(now);
    }
    let free = subtract(free, &[grown(now)]);
    let place = highest(&free, grown_bytes(now), FRAME, Span { start: MIB, end: 4 * GIB });
    let place = place.ok_or(no_room("initrd", now.bytes(), 4 * GIB))?;
    Ok(Span::new(place.start, now.bytes()))
}

fn grown_bytes(span: Span) -> u64 {
    span.bytes().checked_next_multiple_of(FRAME).unwrap_or(u64::MAX)
}

/// A place for something small: low, but above 1 MiB if possible.
fn small(what: &'static str, bytes: u64, below: u64, free: &[Span]) -> Result<Span, LayoutError> {
    let bytes = bytes.next_multiple_of(FRAME);
    lowest(free, bytes, FRAME, Span { start: MIB, end: below })
        .or_else(|| highest(free, bytes, FRAME, Span { start: FIRST_FREE, end: MIB }))
        .ok_or(no_room(what, bytes, below))
}

/// The lowest place for `bytes` in one of `free`, at a multiple of `align` (a power of two),
/// within `within`.
pub fn lowest(free: &[Span], bytes: u64, align: u64, within: Span) -> Option<Span> {
    let place = |span: &Span| {
        let span = span.intersection(&within);
        let start = span.start.checked_next_multiple_of(align)?;
        let place = Span { start, end: start.checked_add(bytes)? };
        span.contains(&place).then_some(place)
    };
    free.iter().filter_map(place).min_by_key(|place| place.start)
}

/// The highest such place.
pub fn highest(free: &[Span], bytes: u64, align: u64, within: Span) -> Option<Span> {
    let place = |span: &Span| {
        let span = span.intersection(&within);
        let start = span.end.checked_sub(bytes)? & !align.wrapping_sub(1);
        (start >= span.start).then_some(Span { start, end: start.checked_add(bytes)? })
    };
    free.iter().filter_map(place).max_by_key(|place| place.start)
}

/// Chooses `bytes` of `free` (ascending, whole frames) for the control domain: the lowest, as
/// its kernel, its devices' buffers and the firmware's habits ask for low memory. Gives less if
/// there is less; a cut is made at a large page's boundary, downwards.
pub fn choose_ram(free: &[Span], bytes: u64) -> Vec<Span> {
    let mut left = bytes;
    let mut chosen = Vec::new();
    for span in free {
        let cut = span.start.saturating_add(left);
        let end = if cut < span.end { cut & !LARGE_PAGE.wrapping_sub(1) } else { span.end };
        let part = Span { start: span.start, end };
        if !part.is_empty() {
            chosen.push(part);
        }
        left = left.saturating_sub(part.bytes());
        if cut < span.end {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use alloc::format;
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    const DEBIAN_13: Relocation =
        Relocation { align: 0x20_0000, min: 0x100_0000, max: 0x3FFF_FFFF };

    fn mib(start: u64, end: u64) -> Span {
        Span { start: start * MIB, end: end * MIB }
    }

    fn request<'a>(ram: &'a [Span]) -> Request<'a> {
        Request {
            ram,
            busy: &[],
            kernel: mib(16, 66),
            relocation: None,
            initrd: None,
            start_bytes: 5000,
            acpi_bytes: 600,
            low_rsdp: false,
        }
    }

    #[test]
    fn an_initrd_that_lies_well_stays() {
        let ram = [Span { start: 0, end: 0x9_F000 }, mib(2, 512)];
        let initrd = Span::new(100 * MIB, 12345);
        let layout = plan(&Request { initrd: Some(initrd), ..request(&ram) }).unwrap();
        assert_eq!(
            layout,
            Layout {
                kernel: mib(16, 66),
                initrd: Some(initrd),
                acpi: Span::new(2 * MIB, FRAME),
                start: Span::new(2 * MIB + FRAME, 2 * FRAME),
            }
        );
    }

    #[test]
    fn an_initrd_in_the_kernels_way_moves_up() {
        let ram = [mib(2, 512)];
        let initrd = Span::new(60 * MIB, 10 * MIB + 1);
        let layout = plan(&Request { initrd: Some(initrd), ..request(&ram) }).unwrap();
        let place = layout.initrd.unwrap();
        assert_eq!(place, Span::new(512 * MIB - 10 * MIB - FRAME, 10 * MIB + 1));
    }

    #[test]
    fn a_kernel_whose_place_is_taken_moves_only_if_it_can() {
        let ram = [mib(2, 20), mib(31, 512)];
        let moved = Request { relocation: Some(DEBIAN_13), ..request(&ram) };
        assert_eq!(plan(&moved).unwrap().kernel, mib(32, 82));
        let busy = [mib(40, 41)];
        assert_eq!(plan(&Request { busy: &busy, ..moved }).unwrap().kernel, mib(42, 92));
        let error = plan(&request(&ram)).unwrap_err();
        assert!(format!("{error}").contains("linked to 0x1000000-0x4200000"));
        let high = [mib(2, 20), mib(1010, 4096)];
        let error = plan(&Request { ram: &high, ..moved }).unwrap_err();
        assert!(matches!(error, LayoutError::Kernel { relocatable: true, .. }));
    }

    #[test]
    fn a_restricted_rsdp_goes_below_one_mib() {
        let ram = [Span { start: 0, end: 0x9_F000 }, mib(1, 512)];
        let layout = plan(&Request { low_rsdp: true, ..request(&ram) }).unwrap();
        assert_eq!(layout.acpi.end, 0x9_F000);
        let ram = [mib(1, 512)];
        let error = plan(&Request { low_rsdp: true, ..request(&ram) }).unwrap_err();
        assert!(format!("{error}").starts_with("ACPI tables takes 1 KiB"));
    }

    #[test]
    fn low_memory_comes_first_and_is_cut_at_large_pages() {
        let free = [Span { start: 0, end: 0x9_F000 }, mib(1, 100), mib(4096, 8192)];
        assert_eq!(choose_ram(&free, u64::MAX), free);
        assert_eq!(choose_ram(&free, 51 * MIB), [free[0], mib(1, 50)]);
        assert_eq!(
            choose_ram(&free, 1024 * MIB),
            [free[0], free[1], Span { start: 4096 * MIB, end: 5020 * MIB }]
        );
        assert_eq!(choose_ram(&free, 0), vec![]);
    }

    fn spans() -> impl Strategy<Value = Vec<Span>> {
        prop::collection::vec((0..200u64, 1..120u64), 0..4)
            .prop_map(|list| list.into_iter().map(|(at, len)| mib(at, at + len)).collect())
    }

    proptest! {
        #[test]
        fn nothing_overlaps_and_all_is_memory(
            ram in spans(),
            busy in spans(),
            initrd in prop::option::of((0..0x0D00_0000u64, 1..0x300_0000u64)),
            movable: bool,
            low_rsdp: bool,
        ) {
            // Spans of memory that overlap or touch would be one.
            let ram = subtract(&[mib(0, 320)], &subtract(&[mib(0, 320)], &ram));
            let request = Request {
                busy: &busy,
                initrd: initrd.map(|(at, len)| Span::new(at, len)),
                relocation: movable.then_some(DEBIAN_13),
                low_rsdp,
                ..request(&ram)
            };
            let Ok(layout) = plan(&request) else { return Ok(()) };
            let mut parts = vec![layout.kernel, layout.start, layout.acpi];
            parts.extend(layout.initrd);
            for (index, part) in parts.iter().enumerate() {
                prop_assert!(subtract(&[*part], &ram).is_empty());
                prop_assert!(parts.iter().skip(index + 1).all(|other| !other.overlaps(part)));
            }
            for part in [layout.kernel, layout.start, layout.acpi] {
                prop_assert!(busy.iter().all(|span| !span.overlaps(&part)));
            }
            prop_assert_eq!(layout.initrd.map(|span| span.bytes()), request.initrd.map(|span| span.bytes()));
            if let (Some(old), Some(new)) = (request.initrd, layout.initrd) {
                prop_assert!(old == new || !old.overlaps(&new));
                prop_assert!(!layout.start.overlaps(&old) && !layout.acpi.overlaps(&old));
            }
        }
    }
}
