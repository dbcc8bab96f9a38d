//! Two domains, one of them identity-mapped, under random operations. After each: every count
//! fits what the maps show, and no translation that a CPU may still hold leads to a free frame.

use alloc::collections::{BTreeMap, BTreeSet};
use core::cell::RefCell;

use proptest::prelude::*;

use super::*;
use crate::frame::{FrameInfo, FrameRange, FrameTable};
use crate::p2m::{GFN_LIMIT, Npt, Stage2Listener};
use crate::testing::{GARBAGE, TestMemory, frame_table};
use crate::types::{FRAME_BYTES, Gpa};

const GUEST: DomId = DomId(3);
const TOTAL: u64 = 3000;

/// The translations that CPUs may hold: all that there ever were since the last flush.
#[derive(Default)]
struct Tlb {
    now: RefCell<BTreeMap<u64, u64>>,
    cached: RefCell<BTreeSet<(u64, u64)>>,
}

impl Stage2Listener for Tlb {
    fn changed(&self, gfn: Gfn, order: u32, leaf: Option<Leaf>) {
        for offset in 0..1 << order {
            let gfn = gfn.0 + offset;
            match leaf {
                Some(leaf) => {
                    self.now.borrow_mut().insert(gfn, leaf.mfn.0 + offset);
                    self.cached.borrow_mut().insert((gfn, leaf.mfn.0 + offset));
                }
                None => {
                    self.now.borrow_mut().remove(&gfn);
                }
            }
        }
    }
    fn flush(&self) {
        *self.cached.borrow_mut() = self.now.borrow().iter().map(|(g, m)| (*g, *m)).collect();
    }
}

struct Machine {
    table: FrameTable,
    memory: TestMemory,
    /// The control domain, then the guest.
    domains: [DomainMemory<Npt>; 2],
    tlbs: [Tlb; 2],
}

impl Machine {
    fn new(released: Released) -> Self {
        let table = frame_table(&[FrameRange { start: Mfn(0), frames: TOTAL }]);
        let memory = TestMemory::default();
        let frames = Frames { memory: &memory, table: &table };
        let npt = Npt { has_1g: false };
        let domains = [
            DomainMemory::new(frames, npt, DomId::DOM0, Placement::Identity(released)).unwrap(),
            DomainMemory::new(frames, npt, GUEST, Placement::Anywhere).unwrap(),
        ];
        Self { table, memory, domains, tlbs: Default::default() }
    }

