//! Grants against a naive model: a list of mappings, and each entry's expected bytes.
#![allow(clippy::indexing_slicing, clippy::arithmetic_side_effects, clippy::unwrap_used)]

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::cell::RefCell;

use proptest::prelude::*;
use xen_abi::grant_table::{
    EntryV1, GTF_PERMIT_ACCESS, GTF_PWT, GTF_READING, GTF_READONLY, GTF_SUB_PAGE, GTF_TYPE_MASK,
    GTF_WRITING, MAP_CONTAINS_PTE, MAP_DEVICE_MAP, MAP_HOST_MAP, MAP_READONLY,
};

use super::*;
use crate::frame::{FrameKind, FrameRange, FrameTable};
use crate::memory::{Placement, PopulateRequest};
use crate::p2m::{FlushBatch, Leaf, Npt, P2mKind, Stage2Listener};
use crate::testing::{TestMemory, frame_table};
use crate::types::{Gfn, Gpa, GrantRef, Hpa, Mfn};

const FRAMES: u64 = 300;
const LIMITS: GrantLimits = GrantLimits { frames: 2, maptrack_frames: 1 };
const GRANTER: usize = 0;
const IDS: [DomId; 3] = [DomId(1), DomId(2), DomId(5)];

/// The translations that CPUs may hold.
#[derive(Default)]
struct Tlb {
    now: RefCell<BTreeMap<u64, u64>>,
    cached: RefCell<BTreeSet<(u64, u64)>>,
}

impl Stage2Listener for Tlb {
    fn changed(&self, gfn: Gfn, _order: u32, leaf: Option<Leaf>) {
        match leaf {
            Some(leaf) => {
                self.now.borrow_mut().insert(gfn.0, leaf.mfn.0);
                self.cached.borrow_mut().insert((gfn.0, leaf.mfn.0));
            }
            None => {
                self.now.borrow_mut().remove(&gfn.0);
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
    domains: Vec<(DomainMemory<Npt>, GrantTable)>,
    tlbs: [Tlb; 3],
}

impl Machine {
    fn new() -> Self {
        let table = frame_table(&[FrameRange { start: Mfn(0), frames: FRAMES }]);
        let memory = TestMemory::default();
        let frames = Frames { memory: &memory, table: &table };
        let npt = Npt { has_1g: false };
        let domains = IDS.map(|id| {
            let memory = DomainMemory::new(frames, npt, id, Placement::Anywhere).unwrap();
            (memory, GrantTable::new(frames, id, LIMITS).unwrap())
        });
        let machine = Self { domains: domains.into(), table, memory, tlbs: Default::default() };
        for domain in 0..3 {
            for gfn in 0..8 {
                machine.populate(domain, gfn);
            }
        }
        machine
    }

    fn frames(&self) -> Frames<'_, TestMemory> {
        Frames { memory: &self.memory, table: &self.table }
    }

    fn party(&self, domain: usize) -> Party<'_, Npt> {
        let (memory, grants) = &self.domains[domain];
        Party { memory, grants }
    }

    fn batch(&self, domain: usize) -> FlushBatch<'_> {
        FlushBatch::new(&self.table, &self.tlbs[domain])
    }

    fn populate(&self, domain: usize, gfn: u64) -> bool {
        let request = PopulateRequest { gfn: Gfn(gfn), order: 0, below: None };
        let mut batch = self.batch(domain);
        let memory = self.party(domain).memory;
        let mfn = memory.populate(self.frames(), request, &mut batch);
        if let Ok(mfn) = mfn {
            self.memory.write(mfn, 0, &[(mfn.0 % 251) as u8; FRAME_BYTES]);
        }
        mfn.is_ok()
    }

    fn leaf(&self, domain: usize, gfn: u64) -> Option<Leaf> {
        self.party(domain).memory.lookup(&self.memory, Gfn(gfn)).leaf
    }

    fn entry_at(&self, gref: u32) -> (Mfn, usize) {
        let frame = self.party(GRANTER).grants.frame(self.frames(), gref / 512).unwrap();
        (frame.mfn(), (gref % 512) as usize * 8)
    }

