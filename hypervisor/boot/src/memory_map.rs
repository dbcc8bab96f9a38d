//! Which memory is whose when the hypervisor starts.

use crate::info::{Region, RegionKind};
use crate::ranges::{Range, Ranges};

/// The whole frames of usable memory in the firmware's map. Where entries contradict each other,
/// memory is only what none of them claims for something else.
pub fn ram(regions: &[Region]) -> Ranges {
    let mut ram = Ranges::new();
    for region in regions.iter().filter(|region| region.kind == RegionKind::RAM) {
        ram.insert(Range::inside(region.start, region.end()));
    }
    for region in regions.iter().filter(|region| region.kind != RegionKind::RAM) {
        ram.remove(Range::around(region.start, region.end()));
    }
    ram
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use super::*;

    #[test]
    fn reserved_entries_win_over_memory() {
        let region = |start, bytes, kind| Region { start, bytes, kind };
        let regions = [
            region(0, 0x9_FC00, RegionKind::RAM),
            region(0x9_FC00, 0x400, RegionKind::RESERVED),
            region(0x10_0000, 0x1000_0000, RegionKind::RAM),
            region(0x20_0800, 0x1000, RegionKind::NVS),
            region(0x10_0000_0000, 0x800, RegionKind::RAM),
        ];
        let ranges: Vec<_> = ram(&regions).iter().map(|range| (range.start, range.end)).collect();
        assert_eq!(ranges, [(0, 0x9_F000), (0x10_0000, 0x20_0000), (0x20_2000, 0x1010_0000)]);
    }
}