    fn frames(&self) -> Frames<'_, TestMemory> {
        Frames { memory: &self.memory, table: &self.table }
    }

    fn on(
        &self,
        domain: usize,
        run: impl FnOnce(&DomainMemory<Npt>, &mut FlushBatch<'_>) -> Result<(), MemoryError>,
    ) -> Result<(), MemoryError> {
        let mut batch = FlushBatch::new(&self.table, &self.tlbs[domain]);
        run(&self.domains[domain], &mut batch)
    }

    fn leaves(&self, domain: usize) -> BTreeMap<u64, Leaf> {
        let inner = self.domains[domain].inner.read();
        let walk = inner.p2m.walk(&self.memory, Gfn(0), Gfn(GFN_LIMIT));
        walk.flat_map(|(gfn, order, leaf)| {
            (0..1 << order).map(move |n| (gfn.0 + n, Leaf::new(Mfn(leaf.mfn.0 + n), leaf.kind)))
        })
        .collect()
    }

    /// What each frame's metadata must be, from the maps alone, but for frames that an
    /// identity-mapped domain keeps.
    fn expected(&self) -> BTreeMap<u64, FrameInfo> {
        let mut expected = BTreeMap::new();
        let mut refer = |mfn: u64, kind: FrameKind, owner: DomId| {
            let info = FrameInfo { kind, owner, references: 0 };
            let info = expected.entry(mfn).or_insert(info);
            if kind != FrameKind::Orphan {
                (info.kind, info.owner) = (kind, owner);
            }
            info.references += 1;
        };
        for (index, domain) in self.domains.iter().enumerate() {
            refer(domain.shared_info.0, FrameKind::Shared, domain.owner);
            for leaf in self.leaves(index).values() {
                if leaf.kind.is_own_ram() {
                    refer(leaf.mfn.0, FrameKind::DomainRam, domain.owner);
                } else {
                    refer(leaf.mfn.0, FrameKind::Orphan, DomId::INVALID);
                }
            }
        }
        expected
    }

    fn check(&self) {
        let expected = self.expected();
        let leaves = [self.leaves(0), self.leaves(1)];
        let mut hidden = 0;
        let mut used = self.domains.iter().map(|domain| domain.tables().0).sum::<u64>();
        for mfn in 0..TOTAL {
            let info = self.table.info(Mfn(mfn)).unwrap();
            let own = info.owner == DomId::DOM0 && info.references > 0;
            let mapped = leaves[0].get(&mfn).is_some_and(|leaf| leaf.kind.is_own_ram());
            let kept =
                own && !mapped && matches!(info.kind, FrameKind::DomainRam | FrameKind::Retained);
            if kept {
                hidden += u64::from(info.kind == FrameKind::DomainRam);
                let others = expected.get(&mfn).map_or(0, |info| info.references);
                assert_eq!(info.references, others + 1, "frame {mfn:#x}, kept");
            } else if let Some(expected) = expected.get(&mfn) {
                assert_eq!(info, *expected, "frame {mfn:#x}");
            } else {
                assert!(matches!(info.kind, FrameKind::Free | FrameKind::Table));
                continue;
            }
            used += 1;
        }
        assert_eq!(self.table.free_frames(), TOTAL - used);
        let own = |map: &BTreeMap<u64, Leaf>| {
            map.values().filter(|leaf| leaf.kind.is_own_ram()).count() as u64
        };
        assert_eq!(self.domains[0].pages(), own(&leaves[0]) + hidden);
        assert_eq!(self.domains[1].pages(), own(&leaves[1]));
        for (gfn, leaf) in leaves[0].iter().filter(|(_, leaf)| leaf.kind.is_own_ram()) {
            assert_eq!(*gfn, leaf.mfn.0, "identity");
        }
        for tlb in &self.tlbs {
            for (_, mfn) in tlb.cached.borrow().iter() {
                assert_ne!(self.table.info(Mfn(*mfn)).unwrap().kind, FrameKind::Free);
            }
        }
    }

    fn apply(&self, step: &Step) {
        let Step { domain, op, gfn, other } = *step;
        let (gfn, other) = (Gfn(gfn), Gfn(other));
        let before = self.leaves(domain);
        let at = |gfn: Gfn| before.get(&gfn.0).copied();
        let frames = self.frames();
        match op {
            Op::Populate(order) => {
                let gfn = Gfn(gfn.0 >> order << order);
                let request = PopulateRequest { gfn, order, below: None };
                let mut mfn = None;
                let done = self.on(domain, |memory, batch| {
                    mfn = Some(memory.populate(frames, request, batch)?);
                    Ok(())
                });
                let range = gfn.0..gfn.0 + (1 << order);
                if domain == 1 {
                    let hole = before.range(range.clone()).next().is_none();
                    let grant = at(gfn).is_some_and(|leaf| leaf.kind.is_grant());
                    assert_eq!(done.is_ok(), if order == 0 { !grant } else { hole });
                }
                let fresh = !(domain == 0 && at(gfn).is_some_and(|leaf| leaf.mfn.0 == gfn.0));
                if let Some(mfn) = mfn {
                    let now = self.leaves(domain);
                    for (offset, gfn) in range.enumerate() {
                        let mfn = Mfn(mfn.0 + offset as u64);
                        assert_eq!(now[&gfn], Leaf::new(mfn, P2mKind::Ram));
                        if fresh && domain == 1 {
                            assert_eq!(self.memory.frame(mfn), [0; FRAME_BYTES]);
                        }
                        self.memory.write(mfn, 8, &[GARBAGE; 8]);
                    }
                }
            }
            Op::Decrease(order) => {
                let gfn = Gfn(gfn.0 >> order << order);
                let done =
                    self.on(domain, |memory, batch| memory.decrease(frames, gfn, order, batch));
                let all = (gfn.0..gfn.0 + (1 << order))
                    .all(|gfn| before.get(&gfn).is_some_and(|leaf| leaf.kind.is_own_ram()));
                assert_eq!(done.is_ok(), all);
            }
            Op::SharedInfo => {
                let done =
                    self.on(domain, |memory, batch| memory.map_shared_info(frames, gfn, batch));
                let grant = at(gfn).is_some_and(|leaf| leaf.kind.is_grant());
                assert_eq!(done.is_ok(), !grant);
                if !grant {
                    let shared = Leaf::new(self.domains[domain].shared_info, P2mKind::Shared);
                    let now = self.leaves(domain);
                    assert_eq!(now.values().filter(|leaf| **leaf == shared).count(), 1);
                    assert_eq!(now[&gfn.0], shared);
                }
            }
            Op::Move => {
                let done =
                    self.on(domain, |memory, batch| memory.move_frame(frames, gfn, other, batch));
                let own = at(gfn).is_some_and(|leaf| leaf.kind.is_own_ram());
                let grant = at(other).is_some_and(|leaf| leaf.kind.is_grant());
                assert_eq!(done.is_ok(), own && (gfn == other || domain == 1 && !grant));
                if done.is_ok() {
                    assert_eq!(self.leaves(domain).get(&other.0).copied(), at(gfn));
                }
            }
            Op::Foreign | Op::Grant => {
                let Ok(frame) = self.domains[1 - domain].mappable_frame(frames, other) else {
                    return;
                };
                let grant = at(gfn).is_some_and(|leaf| leaf.kind.is_grant());
                let done = self.on(domain, |memory, batch| match op {
                    Op::Foreign => memory.map_foreign(frames, gfn, frame, batch),
                    _ => {
                        memory.map_grant(frames, gfn, &frame, false, batch)?;
                        frame.keep();
                        Ok(())
                    }
                });
                assert_eq!(done.is_ok(), !grant);
            }
            Op::Ungrant => {
                let grant = at(gfn).is_some_and(|leaf| leaf.kind == P2mKind::GrantRo);
                let done = self.on(domain, |memory, batch| {
                    let mfn = memory.unmap_grant(frames, gfn, false, batch)?;
                    batch.release(mfn, 1);
                    Ok(())
                });
                assert_eq!(done.is_ok(), grant);
            }
            Op::Remove => {
                let done = self.on(domain, |memory, batch| memory.remove(frames, gfn, batch));
                assert_eq!(done.is_ok(), at(gfn).is_some_and(|leaf| !leaf.kind.is_grant()));
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Populate(u32),
    Decrease(u32),
    SharedInfo,
    Move,
    Foreign,
    Grant,
    Ungrant,
    Remove,
}

#[derive(Clone, Debug)]
struct Step {
    domain: usize,
    op: Op,
    gfn: u64,
    other: u64,
}

fn step() -> impl Strategy<Value = Step> {
    let order = || prop_oneof![4 => Just(0u32), 1 => Just(3u32), 2 => Just(9u32)];
    let op = prop_oneof![
        4 => order().prop_map(Op::Populate),
        3 => order().prop_map(Op::Decrease),
        1 => Just(Op::SharedInfo),
        1 => Just(Op::Move),
        2 => Just(Op::Foreign),
        2 => Just(Op::Grant),
        2 => Just(Op::Ungrant),
        3 => Just(Op::Remove),
    ];
    let gfn = || prop_oneof![3 => 0u64..12, 2 => 506u64..520, 1 => 2000u64..2004];
    (0usize..2, op, gfn(), gfn()).prop_map(|(domain, op, gfn, other)| Step {
        domain,
        op,
        gfn,
        other,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn counts_fit_the_maps(
        kept in any::<bool>(),
        ram in 0u64..600,
        steps in prop::collection::vec(step(), 1..48),
    ) {
        let machine = Machine::new(if kept { Released::Kept } else { Released::GivenBack });
        let range = FrameRange { start: Mfn(4), frames: ram };
        machine.on(0, |memory, batch| memory.map_identity_ram(machine.frames(), range, batch))
            .unwrap();
        machine.check();
        for (n, step) in steps.iter().enumerate() {
            machine.apply(step);
            if n % 4 == 3 {
                machine.check();
            }
        }
        machine.check();
        for domain in &machine.domains {
            while !domain.tear_down(machine.frames(), 100) {}
            prop_assert!(domain.tear_down(machine.frames(), 100));
            prop_assert_eq!(domain.pages(), 0);
            domain.free_shared_info(machine.frames());
        }
        prop_assert_eq!(machine.table.free_frames(), TOTAL, "all given back");
    }
}

fn populate(machine: &Machine, domain: usize, gfn: u64) -> Result<(), MemoryError> {
    let request = PopulateRequest { gfn: Gfn(gfn), order: 0, below: None };
    machine
        .on(domain, |memory, batch| memory.populate(machine.frames(), request, batch).map(|_| ()))
}

#[test]
fn the_control_domain_gets_its_own_frames_back() {
    let machine = Machine::new(Released::Kept);
    let frames = machine.frames();
    let range = FrameRange { start: Mfn(0), frames: 600 };
    machine.on(0, |memory, batch| memory.map_identity_ram(frames, range, batch)).unwrap();
    machine.domains[0].write(&machine.memory, Gpa(5 << 12), b"mine").unwrap();
    // Shared info over frame 5 hides it; moving on uncovers it.
    machine.on(0, |memory, batch| memory.map_shared_info(frames, Gfn(5), batch)).unwrap();
    assert_eq!(machine.domains[0].pages(), 600);
    machine.on(0, |memory, batch| memory.map_shared_info(frames, Gfn(9), batch)).unwrap();
    let mut back = [0; 4];
    machine.domains[0].read(&machine.memory, Gpa(5 << 12), &mut back).unwrap();
    assert_eq!(&back, b"mine");
    // Ballooned out, used for a foreign mapping, and ballooned in again.
    machine.on(0, |memory, batch| memory.decrease(frames, Gfn(7), 0, batch)).unwrap();
    populate(&machine, 1, 100).unwrap();
    let frame = machine.domains[1].mappable_frame(frames, Gfn(100)).unwrap();
    machine.on(0, |memory, batch| memory.map_foreign(frames, Gfn(7), frame, batch)).unwrap();
    machine.on(0, |memory, batch| memory.remove(frames, Gfn(7), batch)).unwrap();
    assert_eq!(machine.domains[0].lookup(&machine.memory, Gfn(7)).leaf, None);
    populate(&machine, 0, 7).unwrap();
    assert_eq!(machine.domains[0].translate(&machine.memory, Gfn(7)).unwrap().mfn, Mfn(7));
    machine.check();
}

#[test]
fn what_the_control_domain_gives_back_can_be_lost() {
    let machine = Machine::new(Released::GivenBack);
    let frames = machine.frames();
    let range = FrameRange { start: Mfn(0), frames: TOTAL - 40 };
    machine.on(0, |memory, batch| memory.map_identity_ram(frames, range, batch)).unwrap();
    machine.on(0, |memory, batch| memory.decrease(frames, Gfn(7), 0, batch)).unwrap();
    for gfn in 0.. {
        if populate(&machine, 1, gfn).is_err() {
            break;
        }
    }
    assert_eq!(populate(&machine, 0, 7), Err(MemoryError::Identity));
    assert_eq!(machine.domains[0].pages(), TOTAL - 41);
}

#[test]
fn a_foreign_frame_outlives_its_domain() {
    let machine = Machine::new(Released::Kept);
    let frames = machine.frames();
    populate(&machine, 1, 3).unwrap();
    machine.domains[1].write(&machine.memory, Gpa(3 << 12), b"left").unwrap();
    let frame = machine.domains[1].mappable_frame(frames, Gfn(3)).unwrap();
    let mfn = frame.mfn();
    machine.on(0, |memory, batch| memory.map_foreign(frames, Gfn(50), frame, batch)).unwrap();
    while !machine.domains[1].tear_down(frames, 10) {}
    assert_eq!(machine.table.info(mfn).unwrap().kind, FrameKind::Orphan);
    let mut left = [0; 4];
    machine.domains[0].read(&machine.memory, Gpa(50 << 12), &mut left).unwrap();
    assert_eq!(&left, b"left");
    assert_eq!(populate(&machine, 1, 4), Err(MemoryError::Dying));
    machine.on(0, |memory, batch| memory.remove(frames, Gfn(50), batch)).unwrap();
    assert_eq!(machine.table.info(mfn).unwrap().kind, FrameKind::Free);
}

#[test]
fn limits_claims_and_device_memory() {
    let machine = Machine::new(Released::Kept);
    let frames = machine.frames();
    let guest = &machine.domains[1];
    guest.set_max_pages(10);
    assert_eq!(guest.claim(frames, 11), Err(MemoryError::OverLimit));
    guest.claim(frames, 10).unwrap();
    assert_eq!(guest.claim(frames, 9), Err(MemoryError::OverLimit));
    assert_eq!((guest.claimed_pages(), machine.table.claimed_frames()), (10, 10));
    for gfn in 0..10 {
        populate(&machine, 1, gfn).unwrap();
    }
    assert_eq!((guest.claimed_pages(), machine.table.claimed_frames()), (0, 0));
    assert_eq!(populate(&machine, 1, 10), Err(MemoryError::OverLimit));
    let mmio = |gfn, mfn, order| {
        machine.on(1, |memory, batch| {
            memory.map_mmio(frames, Gfn(gfn), Mfn(mfn), order, P2mKind::Mmio, batch)
        })
    };
    assert_eq!(mmio(0x800, 0xa00, 9), Err(MemoryError::NotRam));
    assert_eq!(mmio(0, 0x10_0000, 0), Err(MemoryError::Busy));
    assert_eq!(mmio(0x800, 0x10_0000, 9), Ok(()));
    assert_eq!(mmio(0x801, 0x10_0001, 0), Ok(()), "it is mapped so already");
    assert_eq!(guest.translate(&machine.memory, Gfn(0x801)), Err(MemoryError::NotRam));
    assert_eq!(
        machine.on(1, |memory, batch| memory.remove(frames, Gfn(0x801), batch)),
        Err(MemoryError::Busy)
    );
    machine.on(1, |memory, batch| memory.unmap_mmio(frames, Gfn(0x800), 9, batch)).unwrap();
}

#[test]
fn copies_cross_frames_and_stop_at_holes() {
    let machine = Machine::new(Released::Kept);
    populate(&machine, 1, 1).unwrap();
    populate(&machine, 1, 2).unwrap();
    let guest = &machine.domains[1];
    let text: alloc::vec::Vec<u8> = (0..6000).map(|n| n as u8).collect();
    guest.write(&machine.memory, Gpa(0x1100), &text).unwrap();
    let mut back = alloc::vec![0; 6000];
    guest.read(&machine.memory, Gpa(0x1100), &mut back).unwrap();
    assert_eq!(back, text);
    let beyond = guest.write(&machine.memory, Gpa(0x2ff0), &text[..17]);
    assert_eq!(beyond, Err(MemoryError::NotMapped));
    let edge = guest.read(&machine.memory, Gpa(u64::MAX - 2), &mut back);
    assert_eq!(edge, Err(MemoryError::NotMapped));
}