    fn entry(&self, gref: u32) -> EntryV1 {
        let (mfn, offset) = self.entry_at(gref);
        zerocopy::transmute!(self.memory.load_u64(mfn, offset))
    }

    fn set_entry(&self, gref: u32, entry: EntryV1) {
        let (mfn, offset) = self.entry_at(gref);
        self.memory.store_u64(mfn, offset, zerocopy::transmute!(entry));
    }

    fn map(
        &self,
        domain: usize,
        gref: u32,
        flags: u32,
        gfn: u64,
        batch: &mut FlushBatch<'_>,
    ) -> GrantResult<Mapped> {
        let request = MapRequest { host_addr: Gfn(gfn).gpa(), flags, gref: GrantRef(gref) };
        let granter = Some(self.party(GRANTER));
        self.party(domain).map_grant(self.frames(), granter, &request, batch)
    }

    fn unmap(&self, domain: usize, handle: u32, host: u64, device: u64) -> GrantResult<bool> {
        let mut batch = self.batch(domain);
        let request = UnmapRequest { host_addr: Gpa(host), device_address: Hpa(device), handle };
        let unmapped = self.party(domain).begin_unmap(self.frames(), &request, &mut batch)?;
        batch.commit();
        let Some(unmapped) = unmapped else { return Ok(false) };
        let granter = self.party(GRANTER).grants;
        assert_eq!(unmapped.granter(), granter.owner());
        self.party(domain).grants.finish_unmap(self.frames(), Some(granter), unmapped);
        Ok(true)
    }

    fn kill(&mut self, domain: usize) {
        let frames = self.frames();
        let Party { memory, grants } = self.party(domain);
        grants.stop_granting();
        while let Some(mapping) = grants.take_mapping() {
            let granter = self.party(GRANTER).grants;
            grants.finish_unmap(frames, Some(granter), mapping);
        }
        grants.free_frames(frames);
        while !memory.tear_down(frames, 3) {}
        memory.free_shared_info(frames);
        self.tlbs[domain] = Tlb::default();
    }
}

/// A mapping that exists.
#[derive(Clone, Debug)]
struct Held {
    domain: usize,
    handle: u32,
    gref: u32,
    write: bool,
    /// `None` for a device's.
    gfn: Option<u64>,
    mfn: Mfn,
}

struct Model {
    machine: Machine,
    maps: Vec<Held>,
    entries: BTreeMap<u32, EntryV1>,
}

#[derive(Clone, Debug)]
enum Step {
    Entry { gref: u32, flags: u16, domid: u16, frame: u32 },
    Map { domain: usize, gref: u32, flags: u32, gfn: u64 },
    Unmap { index: usize, wrong: u8 },
    Copy { domain: usize, source: (bool, u32, u16), dest: (bool, u32, u16), len: u16 },
    Swap(u32, u32),
    Decrease { domain: usize, gfn: u64 },
    Populate { domain: usize, gfn: u64 },
}

fn gref() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0u32..5, 1 => 511u32..514, 1 => Just(u32::MAX)]
}

