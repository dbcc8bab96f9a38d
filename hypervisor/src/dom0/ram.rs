//! Which machine memory becomes dom0's, at guest frames of the same numbers.

use alloc::vec::Vec;

use hv_core::frame::{FrameRange, gather};
use hv_core::memory::{DomainListener, MemoryError};
use hv_core::p2m::FlushBatch;
use hv_core::types::Mfn;

use crate::platform::{Domain, Hypervisor};

/// Takes memory for dom0, from low addresses up: `first` (the initrd, where it lies), then as
/// much of `ram` as there is free until the domain has `pages` frames. Gives what it got, in
/// order.
///
/// Low memory comes first because dom0's kernel, its devices with 32-bit DMA and its start-up
/// code for other CPUs need it, and nobody else does.
pub fn take(
    hv: &Hypervisor,
    domain: &Domain,
    first: Option<FrameRange>,
    ram: &[FrameRange],
    pages: u64,
) -> Vec<FrameRange> {
    let mut got = Vec::new();
    let mut wanted = || pages.saturating_sub(domain.memory.pages());
    let mut claim = |range| {
        let claimed = claim(hv, domain, range);
        if claimed {
            got.push(range);
        }
        claimed
    };
    for range in first.into_iter().chain(ram.iter().copied()) {
        gather(range, &mut wanted, &mut claim);
    }
    join(got, Vec::new())
}

/// Takes the whole of `range`, or nothing.
fn claim(hv: &Hypervisor, domain: &Domain, range: FrameRange) -> bool {
    let listener = DomainListener::new(&hv.platform, domain.id);
    let mut batch = FlushBatch::new(&hv.frames, &listener);
    match domain.memory.map_identity_ram(hv.frames(), range, &mut batch) {
        Ok(()) => true,
        Err(MemoryError::Identity) => false,
        Err(error) => fatal!("can't map dom0's memory at frame {:#x}: {error:?}", range.start.0),
    }
}

/// What of `ram` isn't `taken`. Both are in order, and the second is part of the first.
pub fn without(ram: &[FrameRange], taken: &[FrameRange]) -> Vec<FrameRange> {
    let mut left = Vec::new();
    for range in ram {
        let mut from = range.start;
        let inside = taken.iter().filter(|it| it.start >= range.start && it.end() <= range.end());
        for piece in inside {
            left.push(FrameRange::between(from, piece.start));
            from = Mfn(piece.end());
        }
        left.push(FrameRange::between(from, Mfn(range.end())));
    }
    left
}

/// All of two lists, in order.
pub fn join(mut first: Vec<FrameRange>, second: Vec<FrameRange>) -> Vec<FrameRange> {
    first.extend(second);
    first.sort_by_key(|range| range.start);
    merge(first)
}

/// Joins ranges that touch.
fn merge(sorted: Vec<FrameRange>) -> Vec<FrameRange> {
    let mut merged: Vec<FrameRange> = Vec::new();
    for range in sorted {
        match merged.last_mut() {
            Some(last) if last.start.0 + last.frames == range.start.0 => {
                last.frames += range.frames
            }
            _ => merged.push(range),
        }
    }
    merged
}
