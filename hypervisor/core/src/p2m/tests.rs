//! The map against a naive model: one `BTreeMap` entry per guest frame.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use core::cell::{Cell, RefCell};

use proptest::prelude::*;

use super::*;
use crate::frame::FrameRange;
use crate::testing::{TestMemory, frame_table};

/// Follows the changes as an IOMMU would, and counts flushes.
#[derive(Default)]
struct Mirror {
    map: RefCell<BTreeMap<u64, Leaf>>,
    flushes: Cell<u32>,
}

impl Stage2Listener for Mirror {
    fn changed(&self, gfn: Gfn, order: u32, leaf: Option<Leaf>) {
        let mut map = self.map.borrow_mut();
        for offset in 0..1 << order {
            match leaf {
                Some(leaf) => map.insert(gfn.0 + offset, leaf.plus(offset)),
                None => map.remove(&(gfn.0 + offset)),
            };
        }
    }
    fn flush(&self) {
        self.flushes.set(self.flushes.get() + 1);
    }
}

struct Fixture {
    table: FrameTable,
    memory: TestMemory,
    mirror: Mirror,
}

impl Fixture {
    fn new(frames: u64) -> Self {
        let table = frame_table(&[FrameRange { start: Mfn(0x1000), frames }]);
        Self { table, memory: TestMemory::default(), mirror: Mirror::default() }
    }

    fn frames(&self) -> Frames<'_, TestMemory> {
        Frames { memory: &self.memory, table: &self.table }
    }

    fn p2m(&self) -> P2m<Npt> {
        P2m::new(self.frames(), Npt { has_1g: true }, DomId(1)).unwrap()
    }

    fn batch(&self) -> FlushBatch<'_> {
        FlushBatch::new(&self.table, &self.mirror)
    }
}

#[derive(Clone, Debug)]
enum Step {
    Map { gfn: u64, order: u32, mfn: u64, kind: P2mKind },
    Replace { gfn: u64, mfn: u64, kind: P2mKind },
    Unmap { gfn: u64, order: u32 },
    Fill { gfn: u64, mfn: u64, skip: u64 },
}

/// Around two places that share no table but the root.
fn gfn() -> impl Strategy<Value = u64> {
    prop_oneof![0u64..0x800, 0x3_ffff_fc00u64..0x4_0000_0400, Just(GFN_LIMIT - 1), Just(GFN_LIMIT)]
}

fn step() -> impl Strategy<Value = Step> {
    let order = prop_oneof![3 => Just(0u32), 2 => Just(9u32), 1 => Just(3u32)];
    let kind = prop::sample::select(P2mKind::ALL.to_vec());
    prop_oneof![
        (gfn(), order.clone(), 0u64..0x100_0000, kind.clone()).prop_map(
            |(gfn, order, mfn, kind)| {
                // Mostly aligned, as most wrong calls are told apart by one.
                let align = if mfn % 8 == 0 { 0 } else { order };
                let (gfn, mfn) = (gfn >> align << align, mfn >> align << align);
                Step::Map { gfn, order, mfn, kind }
            }
        ),
        (gfn(), 0u64..0x100_0000, kind).prop_map(|(gfn, mfn, kind)| Step::Replace {
            gfn,
            mfn,
            kind
        }),
        (gfn(), order).prop_map(|(gfn, order)| Step::Unmap { gfn: gfn >> order << order, order }),
        (gfn(), 0u64..0x8000, 0u64..600).prop_map(|(gfn, mfn, skip)| Step::Fill {
            gfn: gfn >> 9 << 9,
            mfn: mfn << 9,
            skip
        }),
    ]
}

struct Run<'a> {
    fixture: &'a Fixture,
    p2m: P2m<Npt>,
    model: BTreeMap<u64, Leaf>,
}