fn step() -> impl Strategy<Value = Step> {
    let flags = prop_oneof![
        6 => Just(GTF_PERMIT_ACCESS),
        3 => Just(GTF_PERMIT_ACCESS | GTF_READONLY),
        1 => Just(GTF_PERMIT_ACCESS | GTF_SUB_PAGE),
        1 => Just(GTF_PERMIT_ACCESS | GTF_PWT),
        1 => any::<u16>(),
    ];
    let map_flags = prop_oneof![
        6 => Just(MAP_HOST_MAP),
        6 => Just(MAP_HOST_MAP | MAP_READONLY),
        1 => Just(MAP_DEVICE_MAP),
        1 => Just(MAP_HOST_MAP | MAP_DEVICE_MAP),
        1 => Just(MAP_HOST_MAP | MAP_CONTAINS_PTE),
        1 => Just(MAP_READONLY),
    ];
    let domid = prop_oneof![4 => Just(IDS[1].0), 1 => Just(IDS[2].0), 1 => Just(IDS[0].0)];
    let end = || (any::<bool>(), 0u32..5, prop_oneof![Just(0u16), 0u16..4100]);
    prop_oneof![
        5 => (gref(), flags, domid, 0u32..10)
            .prop_map(|(gref, flags, domid, frame)| Step::Entry { gref, flags, domid, frame }),
        6 => (0usize..3, gref(), map_flags, 0u64..14)
            .prop_map(|(domain, gref, flags, gfn)| Step::Map { domain, gref, flags, gfn }),
        4 => (any::<usize>(), 0u8..8).prop_map(|(index, wrong)| Step::Unmap { index, wrong }),
        3 => (0usize..3, end(), end(), 0u16..4100)
            .prop_map(|(domain, source, dest, len)| Step::Copy { domain, source, dest, len }),
        1 => (gref(), gref()).prop_map(|(a, b)| Step::Swap(a, b)),
        2 => (0usize..3, 0u64..14).prop_map(|(domain, gfn)| Step::Decrease { domain, gfn }),
        2 => (0usize..3, 0u64..14).prop_map(|(domain, gfn)| Step::Populate { domain, gfn }),
    ]
}

impl Model {
    fn pins(&self, gref: u32) -> (usize, usize) {
        let of = |write| self.maps.iter().filter(|m| m.gref == gref && m.write == write).count();
        (of(false), of(true))
    }

    fn pinned(&self, gref: u32) -> Option<&Held> {
        self.maps.iter().find(|held| held.gref == gref)
    }

    /// The frame that `domain` gets by pinning an entry, and what happens to its flags if so.
    fn expect_pin(&mut self, domain: usize, gref: u32, write: bool, map: bool) -> GrantResult<Mfn> {
        let entries = 512 * self.machine.party(GRANTER).grants.frames();
        if gref >= entries {
            return Err(GrantStatus::BAD_GNTREF);
        }
        let held = self.pinned(gref).cloned();
        if held.as_ref().is_some_and(|held| held.domain != domain) {
            return Err(GrantStatus::GENERAL_ERROR);
        }
        let entry = self.entries.entry(gref).or_default();
        let (_, writers) = {
            let of = |w| self.maps.iter().filter(|m| m.gref == gref && m.write == w).count();
            (of(false), of(true))
        };
        if held.is_none() || write && writers == 0 {
            let mask = GTF_TYPE_MASK | if map { GTF_SUB_PAGE } else { 0 };
            if entry.flags & mask != GTF_PERMIT_ACCESS
                || entry.domid != IDS[domain].0
                || write && entry.flags & GTF_READONLY != 0
            {
                return Err(GrantStatus::GENERAL_ERROR);
            }
            entry.flags |= GTF_READING | if write { GTF_WRITING } else { 0 };
        }
        if let Some(held) = held {
            return Ok(held.mfn);
        }
        let frame = entry.frame;
        match self.machine.leaf(GRANTER, frame.into()).filter(|leaf| leaf.kind.is_own_ram()) {
            Some(leaf) => Ok(leaf.mfn),
            None => {
                self.expect_unpin(gref);
                Err(GrantStatus::BAD_PAGE)
            }
        }
    }

    /// What becomes of an entry's flags when a pin has gone that isn't among the maps any more.
    fn expect_unpin(&mut self, gref: u32) {
        let pins = self.pins(gref);
        let entry = self.entries.entry(gref).or_default();
        match pins {
            (0, 0) => entry.flags &= !(GTF_READING | GTF_WRITING),
            (_, 0) => entry.flags &= !GTF_WRITING,
            _ => {}
        }
    }

