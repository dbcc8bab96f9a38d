//! The frame table against a naive model: a map from frame to its kind, owner and references.

use alloc::collections::BTreeMap;
use alloc::vec::Vec;

use proptest::prelude::*;

use super::*;
use crate::testing::{GARBAGE, TestMemory, frame_table};
use crate::types::FRAME_BYTES;

const RAM: [FrameRange; 3] = [
    FrameRange { start: Mfn(3), frames: 90 },
    FrameRange { start: Mfn(0x60), frames: 0x3a5 },
    FrameRange { start: Mfn(0x10_0000), frames: 0x207 },
];

#[derive(Default)]
struct Model(BTreeMap<u64, FrameInfo>);

fn all_ram() -> impl Iterator<Item = u64> {
    RAM.iter().flat_map(|range| range.start.0..range.end())
}

impl Model {
    fn free(&self) -> u64 {
        all_ram().filter(|mfn| !self.0.contains_key(mfn)).count() as u64
    }

    fn is_free(&self, start: u64, frames: u64) -> bool {
        let ram = |mfn| RAM.iter().any(|range| (range.start.0..range.end()).contains(&mfn));
        (start..start + frames).all(|mfn| ram(mfn) && !self.0.contains_key(&mfn))
    }

    fn has_block(&self, order: u32, below: u64) -> bool {
        all_ram()
            .filter(|mfn| mfn % (1 << order) == 0 && mfn + (1 << order) <= below)
            .any(|mfn| self.is_free(mfn, 1 << order))
    }

    fn add(&mut self, start: u64, frames: u64, kind: FrameKind, owner: DomId) {
        let info = FrameInfo { kind, owner, references: 1 };
        self.0.extend((start..start + frames).map(|mfn| (mfn, info)));
    }

    fn drop_one(&mut self, mfn: u64, orphan: bool) {
        let info = self.0.get_mut(&mfn).unwrap();
        info.references -= 1;
        if info.references == 0 {
            self.0.remove(&mfn);
        } else if orphan {
            (info.kind, info.owner) = (FrameKind::Orphan, DomId::INVALID);
        }
    }

    fn nth(&self, n: usize) -> Option<(u64, FrameInfo)> {
        let n = n.checked_rem(self.0.len())?;
        self.0.iter().nth(n).map(|(mfn, info)| (*mfn, *info))
    }
}

#[derive(Clone, Debug)]
enum Step {
    Alloc { order: u32, owner: u16, below: Option<u64> },
    Claim { start: u64, frames: u64 },
    Share(usize),
    Put(usize),
    Disown(usize),
    FreeAllOf(u16),
    Scrub,
}

fn step() -> impl Strategy<Value = Step> {
    let mfn = prop_oneof![0u64..0x420, 0x0f_fff0u64..0x10_0220];
    prop_oneof![
        4 => (0u32..11, 0u16..4, prop::option::of(mfn.clone()))
            .prop_map(|(order, owner, below)| Step::Alloc { order, owner, below }),
        2 => (mfn, 1u64..300).prop_map(|(start, frames)| Step::Claim { start, frames }),
        2 => any::<usize>().prop_map(Step::Share),
        3 => any::<usize>().prop_map(Step::Put),
        2 => any::<usize>().prop_map(Step::Disown),
        1 => (0u16..4).prop_map(Step::FreeAllOf),
        1 => Just(Step::Scrub),
    ]
}