impl Run<'_> {
    fn map(&mut self, gfn: u64, order: u32, leaf: Leaf) {
        let fits = matches!(order, 0 | 9 | 18)
            && (gfn | leaf.mfn.0).trailing_zeros() >= order
            && gfn < GFN_LIMIT;
        let expected = if !fits {
            Err(P2mError::BadAddress)
        } else if self.model.range(gfn..gfn + (1 << order)).next().is_some() {
            Err(P2mError::Occupied)
        } else {
            self.model.extend((0..1 << order).map(|n| (gfn + n, leaf.plus(n))));
            Ok(())
        };
        let mut batch = self.fixture.batch();
        let result = self.p2m.map(self.fixture.frames(), Gfn(gfn), order, leaf, &mut batch);
        assert_eq!(result, expected);
    }

    fn replace(&mut self, gfn: u64, leaf: Leaf) {
        let expected = if gfn < GFN_LIMIT {
            Ok(self.model.insert(gfn, leaf))
        } else {
            Err(P2mError::BadAddress)
        };
        let mut batch = self.fixture.batch();
        let result = self.p2m.replace(self.fixture.frames(), Gfn(gfn), leaf, &mut batch);
        assert_eq!(result, expected);
    }

    fn unmap(&mut self, gfn: u64, order: u32) {
        let flushes = self.fixture.mirror.flushes.get();
        let mut gone = Vec::new();
        let mut batch = self.fixture.batch();
        let frames = self.fixture.frames();
        let result = self.p2m.unmap(frames, Gfn(gfn), order, &mut batch, |_, leaf, order| {
            gone.extend((0..1 << order).map(|n| leaf.plus(n)));
        });
        drop(batch);
        if !matches!(order, 0 | 9 | 18) || gfn >= GFN_LIMIT {
            assert_eq!(result, Err(P2mError::BadAddress));
            return;
        }
        assert_eq!(result, Ok(()));
        let expected: Vec<Leaf> =
            (gfn..gfn + (1 << order)).filter_map(|gfn| self.model.remove(&gfn)).collect();
        assert_eq!(gone, expected);
        let flushed = self.fixture.mirror.flushes.get() - flushes;
        assert_eq!(flushed, u32::from(!gone.is_empty()), "one flush, and only if needed");
    }

    fn check(&self) {
        let walked: BTreeMap<u64, Leaf> = self
            .p2m
            .walk(&self.fixture.memory, Gfn(0), Gfn(GFN_LIMIT))
            .flat_map(|(gfn, order, leaf)| (0..1 << order).map(move |n| (gfn.0 + n, leaf.plus(n))))
            .collect();
        assert_eq!(walked, self.model);
        assert_eq!(*self.fixture.mirror.map.borrow(), self.model);
        let used = self.fixture.table.total_frames() - self.fixture.table.free_frames();
        assert_eq!(used, self.p2m.tables(), "tables are counted and given back");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..40)) {
        let fixture = Fixture::new(200);
        let mut run = Run { fixture: &fixture, p2m: fixture.p2m(), model: BTreeMap::new() };
        for (n, step) in steps.into_iter().enumerate() {
            match step {
                Step::Map { gfn, order, mfn, kind } => {
                    run.map(gfn, order, Leaf::new(Mfn(mfn), kind));
                }
                Step::Replace { gfn, mfn, kind } => run.replace(gfn, Leaf::new(Mfn(mfn), kind)),
                Step::Unmap { gfn, order } => run.unmap(gfn, order),
                Step::Fill { gfn, mfn, skip } => {
                    for n in (0..512).filter(|n| *n != skip && gfn + n < GFN_LIMIT) {
                        run.replace(gfn + n, Leaf::new(Mfn(mfn + n), P2mKind::Ram));
                    }
                }
            }
            if n % 8 == 7 {
                run.check();
            }
        }
        run.check();
        let mut frames = 0;
        while !run.p2m.tear_down(fixture.frames(), 7, |_, order| frames += 1u64 << order) {}
        prop_assert_eq!(frames, run.model.len() as u64);
        prop_assert_eq!(run.p2m.tables(), 1);
        run.p2m.free_root(fixture.frames());
        prop_assert_eq!(fixture.table.free_frames(), fixture.table.total_frames());
    }
}