    fn map(&mut self, domain: usize, gref: u32, flags: u32, gfn: u64) {
        let write = flags & MAP_READONLY == 0;
        let host = flags & MAP_HOST_MAP != 0;
        let expected = if flags & (MAP_HOST_MAP | MAP_DEVICE_MAP) == 0 {
            Err(GrantStatus::BAD_GNTREF)
        } else {
            self.expect_pin(domain, gref, write, true).and_then(|mfn| {
                let odd = flags & !MAP_READONLY != MAP_HOST_MAP
                    || self.entries[&gref].flags & GTF_PWT != 0
                    || self.entries[&gref].flags & 0xc0 != 0;
                let taken = self.machine.leaf(domain, gfn).is_some_and(|l| l.kind.is_grant());
                if host && (odd || taken) {
                    self.expect_unpin(gref);
                    return Err(GrantStatus::GENERAL_ERROR);
                }
                Ok(mfn)
            })
        };
        let mut batch = self.machine.batch(domain);
        let result = self.machine.map(domain, gref, flags, gfn, &mut batch);
        drop(batch);
        assert_eq!(result.map(|mapped| mapped.device_address), expected.map(Mfn::hpa));
        if let (Ok(Mapped { handle, .. }), Ok(mfn)) = (result, expected) {
            assert!(!self.maps.iter().any(|m| m.domain == domain && m.handle == handle));
            if host {
                let kind = if write { P2mKind::GrantRw } else { P2mKind::GrantRo };
                assert_eq!(self.machine.leaf(domain, gfn), Some(Leaf::new(mfn, kind)));
            }
            let gfn = host.then_some(gfn);
            self.maps.push(Held { domain, handle, gref, write, gfn, mfn });
        }
    }

    fn unmap(&mut self, index: usize, wrong: u8) {
        let Some(index) = index.checked_rem(self.maps.len()) else { return };
        let Held { domain, handle, gfn, mfn, gref, .. } = self.maps[index].clone();
        let host = gfn.map_or(0, |gfn| Gfn(gfn).gpa().0);
        let device = if gfn.is_none() { mfn.hpa().0 } else { 0 };
        let result = match wrong {
            0 => {
                let result = self.machine.unmap(domain, handle + 1000, host, device);
                assert_eq!(result, Err(GrantStatus::BAD_HANDLE));
                return;
            }
            1 => {
                let result =
                    self.machine.unmap(domain, handle, host ^ 0x100_0000, device ^ 0x100_0000);
                assert_eq!(result, Err(GrantStatus::GENERAL_ERROR));
                return;
            }
            2 => {
                assert_eq!(self.machine.unmap(domain, handle, 0, 0), Ok(false));
                return;
            }
            _ => self.machine.unmap(domain, handle, host, device),
        };
        // Guest frame 0 can't be named, as in Xen.
        assert_eq!(result, Ok(host != 0 || device != 0));
        if result == Ok(true) {
            self.maps.remove(index);
            self.expect_unpin(gref);
            let again = self.machine.unmap(domain, handle, host, device);
            assert_eq!(again, Err(GrantStatus::BAD_HANDLE));
            if !self.maps.iter().any(|held| held.domain == domain && held.mfn == mfn) {
                let cached = self.machine.tlbs[domain].cached.borrow();
                let own = domain == GRANTER;
                assert!(own || !cached.iter().any(|(_, to)| *to == mfn.0), "stale");
            }
        }
    }

