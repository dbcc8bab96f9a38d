//! Which machine memory becomes dom0's, at guest frames of the same numbers.

use alloc::vec::Vec;

use hv_core::frame::FrameRange;
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
    let mut taken = Taking { hv, domain, pages, got: Vec::new() };
    if let Some(range) = first {
        taken.take(range);
    }
    for &range in ram {
        taken.take(range);
    }
    join(taken.got, Vec::new())
}

struct Taking<'a> {
    hv: &'a Hypervisor,
    domain: &'a Domain,
    pages: u64,
    got: Vec<FrameRange>,
}

impl Taking<'_> {
    /// Takes what is free of `range`, in pieces as large as they come.
    fn take(&mut self, range: FrameRange) {
        let wanted = self.pages.saturating_sub(self.domain.memory.pages());
        let range = FrameRange { frames: range.frames.min(wanted), ..range };
        if range.frames == 0 || self.claim(range) || range.frames == 1 {
            return;
        }
        let half = range.frames.next_power_of_two() / 2;
        self.take(FrameRange { frames: half, ..range });
        let rest = FrameRange { start: Mfn(range.start.0 + half), frames: range.frames - half };
        self.take(rest);
    }

    /// Takes the whole of `range`, or nothing.
    fn claim(&mut self, range: FrameRange) -> bool {
        let listener = DomainListener::new(&self.hv.platform, self.domain.id);
        let mut batch = FlushBatch::new(&self.hv.frames, &listener);
        let claimed = self.domain.memory.map_identity_ram(self.hv.frames(), range, &mut batch);
        match claimed {
            Ok(()) => self.got.push(range),
            Err(MemoryError::Identity) => return false,
            Err(error) => {
                fatal!("can't map dom0's memory at frame {:#x}: {error:?}", range.start.0)
            }
        }
        true
    }
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