#[test]
fn a_gigabyte_is_split_only_where_it_changes() {
    let fixture = Fixture::new(20);
    let mut p2m = fixture.p2m();
    let mut batch = fixture.batch();
    let leaf = Leaf::new(Mfn(0x4_0000), P2mKind::Ram);
    p2m.map(fixture.frames(), Gfn(0x8_0000), ORDER_1G, leaf, &mut batch).unwrap();
    let found = p2m.lookup(&fixture.memory, Gfn(0x8_1234));
    assert_eq!(found, Found { leaf: Some(leaf.plus(0x1234)), order: ORDER_1G });
    p2m.unmap(fixture.frames(), Gfn(0x8_1234), 0, &mut batch, |_, leaf, order| {
        assert_eq!((leaf.mfn, order), (Mfn(0x4_1234), 0));
    })
    .unwrap();
    drop(batch);
    assert_eq!(fixture.mirror.flushes.get(), 1);
    assert_eq!(p2m.lookup(&fixture.memory, Gfn(0x8_1234)), Found { leaf: None, order: 0 });
    assert_eq!(p2m.lookup(&fixture.memory, Gfn(0x8_1235)).order, 0);
    assert_eq!(p2m.lookup(&fixture.memory, Gfn(0x8_0000)).order, ORDER_2M);
    assert_eq!(p2m.lookup(&fixture.memory, Gfn(0x0)).order, ORDER_1G);
    assert_eq!(p2m.tables(), 4);
    // Put back, it is joined to 2 MiB again.
    let mut batch = fixture.batch();
    p2m.replace(fixture.frames(), Gfn(0x8_1234), leaf.plus(0x1234), &mut batch).unwrap();
    drop(batch);
    assert_eq!(p2m.lookup(&fixture.memory, Gfn(0x8_1234)).order, ORDER_2M);
    assert_eq!(p2m.tables(), 3);
}

#[test]
fn the_limit_of_tables_holds_and_a_failed_map_leaves_nothing() {
    let fixture = Fixture::new(20);
    let mut p2m = fixture.p2m();
    p2m.set_table_limit(3);
    let mut batch = fixture.batch();
    let leaf = Leaf::new(Mfn(5), P2mKind::Foreign);
    let map = p2m.map(fixture.frames(), Gfn(7), 0, leaf, &mut batch);
    assert_eq!(map, Err(P2mError::NoMemory));
    drop(batch);
    assert_eq!(p2m.tables(), 1);
    assert_eq!(fixture.table.free_frames(), 19);
    assert_eq!(fixture.mirror.flushes.get(), 1, "a walker may have cached the empty tables");
}

#[test]
fn tables_hold_no_garbage() {
    let fixture = Fixture::new(4);
    let mut p2m = fixture.p2m();
    let mut batch = fixture.batch();
    let leaf = Leaf::new(Mfn(5), P2mKind::Ram);
    p2m.map(fixture.frames(), Gfn(7), 0, leaf, &mut batch).unwrap();
    drop(batch);
    assert_eq!(p2m.walk(&fixture.memory, Gfn(0), Gfn(GFN_LIMIT)).count(), 1);
    assert_eq!(p2m.highest(), Gfn(7));
}

#[test]
fn without_1g_pages_callers_map_parts() {
    let fixture = Fixture::new(4);
    let mut p2m = P2m::new(fixture.frames(), Npt { has_1g: false }, DomId(1)).unwrap();
    let leaf = Leaf::new(Mfn(0), P2mKind::Ram);
    let mut batch = fixture.batch();
    let map = p2m.map(fixture.frames(), Gfn(0), ORDER_1G, leaf, &mut batch);
    assert_eq!(map, Err(P2mError::BadAddress));
}
