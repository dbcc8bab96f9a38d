//! Units in software, and devices that try.

mod memory;
mod model;

use std::vec;
use std::vec::Vec;

use hv_core::types::{Gfn, Gpa, Mfn};
use proptest::prelude::*;

use self::memory::TestMemory;
use self::model::{Kind, Model, NO_CONTEXT, NO_READ, NO_ROOT, NO_WRITE, TYPICAL};
use super::*;

const DEVICE: Sbdf = Sbdf::new(0, 2, 3, 1);

fn target(mfn: u64, writable: bool) -> Option<Target> {
    Some(Target { mfn: Mfn(mfn), writable })
}

/// Domain 0 with 1 GiB from address 0 but for a hole, a page that it may only read, and a
/// page of another domain; its device; all on.
fn start<'a>(
    memory: &'a TestMemory,
    model: &'a Model<'a>,
) -> (Iommu<&'a Model<'a>>, SecondLevel, DomainTag) {
    let mut iommu = Iommu::new(memory, [(0, model)]).unwrap();
    let mut tables = SecondLevel::new(memory, iommu.shape()).unwrap();
    let tag = iommu.tag(DomId(0)).unwrap();
    tables.map(memory, Gfn(0), 1 << 18, target(0, true)).unwrap();
    tables.map(memory, Gfn(0x1000), 0x10, None).unwrap();
    tables.map(memory, Gfn(0x2000), 1, target(0x2000, false)).unwrap();
    tables.map(memory, Gfn(0x12_3456), 1, target(0x7_8000, true)).unwrap();
    iommu.attach_bus(memory, 0, DEVICE.bus(), Some((&tables, tag))).unwrap();
    iommu.enable(memory).unwrap();
    (iommu, tables, tag)
}

fn kinds() -> [Kind; 5] {
    [
        TYPICAL,
        Kind { levels: 3, ..TYPICAL },
        Kind { queue: false, ..TYPICAL },
        Kind { coherent: false, ..TYPICAL },
        Kind { queue: false, coherent: false, write_buffer: true, levels: 3, dead: false },
    ]
}

#[test]
fn devices_reach_their_domains_memory_and_no_other() {
    for kind in kinds() {
        let memory = TestMemory::new();
        let model = Model::new(&memory, kind);
        let (iommu, _tables, _) = start(&memory, &model);
        let dma = |address, write| model.dma(DEVICE.requester(), address, write);
        assert_eq!(dma(0x1234, true), Ok(0x1234));
        assert_eq!(dma(0x3FFF_FFFF, false), Ok(0x3FFF_FFFF));
        assert_eq!(dma(0x1_2345_6789, true), Ok(0x7800_0789));
        assert_eq!(dma(0x200_0010, false), Ok(0x200_0010));
        assert_eq!(iommu.faults(), []);

        assert_eq!(dma(0x100_5678, true), Err(NO_WRITE));
        let requester = DEVICE.requester();
        let fault = Fault { requester, address: Gpa(0x100_5000), write: true, reason: NO_WRITE };
        assert_eq!(iommu.faults(), [(0, fault)]);
        assert_eq!(iommu.faults(), []);
        assert_eq!(dma(0x200_0010, true), Err(NO_WRITE));
        assert_eq!(dma(0x4000_0000, false), Err(NO_READ));
        // The second found no free record; still the unit records again.
        assert_eq!(iommu.faults().len(), 1);
        assert_eq!(model.dma(0x0100, 0, false), Err(NO_ROOT));
        assert_eq!(iommu.faults()[0].1.reason, NO_ROOT);
    }
}

#[test]
fn what_firmware_left_on_is_taken_over() {
    for kind in kinds() {
        let memory = TestMemory::new();
        let model = Model::new(&memory, kind).left_on();
        let (mut iommu, tables, tag) = start(&memory, &model);
        let queue = u32::from(kind.queue) << 26;
        assert_eq!(model.status(), 1 << 31 | 1 << 30 | queue);
        assert!(!model.is_protected());

        // A function that is taken away, and given back.
        let dma = || model.dma(DEVICE.requester(), 0x1234, true);
        assert_eq!(dma(), Ok(0x1234));
        iommu.attach(&memory, DEVICE, None).unwrap();
        assert_eq!(dma(), Ok(0x1234), "still cached");
        iommu.flush_all(&memory).unwrap();
        assert_eq!(dma(), Err(NO_CONTEXT));
        iommu.attach(&memory, DEVICE, Some((&tables, tag))).unwrap();
        assert_eq!(dma(), Ok(0x1234));

        iommu.disable(&memory).unwrap();
        assert_eq!(model.dma(0, 0xABCD_E000, true), Ok(0xABCD_E000));
    }
}

