//! The control domain's memory map, made of the host's.
//!
//! The domain is identity-mapped, so the host's map is true for it but for the memory that is
//! not its own. That becomes "unusable", which Linux never touches by itself and uses as a pool
//! of addresses for pages of other domains.

use alloc::vec::Vec;

use hv_core::types::FRAME_BYTES;
use xen_abi::arch_x86::hvm::start_info::{MemmapEntry, MemmapType};

use crate::memory::Span;

/// What Linux takes in from `start_info`.
pub const MAX_ENTRIES: usize = 128;

const FRAME: u64 = FRAME_BYTES as u64;

/// Describes the host to a domain that has `ram` (whole frames) of the host's memory. `acpi` is
/// the part of that where its ACPI tables are. Entries come out sorted, apart, and merged.
pub fn dom0_map(host: &[MemmapEntry], ram: &[Span], acpi: Span) -> Vec<MemmapEntry> {
    let mut edges: Vec<u64> = host
        .iter()
        .map(span)
        .flat_map(|span| {
            // Memory that shares a frame with something else is nobody's.
            let frames = span.shrink_to(FRAME);
            [span.start, frames.start, frames.end, span.end]
        })
        .chain(ram.iter().chain([&acpi]).flat_map(|span| [span.start, span.end]))
        .collect();
    edges.sort_unstable();
    edges.dedup();

    let mut map: Vec<MemmapEntry> = Vec::new();
    for (&start, &end) in edges.iter().zip(edges.iter().skip(1)) {
        let piece = Span { start, end };
        let Some(kind) = kind_of(piece, host, ram, acpi) else { continue };
        match map.last_mut() {
            Some(last) if last.ty == kind && span(last).end == start => {
                last.size = last.size.saturating_add(piece.bytes());
            }
            _ => map.push(MemmapEntry { addr: start, size: piece.bytes(), ty: kind, reserved: 0 }),
        }
    }
    limit(&mut map);
    map
}

fn span(entry: &MemmapEntry) -> Span {
    Span::new(entry.addr, entry.size)
}

/// What the domain is told about a piece that no edge lies in. `None` for a hole.
fn kind_of(piece: Span, host: &[MemmapEntry], ram: &[Span], acpi: Span) -> Option<MemmapType> {
    let kinds = host.iter().filter(|entry| span(entry).contains(&piece)).map(|entry| entry.ty);
    let kind = kinds.max_by_key(|kind| severity(*kind))?;
    let in_one = |spans: &[Span]| spans.iter().any(|span| span.contains(&piece));
    Some(match kind {
        MemmapType::RAM if acpi.contains(&piece) => MemmapType::ACPI,
        MemmapType::RAM if in_one(ram) => MemmapType::RAM,
        MemmapType::RAM if piece.start.is_multiple_of(FRAME) && piece.end.is_multiple_of(FRAME) => {
            MemmapType::UNUSABLE
        }
        MemmapType::RAM => MemmapType::RESERVED,
        kind => kind,
    })
}

/// Which entry counts where firmware contradicts itself.
fn severity(kind: MemmapType) -> u32 {
    match kind {
        MemmapType::RAM => 0,
        MemmapType::ACPI => 1,
        MemmapType::NVS => 2,
        MemmapType::UNUSABLE => 4,
        _ => 3,
    }
}

/// Drops the smallest pieces of memory until the rest can be passed on.
fn limit(map: &mut Vec<MemmapEntry>) {
    while map.len() > MAX_ENTRIES {
        let memory = |kind| matches!(kind, MemmapType::RAM | MemmapType::UNUSABLE);
        let smallest = map.iter().enumerate().filter(|(_, entry)| memory(entry.ty));
        let Some((index, _)) = smallest.min_by_key(|(_, entry)| entry.size) else {
            map.truncate(MAX_ENTRIES);
            return;
        };
        map.remove(index);
    }
}