    fn copy(&mut self, domain: usize, source: (bool, u32, u16), dest: (bool, u32, u16), len: u16) {
        let fits = |offset: u16| usize::from(offset) + usize::from(len) <= FRAME_BYTES;
        let expected = self.expect_end(domain, source, false).and_then(|from| {
            // While the source is pinned for reading, so is its entry for the destination.
            let to = if dest.0 && source.0 && dest.1 == source.1 {
                self.maps.push(Held {
                    domain,
                    handle: u32::MAX,
                    gref: source.1,
                    write: false,
                    gfn: None,
                    mfn: from,
                });
                let to = self.expect_end(domain, dest, true);
                self.maps.pop();
                to
            } else {
                self.expect_end(domain, dest, true)
            };
            for (end, pinned) in [(source, true), (dest, to.is_ok())] {
                if end.0 && pinned {
                    self.expect_unpin(end.1);
                }
            }
            Ok((from, to?))
        });
        let fits = fits(source.2) && fits(dest.2);
        let expected =
            expected.and_then(|ends| if fits { Ok(ends) } else { Err(GrantStatus::BAD_COPY_ARG) });
        let before = expected
            .ok()
            .map(|(from, to)| (self.machine.memory.frame(from), self.machine.memory.frame(to)));
        let end = |(granted, number, offset): (bool, u32, u16)| {
            let page = if granted {
                CopyPage::Granted(self.machine.party(GRANTER), GrantRef(number))
            } else {
                CopyPage::Own(Gfn(number.into()))
            };
            CopyEnd { page, offset }
        };
        let party = self.machine.party(domain);
        let result = party.copy_grant(self.machine.frames(), &end(source), &end(dest), len);
        assert_eq!(result, expected.map(|_| ()));
        if let (Ok((_, to)), Some((from, mut model))) = (expected, before) {
            let (at, len) = (usize::from(dest.2), usize::from(len));
            model[at..at + len].copy_from_slice(&from[usize::from(source.2)..][..len]);
            assert_eq!(self.machine.memory.frame(to), model);
        }
    }

    fn expect_end(
        &mut self,
        domain: usize,
        (granted, number, _): (bool, u32, u16),
        write: bool,
    ) -> GrantResult<Mfn> {
        if granted {
            return self.expect_pin(domain, number, write, false);
        }
        let leaf = self.machine.leaf(domain, number.into());
        let leaf = leaf.filter(|leaf| leaf.kind.is_own_ram());
        leaf.map(|leaf| leaf.mfn).ok_or(GrantStatus::BAD_PAGE)
    }

    fn swap(&mut self, a: u32, b: u32) {
        let entries = 512 * self.machine.party(GRANTER).grants.frames();
        let expected = if a >= entries || b >= entries {
            Err(GrantStatus::BAD_GNTREF)
        } else if a != b && (self.pinned(a).is_some() || self.pinned(b).is_some()) {
            Err(GrantStatus::EAGAIN)
        } else {
            let [first, second] =
                [a, b].map(|gref| self.entries.get(&gref).copied().unwrap_or_default());
            self.entries.insert(a, second);
            self.entries.insert(b, first);
            Ok(())
        };
        let grants = self.machine.party(GRANTER).grants;
        assert_eq!(grants.swap(&self.machine.memory, GrantRef(a), GrantRef(b)), expected);
    }

    fn apply(&mut self, step: Step) {
        match step {
            Step::Entry { gref, flags, domid, frame } => {
                if gref < 1024 {
                    let entry = EntryV1 { flags, domid, frame };
                    self.machine.set_entry(gref, entry);
                    self.entries.insert(gref, entry);
                }
            }
            Step::Map { domain, gref, flags, gfn } => self.map(domain, gref, flags, gfn),
            Step::Unmap { index, wrong } => self.unmap(index, wrong),
            Step::Copy { domain, source, dest, len } => self.copy(domain, source, dest, len),
            Step::Swap(a, b) => self.swap(a, b),
            Step::Decrease { domain, gfn } => {
                let mut batch = self.machine.batch(domain);
                let own = self.machine.leaf(domain, gfn).is_some_and(|l| l.kind.is_own_ram());
                let memory = self.machine.party(domain).memory;
                let done = memory.decrease(self.machine.frames(), Gfn(gfn), 0, &mut batch);
                assert_eq!(done.is_ok(), own, "grants are not the domain's to give");
            }
            Step::Populate { domain, gfn } => {
                let taken = self.machine.leaf(domain, gfn).is_some_and(|l| l.kind.is_grant());
                assert_eq!(self.machine.populate(domain, gfn), !taken);
            }
        }
    }