#[test]
fn a_translation_ends_with_the_flush_and_tables_with_the_reclaim() {
    for kind in kinds() {
        let memory = TestMemory::new();
        let model = Model::new(&memory, kind);
        let (mut iommu, mut tables, tag) = start(&memory, &model);
        let dma = |gfn: u64| model.dma(DEVICE.requester(), gfn << 12, true);
        let used = memory.used();
        // Splits a large page.
        tables.map(&memory, Gfn(0x4001), 1, None).unwrap();
        assert_eq!(memory.used(), used + 1);
        assert_eq!(dma(0x4000), Ok(0x400_0000));
        tables.map(&memory, Gfn(0x4000), 0x200, None).unwrap();
        assert_eq!(memory.used(), used + 1, "the unit may still walk it");
        assert_eq!(dma(0x4000), Ok(0x400_0000), "still cached");
        iommu.flush(&memory, iommu.tag(DomId(1)).unwrap()).unwrap();
        assert_eq!(dma(0x4000), Ok(0x400_0000), "another domain's flush");
        iommu.flush(&memory, tag).unwrap();
        tables.reclaim(&memory);
        assert_eq!(memory.used(), used);
        assert_eq!(dma(0x4000), Err(NO_WRITE));
    }
}

#[test]
fn many_flushes_go_round_the_queue() {
    let memory = TestMemory::new();
    let model = Model::new(&memory, TYPICAL);
    let (mut iommu, _tables, tag) = start(&memory, &model);
    for _ in 0..1000 {
        iommu.flush(&memory, tag).unwrap();
    }
}

#[test]
fn a_unit_that_does_nothing_is_an_error() {
    let memory = TestMemory::new();
    let model = Model::new(&memory, Kind { dead: true, ..TYPICAL });
    let mut iommu = Iommu::new(&memory, [(0, &model)]).unwrap();
    let error = iommu.enable(&memory).unwrap_err();
    assert_eq!(error, UnitError::Stuck { what: "setting the root table" });
    let (three, four) = (Model::new(&memory, Kind { levels: 3, ..TYPICAL }), &model);
    let error = Iommu::new(&memory, [(0, &three), (0, four)]).err().unwrap();
    assert!(matches!(error, UnitError::NoTables { .. }));
}

#[test]
fn a_page_that_cant_be_split_is_refused() {
    let memory = TestMemory::new();
    let shape = Shape { levels: 4, has_2m: true, has_1g: true, coherent: true };
    let mut tables = SecondLevel::new(&memory, shape).unwrap();
    tables.map(&memory, Gfn(0), 1 << 18, target(0, true)).unwrap();
    memory.left.set(1);
    assert_eq!(tables.map(&memory, Gfn(5), 1, None), Err(OutOfFrames));
    assert_eq!(tables.lookup(&memory, Gfn(5)), None);
    assert_eq!(tables.lookup(&memory, Gfn(0x1FF)), None);
    assert_eq!(tables.lookup(&memory, Gfn(0x200)), target(0x200, true));
}

#[test]
fn reserved_memory_stays_mapped() {
    let memory = TestMemory::new();
    let shape = Shape { levels: 3, has_2m: false, has_1g: false, coherent: true };
    let mut tables = SecondLevel::new(&memory, shape).unwrap();
    tables.pin(&memory, Mfn(0x100), Mfn(0x1FF)).unwrap();
    tables.map(&memory, Gfn(0), 0x1000, target(0x8000, true)).unwrap();
    assert_eq!(tables.lookup(&memory, Gfn(0x150)), target(0x8150, true));
    tables.map(&memory, Gfn(0), 0x1000, None).unwrap();
    let mapped: Vec<_> =
        (0..0x1000).filter(|gfn| tables.lookup(&memory, Gfn(*gfn)).is_some()).collect();
    assert_eq!(mapped, (0x100..=0x1FF).collect::<Vec<u64>>());
    tables.destroy(&memory);
    assert_eq!(memory.used(), 0);
}