#[cfg(test)]
mod tests {
    use alloc::vec;

    use proptest::prelude::*;

    use super::*;

    fn entry(addr: u64, end: u64, ty: MemmapType) -> MemmapEntry {
        MemmapEntry { addr, size: end - addr, ty, reserved: 0 }
    }

    #[test]
    fn a_pc() {
        let host = [
            entry(0, 0x9_FC00, MemmapType::RAM),
            entry(0x9_FC00, 0xA_0000, MemmapType::RESERVED),
            entry(0xF_0000, 0x10_0000, MemmapType::RESERVED),
            entry(0x10_0000, 0x7FFE_0000, MemmapType::RAM),
            entry(0x7FFE_0000, 0x8000_0000, MemmapType::RESERVED),
            entry(0xB000_0000, 0xC000_0000, MemmapType::RESERVED),
        ];
        let ram = [Span { start: 0, end: 0x9_F000 }, Span { start: 0x10_0000, end: 0x7000_0000 }];
        let acpi = Span { start: 0x10_0000, end: 0x10_1000 };
        assert_eq!(
            dom0_map(&host, &ram, acpi),
            [
                entry(0, 0x9_F000, MemmapType::RAM),
                entry(0x9_F000, 0xA_0000, MemmapType::RESERVED),
                entry(0xF_0000, 0x10_0000, MemmapType::RESERVED),
                entry(0x10_0000, 0x10_1000, MemmapType::ACPI),
                entry(0x10_1000, 0x7000_0000, MemmapType::RAM),
                entry(0x7000_0000, 0x7FFE_0000, MemmapType::UNUSABLE),
                entry(0x7FFE_0000, 0x8000_0000, MemmapType::RESERVED),
                entry(0xB000_0000, 0xC000_0000, MemmapType::RESERVED),
            ]
        );
    }

    #[test]
    fn too_many_pieces_of_memory_are_dropped_smallest_first() {
        let host = [entry(0, 0x1000_0000, MemmapType::RAM)];
        let ram: Vec<Span> =
            (0..100).map(|n| Span::new(n * 0x10_0000, 0x1_0000 + n * 0x1000)).collect();
        let map = dom0_map(&host, &ram, Span::new(0, 0));
        assert_eq!(map.len(), MAX_ENTRIES);
        assert!(map.iter().all(|entry| entry.size > 0x1_0000));
    }

    proptest! {
        /// Against a model that looks at each frame by itself.
        #[test]
        fn each_frame_is_what_it_is(
            host in prop::collection::vec((0..64u64, 1..16u64, 1..6u32), 0..12),
            ram in prop::collection::vec((0..64u64, 1..16u64), 0..5),
        ) {
            let host: Vec<_> = host
                .into_iter()
                .map(|(at, len, ty)| entry(at * FRAME, (at + len) * FRAME, MemmapType(ty)))
                .collect();
            let ram: Vec<_> = ram.into_iter().map(|(at, len)| Span::new(at * FRAME, len * FRAME)).collect();
            let map = dom0_map(&host, &ram, Span::new(0, 0));
            prop_assert!(map.windows(2).all(|pair| span(&pair[0]).end <= pair[1].addr));
            for frame in 0..96u64 {
                let at = Span::new(frame * FRAME, FRAME);
                let worst = host.iter().filter(|entry| span(entry).contains(&at))
                    .map(|entry| entry.ty).max_by_key(|ty| severity(*ty));
                let own = ram.iter().any(|span| span.contains(&at));
                let expected = match worst {
                    Some(MemmapType::RAM) if !own => Some(MemmapType::UNUSABLE),
                    other => other,
                };
                let told: Vec<_> = map.iter().filter(|entry| span(entry).overlaps(&at))
                    .map(|entry| entry.ty).collect();
                prop_assert_eq!(told, expected.map_or(vec![], |ty| vec![ty]));
            }
        }
    }
}
