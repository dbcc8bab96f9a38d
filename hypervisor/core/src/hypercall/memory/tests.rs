//! `memory_op` from inside: partial counts, continuations, permissions, errors.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use xen_abi::GuestHandle;
use xen_abi::memory::*;
use zerocopy::little_endian::{U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::*;
use crate::domain::{Domain, Progress};
use crate::frame::{FrameKind, FrameRange};
use crate::hypervisor::Hypervisor;
use crate::memory::{Placement, Released};
use crate::p2m::{FlushBatch, P2mKind};
use crate::testing::platform::{NoListener, TestPlatform, call_as, config, hypervisor};
use crate::types::{Gfn, Gpa, Mfn, VcpuId};

impl MemoryHost for TestPlatform {
    fn machine_memory_map(&self) -> &[E820Entry] {
        const { &[entry(0, 0x9f000, 1), entry(0x10_0000, 0x1f0_0000, 1)] }
    }
}

const fn entry(addr: u64, size: u64, ty: u32) -> E820Entry {
    E820Entry { addr: U64::new(addr), size: U64::new(size), ty: U32::new(ty) }
}

/// Where the caller puts its argument and its arrays.
const ARG: u64 = 0x1000;
const LIST: u64 = 0x2000;
const LIST2: u64 = 0x3000;
const ERRS: u64 = 0x4000;

struct Machine {
    hv: Hypervisor<TestPlatform>,
    dom0: Arc<Domain<TestPlatform>>,
    guest: Arc<Domain<TestPlatform>>,
}

impl Machine {
    fn new() -> Self {
        let hv = hypervisor(1);
        let mut dom0 = config(0, 1);
        dom0.placement = Placement::Identity(Released::Kept);
        let dom0 = hv.create_domain(dom0, ()).unwrap();
        let mut batch = FlushBatch::new(&hv.frames, &NoListener);
        let ram = FrameRange { start: Mfn(0), frames: 64 };
        dom0.memory.map_identity_ram(hv.frames(), ram, &mut batch).unwrap();
        drop(batch);
        hv.add_vcpu(&dom0, VcpuId(0), ()).unwrap();
        let guest = hv.test_domain(1, 1);
        Self { hv, dom0, guest }
    }

    fn put<T: IntoBytes + Immutable + ?Sized>(
        &self,
        domain: &Domain<TestPlatform>,
        at: u64,
        value: &T,
    ) {
        domain.memory.write(&self.hv.platform, Gpa(at), value.as_bytes()).unwrap();
    }

    fn get<T: FromBytes + IntoBytes>(&self, domain: &Domain<TestPlatform>, at: u64) -> T {
        let mut value = T::new_zeroed();
        domain.memory.read(&self.hv.platform, Gpa(at), value.as_mut_bytes()).unwrap();
        value
    }

    /// Makes the call with `arg`, again and again while it wants to be continued. Gives how
    /// often, too.
    fn call<T: IntoBytes + Immutable>(
        &self,
        domain: &Arc<Domain<TestPlatform>>,
        command: MemoryCmd,
        arg: &T,
    ) -> (Result<u64, Errno>, usize) {
        self.put(domain, ARG, arg);
        let mut args = [u64::from(command.0), ARG, 0, 0, 0, 0];
        for continued in 0.. {
            match call_as(&self.hv, domain, args, memory_op) {
                Ok(Outcome::Continue(next)) => args = next,
                Ok(Outcome::Done(value)) => return (Ok(value), continued),
                Err(errno) => return (Err(errno), continued),
            }
        }
        unreachable!()
    }

    fn done<T: IntoBytes + Immutable>(
        &self,
        domain: &Arc<Domain<TestPlatform>>,
        command: MemoryCmd,
        arg: &T,
    ) -> Result<u64, Errno> {
        self.call(domain, command, arg).0
    }

    fn kind(&self, domain: &Domain<TestPlatform>, gfn: u64) -> Option<P2mKind> {
        domain.memory.lookup(&self.hv.platform, Gfn(gfn)).leaf.map(|leaf| leaf.kind)
    }
}

fn reservation(extents: u64, order: u32, domid: u16) -> MemoryReservation {
    MemoryReservation {
        extent_start: GuestHandle(LIST),
        nr_extents: extents,
        extent_order: order,
        domid,
        ..Default::default()
    }
}

#[test]
fn populating_counts_what_it_did_and_can_be_interrupted() {
    let machine = Machine::new();
    let gfns: Vec<u64> = (100..200).collect();
    machine.put(&machine.dom0, LIST, gfns.as_slice());
    machine.hv.platform.preempt.store(true, Relaxed);
    let wanted = reservation(100, 0, 1);
    let (done, continued) = machine.call(&machine.dom0, MemoryCmd::POPULATE_PHYSMAP, &wanted);
    assert_eq!((done, continued), (Ok(100), 99));
    assert_eq!(machine.guest.memory.pages(), 116);
    assert_eq!(machine.kind(&machine.guest, 199), Some(P2mKind::Ram));
    // The sixth extent isn't there: five are gone.
    machine.put(&machine.dom0, LIST + 5 * 8, &777_u64);
    let done = machine.done(&machine.dom0, MemoryCmd::DECREASE_RESERVATION, &wanted);
    assert_eq!(done, Ok(5));
    assert_eq!(machine.guest.memory.pages(), 111);
    assert_eq!(machine.kind(&machine.guest, 104), None);
}

#[test]
fn a_batch_flushes_once() {
    let machine = Machine::new();
    let gfns: Vec<u64> = (0..12).collect();
    machine.put(&machine.dom0, LIST, gfns.as_slice());
    let before = machine.hv.platform.flushes.load(Relaxed);
    let wanted = reservation(12, 0, 1);
    let done = machine.done(&machine.dom0, MemoryCmd::DECREASE_RESERVATION, &wanted);
    assert_eq!(done, Ok(12));
    assert_eq!(machine.hv.platform.flushes.load(Relaxed), before + 1);
}

#[test]
fn reservations_never_fail_with_an_error() {
    let machine = Machine::new();
    let populate = MemoryCmd::POPULATE_PHYSMAP;
    machine.put(&machine.dom0, LIST, &[0x400_u64, 0x600]);
    machine.put(&machine.guest, LIST, &[0x400_u64, 0x600]);
    // No such domain; not the caller's; too large for the caller; nothing left to do.
    assert_eq!(machine.done(&machine.dom0, populate, &reservation(1, 0, 77)), Ok(0));
    assert_eq!(machine.done(&machine.guest, populate, &reservation(1, 0, 0)), Ok(0));
    assert_eq!(machine.done(&machine.guest, populate, &reservation(1, 10, 1)), Ok(0));
    assert_eq!(machine.done(&machine.dom0, populate, &reservation(0, 0, 1)), Ok(0));
    assert_eq!(machine.done(&machine.dom0, populate, &reservation(1 << 40, 0, 1)), Ok(0));
    let args = [u64::from(populate.0) | 9 << 6, 0x10_0000, 0, 0, 0, 0];
    let unreadable = call_as(&machine.hv, &machine.dom0, args, memory_op);
    assert_eq!(unreadable, Ok(Outcome::Done(9)));
    // 2 MiB at once, and the list ends at an unreadable page.
    assert_eq!(machine.done(&machine.guest, populate, &reservation(2, 9, 0x7ff0)), Ok(2));
    let mut at_the_end = reservation(8, 0, 0x7ff0);
    at_the_end.extent_start = GuestHandle(0x1_0000 - 16);
    machine.put(&machine.guest, 0x1_0000 - 16, &[0x900_u64, 0x901]);
    assert_eq!(machine.done(&machine.guest, populate, &at_the_end), Ok(2));
    machine.guest.memory.set_max_pages(machine.guest.memory.pages() + 1);
    machine.put(&machine.guest, LIST, &[0xa00_u64, 0xa01]);
    assert_eq!(machine.done(&machine.guest, populate, &reservation(2, 0, 1)), Ok(1));
}

#[test]
fn addresses_can_be_limited() {
    let machine = Machine::new();
    machine.put(&machine.dom0, LIST, &[0x400_u64, 0x401, 0x402]);
    let mut wanted = reservation(1, 0, 1);
    wanted.mem_flags = 20;
    assert_eq!(machine.done(&machine.dom0, MemoryCmd::POPULATE_PHYSMAP, &wanted), Ok(1));
    let found = machine.guest.memory.translate(&machine.hv.platform, Gfn(0x400)).unwrap();
    assert!(found.mfn < Mfn(0x100));
    wanted.mem_flags = 12;
    assert_eq!(machine.done(&machine.dom0, MemoryCmd::POPULATE_PHYSMAP, &wanted), Ok(0));
    wanted.mem_flags = 40;
    assert_eq!(machine.done(&machine.dom0, MemoryCmd::POPULATE_PHYSMAP, &wanted), Ok(1));
}

#[test]
fn the_control_domain_balloons_in_place() {
    let machine = Machine::new();
    machine.put(&machine.dom0, LIST, &[40_u64, 41]);
    let wanted = reservation(2, 0, 0x7ff0);
    assert_eq!(machine.done(&machine.dom0, MemoryCmd::DECREASE_RESERVATION, &wanted), Ok(2));
    assert_eq!(machine.dom0.memory.pages(), 62);
    assert_eq!(machine.done(&machine.dom0, MemoryCmd::POPULATE_PHYSMAP, &wanted), Ok(2));
    let found = machine.dom0.memory.translate(&machine.hv.platform, Gfn(41)).unwrap();
    assert_eq!(found.mfn, Mfn(41));
}

#[test]
fn queries_and_claims() {
    let machine = Machine::new();
    let of = |domid| MemoryDomain { domid };
    let (dom0, guest) = (&machine.dom0, &machine.guest);
    assert_eq!(machine.done(dom0, MemoryCmd::CURRENT_RESERVATION, &of(1)), Ok(16));
    assert_eq!(machine.done(dom0, MemoryCmd::MAXIMUM_RESERVATION, &of(1)), Ok(0xffff_ffff));
    assert_eq!(machine.done(guest, MemoryCmd::MAXIMUM_GPFN, &of(0x7ff0)), Ok(15));
    assert_eq!(machine.done(guest, MemoryCmd::CURRENT_RESERVATION, &of(0)), Err(Errno::EPERM));
    assert_eq!(machine.done(dom0, MemoryCmd::CURRENT_RESERVATION, &of(9)), Err(Errno::ESRCH));
    assert_eq!(machine.done(dom0, MemoryCmd::MAXIMUM_RAM_PAGE, &0_u64), Ok(8192));
    assert_eq!(machine.done(dom0, MemoryCmd::GET_SHARING_FREED_PAGES, &0_u64), Ok(0));
    assert_eq!(machine.done(guest, MemoryCmd(63), &0_u64), Err(Errno::ENOSYS));
    let claim = MemoryCmd::CLAIM_PAGES;
    let mut wanted = MemoryReservation { nr_extents: 20, domid: 1, ..Default::default() };
    assert_eq!(machine.done(guest, claim, &wanted), Err(Errno::EPERM));
    assert_eq!(machine.done(dom0, claim, &wanted), Ok(0));
    assert_eq!(machine.hv.frames.claimed_frames(), 4);
    assert_eq!(machine.done(dom0, claim, &wanted), Err(Errno::EINVAL));
    wanted.nr_extents = 0;
    assert_eq!(machine.done(dom0, claim, &wanted), Ok(0));
    wanted.nr_extents = 1 << 30;
    assert_eq!(machine.done(dom0, claim, &wanted), Err(Errno::ENOMEM));
    wanted.extent_order = 9;
    assert_eq!(machine.done(dom0, claim, &wanted), Err(Errno::EINVAL));
}

#[test]
fn pages_are_added_at_chosen_frames() {
    let machine = Machine::new();
    let guest = &machine.guest;
    let mut page =
        AddToPhysmap { domid: 0x7ff0, space: MapSpace::SHARED_INFO, gpfn: 9, ..Default::default() };
    let add = MemoryCmd::ADD_TO_PHYSMAP;
    assert_eq!(machine.done(guest, add, &page), Ok(0));
    assert_eq!(machine.kind(guest, 9), Some(P2mKind::Shared));
    page.idx = 1;
    assert_eq!(machine.done(guest, add, &page), Err(Errno::EINVAL));
    (page.space, page.gpfn) = (MapSpace::GRANT_TABLE, 30);
    assert_eq!(machine.done(guest, add, &page), Ok(0));
    assert_eq!((guest.grants.frames(), guest.grants.frame_gfn(1)), (2, Some(Gfn(30))));
    page.idx = 64;
    assert_eq!(machine.done(guest, add, &page), Err(Errno::EINVAL));
    page.idx = XENMAPIDX_GRANT_TABLE_STATUS;
    assert_eq!(machine.done(guest, add, &page), Err(Errno::EINVAL));
    page.space = MapSpace::GMFN_FOREIGN;
    assert_eq!(machine.done(guest, add, &page), Err(Errno::ENOSYS));
    (page.space, page.size, page.idx, page.gpfn) = (MapSpace::GMFN_RANGE, 3, 12, 50);
    machine.hv.platform.preempt.store(true, Relaxed);
    assert_eq!(machine.call(guest, add, &page), (Ok(0), 2));
    assert_eq!((machine.kind(guest, 12), machine.kind(guest, 52)), (None, Some(P2mKind::Ram)));
    let gone = RemoveFromPhysmap { domid: 0x7ff0, gpfn: 30, ..Default::default() };
    assert_eq!(machine.done(guest, MemoryCmd::REMOVE_FROM_PHYSMAP, &gone), Ok(0));
    let again = machine.done(guest, MemoryCmd::REMOVE_FROM_PHYSMAP, &gone);
    assert_eq!(again, Err(Errno::ENOENT));
}

#[test]
fn foreign_pages_come_in_batches_with_an_error_each() {
    let machine = Machine::new();
    let (dom0, guest) = (&machine.dom0, &machine.guest);
    machine.put(guest, 3 << 12, b"guest");
    machine.put(dom0, LIST, &[3_u64, 99, 4]);
    machine.put(dom0, LIST2, &[100_u64, 101, 102]);
    let batch = AddToPhysmapBatch {
        domid: 0x7ff0,
        space: MapSpace::GMFN_FOREIGN.0 as u16,
        size: 3,
        foreign_domid: 1,
        idxs: GuestHandle(LIST),
        gpfns: GuestHandle(LIST2),
        errs: GuestHandle(ERRS),
    };
    let add = MemoryCmd::ADD_TO_PHYSMAP_BATCH;
    assert_eq!(machine.done(dom0, add, &batch), Ok(0));
    assert_eq!(machine.get::<[i32; 3]>(dom0, ERRS), [0, -22, 0]);
    assert_eq!(&machine.get::<[u8; 5]>(dom0, 100 << 12), b"guest");
    assert_eq!(machine.kind(dom0, 102), Some(P2mKind::Foreign));
    // Not by those without privilege, not from oneself, not from nobody.
    machine.put(guest, ARG, &[0_u64; 8]);
    let mut wrong = batch;
    wrong.foreign_domid = 0;
    assert_eq!(machine.done(guest, add, &wrong), Err(Errno::EPERM));
    assert_eq!(machine.done(dom0, add, &wrong), Err(Errno::EINVAL));
    wrong.foreign_domid = 55;
    assert_eq!(machine.done(dom0, add, &wrong), Err(Errno::ESRCH));
    wrong.space = MapSpace::GMFN.0 as u16;
    assert_eq!(machine.done(dom0, add, &wrong), Err(Errno::EOPNOTSUPP));
    // The guest dies: what is mapped of it lives on until it is unmapped.
    let mfn = guest.memory.translate(&machine.hv.platform, Gfn(3)).unwrap().mfn;
    machine.hv.hold_domain(guest);
    while machine.hv.relinquish_memory(guest) == Progress::Again {}
    assert_eq!(&machine.get::<[u8; 5]>(dom0, 100 << 12), b"guest");
    assert_eq!(machine.hv.frames.info(mfn).unwrap().kind, FrameKind::Orphan);
    for gpfn in [100, 102] {
        let gone = RemoveFromPhysmap { domid: 0x7ff0, gpfn, ..Default::default() };
        assert_eq!(machine.done(dom0, MemoryCmd::REMOVE_FROM_PHYSMAP, &gone), Ok(0));
    }
    assert_eq!(machine.hv.frames.info(mfn).unwrap().kind, FrameKind::Free);
}

#[test]
fn the_toolstack_maps_a_grant_table() {
    let machine = Machine::new();
    let (dom0, guest) = (&machine.dom0, &machine.guest);
    let acquire = MemoryCmd::ACQUIRE_RESOURCE;
    let mut wanted =
        MemAcquireResource { domid: 1, ty: Resource::GRANT_TABLE, ..Default::default() };
    assert_eq!(machine.done(dom0, acquire, &wanted), Ok(0));
    assert_eq!(machine.get::<MemAcquireResource>(dom0, ARG).nr_frames, 64);
    machine.put(dom0, LIST, &[200_u64, 201]);
    (wanted.nr_frames, wanted.frame_list) = (2, GuestHandle(LIST));
    assert_eq!(machine.done(dom0, acquire, &wanted), Ok(0));
    machine.put(dom0, 200 << 12, &0x0001_0000_u32);
    let frame = guest.grants.frame(machine.hv.frames(), 0).unwrap();
    assert_eq!(machine.hv.platform.memory.frame(frame.mfn())[..4], [0, 0, 1, 0]);
    wanted.frame = 63;
    assert_eq!(machine.done(dom0, acquire, &wanted), Err(Errno::EIO), "the second is too far");
    wanted.frame = 64;
    assert_eq!(machine.done(dom0, acquire, &wanted), Err(Errno::EINVAL));
    wanted.domid = 0;
    assert_eq!(machine.done(guest, acquire, &wanted), Err(Errno::EPERM));
    assert_eq!(machine.done(dom0, acquire, &wanted), Err(Errno::EPERM));
    (wanted.domid, wanted.ty) = (1, Resource::IOREQ_SERVER);
    assert_eq!(machine.done(dom0, acquire, &wanted), Err(Errno::EINVAL));
}

#[test]
fn memory_maps_are_told() {
    let machine = Machine::new();
    let (dom0, guest) = (&machine.dom0, &machine.guest);
    let mut map = MemoryMap { nr_entries: 10, buffer: GuestHandle(LIST), ..Default::default() };
    assert_eq!(machine.done(guest, MemoryCmd::MEMORY_MAP, &map), Err(Errno::ENOSYS));
    let own = [entry(0, 0x8_0000, 1), entry(0xfee0_0000, 0x1000, 2)];
    machine.put(dom0, LIST, &own);
    let mut set = ForeignMemoryMap { domid: 1, map, ..Default::default() };
    set.map.nr_entries = 2;
    assert_eq!(machine.done(dom0, MemoryCmd::SET_MEMORY_MAP, &set), Ok(0));
    assert_eq!(machine.done(guest, MemoryCmd::MEMORY_MAP, &map), Ok(0));
    assert_eq!(machine.get::<[E820Entry; 2]>(guest, LIST), own);
    assert_eq!(machine.get::<MemoryMap>(guest, ARG).nr_entries, 2);
    set.map.nr_entries = 1025;
    assert_eq!(machine.done(dom0, MemoryCmd::SET_MEMORY_MAP, &set), Err(Errno::EINVAL));
    assert_eq!(machine.done(guest, MemoryCmd::MACHINE_MEMORY_MAP, &map), Err(Errno::EPERM));
    map.nr_entries = 1;
    assert_eq!(machine.done(dom0, MemoryCmd::MACHINE_MEMORY_MAP, &map), Ok(0));
    assert_eq!(machine.get::<E820Entry>(dom0, LIST).size.get(), 0x9f000);
    map.buffer = GuestHandle::NULL;
    assert_eq!(machine.done(dom0, MemoryCmd::MACHINE_MEMORY_MAP, &map), Ok(0));
    assert_eq!(machine.get::<MemoryMap>(dom0, ARG).nr_entries, 2);
    let rdm = ReservedDeviceMemoryMap { flags: RDM_ALL, nr_entries: 5, ..Default::default() };
    assert_eq!(machine.done(dom0, MemoryCmd::RESERVED_DEVICE_MEMORY_MAP, &rdm), Ok(0));
    assert_eq!(machine.get::<ReservedDeviceMemoryMap>(dom0, ARG).nr_entries, 0);
    let vnuma = VnumaTopologyInfo { domid: 0x7ff0, ..Default::default() };
    let none = machine.done(guest, MemoryCmd::GET_VNUMAINFO, &vnuma);
    assert_eq!(none, Err(Errno::EOPNOTSUPP));
}