/// What QEMU's `-device intel-iommu,intremap=on` describes, with a region and a port added.
fn dmar() -> Vec<u8> {
    let mut table = vec![0; 48];
    table[..4].copy_from_slice(b"DMAR");
    (table[36], table[37]) = (38, 1);
    table.extend([0, 0, 24, 0, 1, 0, 0, 0]);
    table.extend(0xFED9_0000u64.to_le_bytes());
    table.extend([3, 8, 0, 0, 0, 0xFF, 0, 0]);
    table.extend([1, 0, 34, 0, 0, 0, 0, 0]);
    table.extend(0x7F00_0000u64.to_le_bytes());
    table.extend(0x7F0F_FFFFu64.to_le_bytes());
    table.extend([1, 10, 0, 0, 0, 0, 4, 0, 3, 1]);
    table.extend([2, 0, 8, 0, 0, 0, 1, 0]);
    table.extend([9, 0, 4, 0]);
    table
}

struct Bridge;

impl crate::pci::ConfigSpace for Bridge {
    fn read(&self, function: Sbdf, register: crate::pci::Register) -> u32 {
        assert_eq!((function, register.offset()), (Sbdf::new(0, 0, 4, 0), 0x19));
        2
    }
    fn write(&self, _: Sbdf, _: crate::pci::Register, _: u32) {}
}

#[test]
fn firmwares_description_is_read() {
    let dmar = Dmar::parse(&dmar()).unwrap();
    assert_eq!((dmar.address_bits, dmar.interrupt_remapping), (39, true));
    let unit = &dmar.units[0];
    assert_eq!((unit.registers, unit.includes_all), (0xFED9_0000, true));
    let scope =
        Scope { kind: ScopeKind::IO_APIC, enumeration_id: 0, start_bus: 0xFF, path: vec![(0, 0)] };
    assert_eq!(unit.scopes, [scope]);
    let region = &dmar.reserved[0];
    assert_eq!((region.start, region.last), (0x7F00_0000, 0x7F0F_FFFF));
    assert_eq!(region.scopes[0].resolve(&Bridge, 0), Some(DEVICE));
    assert_eq!(dmar.root_ports, [(1, vec![])]);
}

#[derive(Clone, Debug)]
struct Change {
    gfn: u64,
    frames: u64,
    target: Option<(u64, bool)>,
}

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let order = prop_oneof![Just(0u32), Just(9), Just(18)];
    let change = (0..6u64, 0..4u64, order, 1..3u64, any::<bool>(), any::<bool>(), 0..8u64);
    let change = change.prop_map(|(giga, at, order, count, mapped, writable, to)| {
        let size = 1 << order;
        let gfn = (giga << 18) + at * size;
        let mfn = (to << 18) + at * size + u64::from(to == 7);
        Change { gfn, frames: count * size, target: mapped.then_some((mfn, writable)) }
    });
    prop::collection::vec(change, 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Against a list of changes of which the last one counts.
    #[test]
    fn tables_map_what_was_last_said(
        changes in changes(),
        levels in 3..5u32,
        has_2m: bool,
        has_1g: bool,
        coherent: bool,
    ) {
        let memory = TestMemory::new();
        let shape = Shape { levels, has_2m, has_1g: has_1g && has_2m, coherent };
        let mut tables = SecondLevel::new(&memory, shape).unwrap();
        let mut changes = changes;
        for change in &mut changes {
            // A GiB in small pages would be a long test.
            change.frames = change.frames.min(if shape.has_1g { u64::MAX } else { 0x600 });
            let target = change.target.map(|(mfn, writable)| Target { mfn: Mfn(mfn), writable });
            tables.map(&memory, Gfn(change.gfn), change.frames, target).unwrap();
        }
        let expected = |gfn: u64| {
            let last = changes.iter().rev()
                .find(|change| (change.gfn..change.gfn + change.frames).contains(&gfn))?;
            let (mfn, writable) = last.target?;
            target(mfn + gfn - last.gfn, writable)
        };
        let edges = changes.iter().flat_map(|change| [change.gfn, change.gfn + change.frames]);
        for gfn in edges.flat_map(|edge| [edge.saturating_sub(1), edge, edge + 1, edge + 511]) {
            prop_assert_eq!(tables.lookup(&memory, Gfn(gfn)), expected(gfn), "gfn {:#x}", gfn);
        }
        prop_assert!(coherent || memory.dirty.borrow().is_empty());
        tables.destroy(&memory);
        prop_assert_eq!(memory.used(), 0);
    }

    #[test]
    fn a_damaged_description_is_refused_or_read(at in 36..160usize, byte: u8, cut in 0..160usize) {
        let mut table = dmar();
        if let Some(place) = table.get_mut(at) {
            *place = byte;
        }
        table.truncate(cut.max(1));
        let _ = Dmar::parse(&table);
    }
}