/// Carries out a step on both, and compares what it gave.
fn apply(step: Step, table: &FrameTable, memory: &TestMemory, model: &mut Model) {
    match step {
        Step::Alloc { order, owner, below } => {
            let mut request = Request::new(order, FrameKind::DomainRam, DomId(owner));
            request.below = below.unwrap_or(u64::MAX);
            let possible = model.has_block(order, request.below);
            let mfn = table.alloc_zeroed(memory, &request);
            assert_eq!(mfn.is_some(), possible, "{order} below {below:x?}");
            let Some(mfn) = mfn else { return };
            assert!(mfn.0 % (1 << order) == 0 && mfn.0 + (1 << order) <= request.below);
            assert!(model.is_free(mfn.0, 1 << order));
            model.add(mfn.0, 1 << order, FrameKind::DomainRam, DomId(owner));
            for mfn in mfn.0..mfn.0 + (1 << order) {
                assert_eq!(memory.frame(Mfn(mfn)), [0; FRAME_BYTES]);
                memory.write(Mfn(mfn), 0, &[GARBAGE; 8]);
            }
        }
        Step::Claim { start, frames } => {
            let range = FrameRange { start: Mfn(start), frames };
            let claimed = table.claim_exact(range, FrameKind::Shared, DomId(2));
            let free = model.is_free(start, frames);
            assert_eq!(claimed.is_ok(), free);
            if free {
                model.add(start, frames, FrameKind::Shared, DomId(2));
            }
        }
        Step::Share(n) => {
            let Some((mfn, info)) = model.nth(n) else { return };
            let owned = table.get(Mfn(mfn), info.owner).is_ok();
            assert_eq!(owned, info.kind != FrameKind::Orphan);
            assert_eq!(table.get(Mfn(mfn), DomId(77)).err(), Some(FrameError::NotOwned));
            table.share(Mfn(mfn)).unwrap().keep();
            model.0.get_mut(&mfn).unwrap().references += 1;
        }
        Step::Put(n) => {
            let Some((mfn, _)) = model.nth(n) else { return };
            table.put(Mfn(mfn));
            model.drop_one(mfn, false);
        }
        Step::Disown(n) => {
            let Some((mfn, _)) = model.nth(n) else { return };
            table.disown_range(FrameRange { start: Mfn(mfn), frames: 1 });
            model.drop_one(mfn, true);
        }
        Step::FreeAllOf(owner) => {
            let owned: Vec<u64> = model
                .0
                .iter()
                .filter(|(_, info)| info.owner == DomId(owner))
                .map(|(mfn, _)| *mfn)
                .collect();
            for mfn in owned {
                table.disown_range(FrameRange { start: Mfn(mfn), frames: 1 });
                model.drop_one(mfn, true);
            }
        }
        Step::Scrub => {
            table.scrub_some(memory);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn agrees_with_the_model(steps in prop::collection::vec(step(), 1..60)) {
        let table = frame_table(&RAM);
        let memory = TestMemory::default();
        let mut model = Model::default();
        for step in steps {
            apply(step, &table, &memory, &mut model);
            prop_assert_eq!(table.free_frames(), model.free());
        }
        for mfn in all_ram() {
            let info = table.info(Mfn(mfn)).unwrap();
            match model.0.get(&mfn) {
                Some(expected) => prop_assert_eq!(info, *expected),
                None => prop_assert_eq!(info.kind, FrameKind::Free),
            }
        }
        // Everything given back joins into the largest blocks again.
        while let Some((mfn, _)) = model.nth(0) {
            table.put(Mfn(mfn));
            model.drop_one(mfn, false);
        }
        for range in RAM {
            prop_assert!(table.claim_exact(range, FrameKind::Hypervisor, DomId::XEN).is_ok());
        }
        prop_assert_eq!(table.free_frames(), 0);
    }
}

#[test]
fn holes_are_not_ram() {
    let table = frame_table(&RAM);
    assert_eq!(table.info(Mfn(0x5d)).unwrap().kind, FrameKind::Reserved);
    assert_eq!(table.info(Mfn(0x8000)), None);
    assert_eq!(table.get(Mfn(0x8000), DomId(0)).err(), Some(FrameError::NotRam));
    assert_eq!(table.max_mfn(), Mfn(0x10_0206));
    assert_eq!(table.total_frames(), RAM.iter().map(|range| range.frames).sum::<u64>());
}

#[test]
fn high_memory_goes_first_and_blocks_rejoin() {
    let table = frame_table(&[FrameRange { start: Mfn(0), frames: 1 << MAX_ORDER }]);
    let one = table.alloc(&Request::hypervisor(0)).unwrap();
    assert_eq!(one, Mfn((1 << MAX_ORDER) - 1));
    assert_eq!(table.alloc(&Request::hypervisor(MAX_ORDER)), None);
    table.put(one);
    assert_eq!(table.alloc(&Request::hypervisor(MAX_ORDER)), Some(Mfn(0)));
    assert_eq!(table.alloc(&Request::hypervisor(64)), None);
}

#[test]
fn the_first_mib_goes_last_however_small_its_blocks() {
    let range = |start, frames| FrameRange { start: Mfn(start), frames };
    let table = frame_table(&[range(3, 9), range(0x200, 0x200)]);
    for _ in 0..0x200 {
        assert!(table.alloc(&Request::hypervisor(0)).unwrap() >= Mfn(0x200));
    }
    assert_eq!(table.alloc(&Request::hypervisor(0)), Some(Mfn(3)));
}

#[test]
fn what_is_set_aside_is_only_for_its_domain() {
    let table = frame_table(&[FrameRange { start: Mfn(0), frames: 10 }]);
    assert!(table.stake(8));
    assert!(!table.stake(3));
    assert_eq!(table.alloc(&Request::hypervisor(2)), None);
    assert!(table.alloc(&Request::hypervisor(1)).is_some());
    let own = Request::new(2, FrameKind::DomainRam, DomId(1)).claimed(8);
    assert!(table.alloc(&own).is_some());
    table.unstake(8);
    assert_eq!((table.claimed_frames(), table.free_frames()), (0, 4));
}

#[test]
fn scrubbing_empties_the_list_of_dirty_frames() {
    let table = frame_table(&RAM);
    let memory = TestMemory::default();
    let held = table.alloc(&Request::hypervisor(4)).unwrap();
    let mut calls = 0;
    while table.scrub_some(&memory) {
        calls += 1;
        assert!(calls < 1000);
    }
    assert_eq!(table.dirty_frames(), 0);
    assert_eq!(memory.frame(Mfn(0x100)), [0; FRAME_BYTES]);
    assert_eq!(memory.frame(held), [GARBAGE; FRAME_BYTES]);
    assert_eq!(table.free_frames(), table.total_frames() - 16);
}

#[test]
#[should_panic(expected = "released more often than taken")]
fn releasing_a_free_frame_is_our_own_mistake() {
    frame_table(&RAM).put(Mfn(0x61));
}

#[test]
fn many_cpus_at_once() {
    let table = frame_table(&RAM);
    let memory = TestMemory::default();
    std::thread::scope(|scope| {
        for cpu in 0..4_u16 {
            let (table, memory) = (&table, &memory);
            scope.spawn(move || {
                let mut held = Vec::new();
                for round in 0..400_u32 {
                    let order = (round * 7 + u32::from(cpu)) % 6;
                    let request = Request::new(order, FrameKind::DomainRam, DomId(cpu));
                    if let Some(mfn) = table.alloc_zeroed(memory, &request) {
                        memory.write(mfn, 0, &[cpu as u8; 64]);
                        held.push(FrameRange { start: mfn, frames: 1 << order });
                    }
                    table.scrub_some(memory);
                    if round % 3 == 2
                        && let Some(range) = held.pop()
                    {
                        let other = table.get(range.start, DomId(cpu)).unwrap();
                        assert_eq!(memory.load_u8(range.start, 5), cpu as u8);
                        table.disown_range(range);
                        assert_eq!(
                            table.get(range.start, DomId(cpu)).err(),
                            Some(FrameError::NotOwned)
                        );
                        drop(other);
                    }
                }
                held.into_iter().for_each(|range| table.disown_range(range));
            });
        }
    });
    assert_eq!(table.free_frames(), table.total_frames());
    while table.scrub_some(&memory) {}
    assert_eq!(table.dirty_frames(), 0);
}