    fn check(&self) {
        for (gref, entry) in &self.entries {
            if *gref < 512 * self.machine.party(GRANTER).grants.frames() {
                assert_eq!(self.machine.entry(*gref), *entry, "entry {gref}");
            }
        }
        for held in &self.maps {
            let info = self.machine.table.info(held.mfn).unwrap();
            let maps = self.maps.iter().filter(|other| other.mfn == held.mfn).count() as u32;
            let owned = u32::from(info.kind == FrameKind::DomainRam);
            assert!(matches!(info.kind, FrameKind::DomainRam | FrameKind::Orphan));
            assert_eq!(info.references, maps + owned);
        }
        for tlb in &self.machine.tlbs {
            for (_, mfn) in tlb.cached.borrow().iter() {
                assert_ne!(self.machine.table.info(Mfn(*mfn)).unwrap().kind, FrameKind::Free);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]
    #[test]
    fn agrees_with_the_model(
        steps in prop::collection::vec(step(), 1..80),
        order in Just([0usize, 1, 2]).prop_shuffle(),
    ) {
        let mut model =
            Model { machine: Machine::new(), maps: Vec::new(), entries: BTreeMap::new() };
        for step in steps {
            model.apply(step);
            model.check();
        }
        // However they die, nothing is freed while it is mapped, and nothing is lost.
        for domain in order {
            model.machine.kill(domain);
            model.maps.retain(|held| held.domain != domain);
            for held in &model.maps {
                let info = model.machine.table.info(held.mfn).unwrap();
                prop_assert!(info.references > 0);
            }
        }
        prop_assert_eq!(model.machine.table.free_frames(), FRAMES);
    }
}

fn grant(machine: &Machine, gref: u32, frame: u32) {
    let entry = EntryV1 { flags: GTF_PERMIT_ACCESS, domid: IDS[1].0, frame };
    machine.set_entry(gref, entry);
}

#[test]
fn handles_are_bounded_and_reused() {
    let machine = Machine::new();
    grant(&machine, 3, 4);
    let mut batch = machine.batch(1);
    let map = |gfn, batch: &mut FlushBatch<'_>| machine.map(1, 3, MAP_HOST_MAP, gfn, batch);
    for handle in 0..256 {
        assert_eq!(map(100 + u64::from(handle), &mut batch).unwrap().handle, handle);
    }
    assert_eq!(map(99, &mut batch), Err(GrantStatus::NO_SPACE));
    // What is wrong with the handle counts before what is wrong with the reference.
    let request = MapRequest { host_addr: Gpa(0), flags: MAP_HOST_MAP, gref: GrantRef(u32::MAX) };
    let granter = Some(machine.party(GRANTER));
    let frames = machine.frames();
    let bad = machine.party(1).map_grant(frames, granter, &request, &mut batch);
    assert_eq!(bad, Err(GrantStatus::NO_SPACE));
    let gone = machine.party(1).map_grant(frames, None, &request, &mut batch);
    assert_eq!(gone, Err(GrantStatus::BAD_DOMAIN));
    assert_eq!(machine.unmap(1, 7, 107 << 12, 0), Ok(true));
    assert_eq!(map(99, &mut batch).unwrap().handle, 7);
}

#[test]
fn a_successor_of_a_dead_granter_is_left_alone() {
    let mut machine = Machine::new();
    grant(&machine, 3, 4);
    let mut batch = machine.batch(1);
    machine.map(1, 3, MAP_HOST_MAP, 50, &mut batch).unwrap();
    drop(batch);
    machine.kill(GRANTER);
    let frames = machine.frames();
    let memory =
        DomainMemory::new(frames, Npt { has_1g: false }, IDS[0], Placement::Anywhere).unwrap();
    let grants = GrantTable::new(frames, IDS[0], LIMITS).unwrap();
    machine.domains[GRANTER] = (memory, grants);
    machine.populate(GRANTER, 4);
    grant(&machine, 3, 4);
    let mut batch = machine.batch(1);
    let second = machine.map(1, 3, MAP_HOST_MAP, 51, &mut batch).unwrap();
    drop(batch);
    assert_eq!(machine.unmap(1, 0, 50 << 12, 0), Ok(true));
    let in_use = GTF_READING | GTF_WRITING;
    assert_eq!(machine.entry(3).flags & in_use, in_use, "the new mapping keeps its pin");
    assert_eq!(machine.unmap(1, second.handle, 51 << 12, 0), Ok(true));
    assert_eq!(machine.entry(3).flags & in_use, 0);
}

#[test]
fn the_table_grows_to_its_limit_and_moves() {
    let machine = Machine::new();
    let Party { memory, grants } = machine.party(GRANTER);
    assert_eq!((grants.frames(), grants.max_frames()), (1, 2));
    let mut batch = machine.batch(GRANTER);
    let mut map =
        |index, gfn| grants.map_frame(machine.frames(), memory, index, Gfn(gfn), &mut batch);
    map(1, 20).unwrap();
    assert_eq!(map(2, 21), Err(MemoryError::OverLimit));
    map(1, 22).unwrap();
    assert_eq!((grants.frames(), grants.frame_gfn(1)), (2, Some(Gfn(22))));
    assert_eq!(machine.leaf(GRANTER, 20), None);
    assert_eq!(machine.leaf(GRANTER, 22).unwrap().kind, P2mKind::Shared);
    assert_eq!(grants.grow_to(machine.frames(), 3), Err(MemoryError::OverLimit));
}

#[test]
fn a_granter_that_never_rests_is_not_waited_for() {
    /// Memory whose entries change before each compare-and-swap.
    struct Restless<'a>(&'a TestMemory);
    macro_rules! forward {
        ($($name:ident($($arg:ident: $ty:ty),*) $(-> $ret:ty)?;)*) => {
            $(fn $name(&self, $($arg: $ty),*) $(-> $ret)? { self.0.$name($($arg),*) })*
        };
    }
    impl FrameMemory for Restless<'_> {
        forward! {
            read(mfn: Mfn, offset: usize, into: &mut [u8]);
            write(mfn: Mfn, offset: usize, from: &[u8]);
            zero(mfn: Mfn);
            copy(from: (Mfn, usize), to: (Mfn, usize), len: usize);
            load_u8(mfn: Mfn, offset: usize) -> u8;
            load_u32(mfn: Mfn, offset: usize) -> u32;
            load_u64(mfn: Mfn, offset: usize) -> u64;
            store_u8(mfn: Mfn, offset: usize, value: u8);
            store_u32(mfn: Mfn, offset: usize, value: u32);
            store_u64(mfn: Mfn, offset: usize, value: u64);
            swap_u8(mfn: Mfn, offset: usize, value: u8) -> u8;
            fetch_or_u64(mfn: Mfn, offset: usize, bits: u64) -> u64;
            fetch_and_u64(mfn: Mfn, offset: usize, bits: u64) -> u64;
            fetch_or_u32(mfn: Mfn, offset: usize, bits: u32) -> u32;
            fetch_and_u32(mfn: Mfn, offset: usize, bits: u32) -> u32;
            cas_u16(mfn: Mfn, offset: usize, old: u16, new: u16) -> Result<u16, u16>;
            cas_u64(mfn: Mfn, offset: usize, old: u64, new: u64) -> Result<u64, u64>;
        }
        fn cas_u32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32> {
            let now = self.0.load_u32(mfn, offset);
            self.0.store_u32(mfn, offset, now ^ 0x200);
            self.0.cas_u32(mfn, offset, old, new)
        }
    }
    let machine = Machine::new();
    grant(&machine, 3, 4);
    let memory = Restless(&machine.memory);
    let frames = Frames { memory: &memory, table: &machine.table };
    let request = MapRequest { host_addr: Gpa(1 << 20), flags: MAP_HOST_MAP, gref: GrantRef(3) };
    let mut batch = machine.batch(1);
    let granter = Some(machine.party(GRANTER));
    let result = machine.party(1).map_grant(frames, granter, &request, &mut batch);
    assert_eq!(result, Err(GrantStatus::GENERAL_ERROR));
}
