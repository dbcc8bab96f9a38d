//! `grant_table_op` from inside: what the queries tell, arrays, continuations, errors.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::arithmetic_side_effects)]

use alloc::vec::Vec;
use core::sync::atomic::Ordering::Relaxed;

use xen_abi::GuestHandle;
use xen_abi::grant_table::{
    EntryV1, GTF_PERMIT_ACCESS, GTF_READING, GTF_READONLY, GTF_WRITING, MAP_HOST_MAP,
};
use zerocopy::{FromBytes, Immutable, IntoBytes};

use super::*;
use crate::domain::Progress;
use crate::hypervisor::Hypervisor;
use crate::testing::platform::{TestPlatform, call_as, hypervisor};

const ARG: u64 = 0x1000;
const LIST: u64 = 0x6000;
const PAGE: u64 = 4096;

type Dom = Arc<Domain<TestPlatform>>;

struct Machine {
    hv: Hypervisor<TestPlatform>,
    /// 0 is privileged.
    domains: [Dom; 3],
}

impl Machine {
    fn new() -> Self {
        let hv = hypervisor(1);
        let domains = [0, 1, 2].map(|id| hv.test_domain(id, 1));
        Self { hv, domains }
    }

    fn put<T: IntoBytes + Immutable + ?Sized>(&self, domain: usize, at: u64, value: &T) {
        let memory = &self.domains[domain].memory;
        memory.write(&self.hv.platform, Gpa(at), value.as_bytes()).unwrap();
    }

    fn get<T: FromBytes + IntoBytes>(&self, domain: usize, at: u64) -> T {
        let mut value = T::new_zeroed();
        let memory = &self.domains[domain].memory;
        memory.read(&self.hv.platform, Gpa(at), value.as_mut_bytes()).unwrap();
        value
    }

    /// Makes the call, on as long as it wants to be continued; gives how often.
    fn call(
        &self,
        domain: usize,
        command: GrantTableCmd,
        count: u64,
    ) -> (Result<Outcome, Errno>, usize) {
        let mut args = [u64::from(command.0), ARG, count, 0, 0, 0];
        for continued in 0.. {
            match call_as(&self.hv, &self.domains[domain], args, grant_table_op) {
                Ok(Outcome::Continue(next)) => args = next,
                result => return (result, continued),
            }
        }
        unreachable!()
    }

    /// Makes the call on one structure, and gives it back.
    fn one<T>(&self, domain: usize, command: GrantTableCmd, op: T) -> (Result<Outcome, Errno>, T)
    where
        T: FromBytes + IntoBytes + Immutable,
    {
        self.put(domain, ARG, &op);
        let (result, _) = self.call(domain, command, 1);
        (result, self.get(domain, ARG))
    }

    fn entry_at(&self, domain: usize, gref: u32) -> (crate::types::Mfn, usize) {
        let frame = self.domains[domain].grants.frame(self.hv.frames(), gref / 512).unwrap();
        (frame.mfn(), (gref % 512) as usize * 8)
    }

    fn grant(&self, domain: usize, gref: u32, to: u16, frame: u32, flags: u16) {
        let (mfn, offset) = self.entry_at(domain, gref);
        let entry = EntryV1 { flags: GTF_PERMIT_ACCESS | flags, domid: to, frame };
        self.hv.platform.memory.store_u64(mfn, offset, zerocopy::transmute!(entry));
    }

    fn flags(&self, domain: usize, gref: u32) -> u16 {
        let (mfn, offset) = self.entry_at(domain, gref);
        self.hv.platform.memory.load_u32(mfn, offset) as u16
    }
}

use crate::platform::FrameMemory;

fn map_op(gref: u32, gfn: u64) -> MapGrantRef {
    MapGrantRef { host_addr: gfn * PAGE, flags: MAP_HOST_MAP, gref, dom: 1, ..Default::default() }
}

#[test]
fn the_table_is_set_up_and_queried() {
    let machine = Machine::new();
    let query = QuerySize { dom: 0x7ff0, ..Default::default() };
    let (result, size) = machine.one(1, GrantTableCmd::QUERY_SIZE, query);
    assert_eq!((result, size.status), (Ok(Outcome::OK), GrantStatus::OKAY));
    assert_eq!((size.nr_frames, size.max_nr_frames), (1, 64));
    let other = QuerySize { dom: 2, ..Default::default() };
    let (_, denied) = machine.one(1, GrantTableCmd::QUERY_SIZE, other);
    assert_eq!(denied.status, GrantStatus::PERMISSION_DENIED);
    let nobody = QuerySize { dom: 9, ..Default::default() };
    let (_, bad) = machine.one(0, GrantTableCmd::QUERY_SIZE, nobody);
    assert_eq!(bad.status, GrantStatus::BAD_DOMAIN);
    assert_eq!(machine.call(1, GrantTableCmd::QUERY_SIZE, 2).0, Err(Errno::EINVAL));

    let mut setup = SetupTable {
        dom: 0x7ff0,
        nr_frames: 3,
        frame_list: GuestHandle(LIST),
        ..Default::default()
    };
    let (_, done) = machine.one(1, GrantTableCmd::SETUP_TABLE, setup);
    assert_eq!((done.status, machine.domains[1].grants.frames()), (GrantStatus::OKAY, 3));
    assert_eq!(machine.get::<[u64; 3]>(1, LIST), [u64::MAX; 3]);
    setup.nr_frames = 65;
    let (_, done) = machine.one(1, GrantTableCmd::SETUP_TABLE, setup);
    assert_eq!(done.status, GrantStatus::GENERAL_ERROR);
}

#[test]
fn there_is_one_version() {
    let machine = Machine::new();
    let ask = |version| {
        let (result, op) = machine.one(1, GrantTableCmd::SET_VERSION, SetVersion { version });
        assert_eq!(op.version, 1);
        result
    };
    assert_eq!(ask(1), Ok(Outcome::OK));
    assert_eq!(ask(2), Err(Errno::ENOSYS));
    assert_eq!(ask(3), Err(Errno::EINVAL));
    let get =
        |dom| machine.one(1, GrantTableCmd::GET_VERSION, GetVersion { dom, ..Default::default() });
    assert_eq!((get(1).0, get(1).1.version), (Ok(Outcome::OK), 1));
    assert_eq!(get(0).0, Err(Errno::EPERM));
    assert_eq!(get(7).0, Err(Errno::ESRCH));
    for command in [
        GrantTableCmd::GET_STATUS_FRAMES,
        GrantTableCmd::TRANSFER,
        GrantTableCmd::UNMAP_AND_REPLACE,
        GrantTableCmd::CACHE_FLUSH,
        GrantTableCmd(77),
    ] {
        assert_eq!(machine.call(1, command, 1).0, Err(Errno::ENOSYS));
    }
    assert_eq!(machine.call(1, GrantTableCmd::COPY, u64::from(u32::MAX)).0, Err(Errno::EINVAL));
}

#[test]
fn arrays_are_mapped_in_chunks_and_unmapped_with_one_flush_each() {
    let machine = Machine::new();
    let count = 40;
    for gref in 0..count {
        machine.grant(1, gref, 2, gref % 16, 0);
    }
    let ops: Vec<MapGrantRef> = (0..count).map(|n| map_op(n, 100 + u64::from(n))).collect();
    machine.put(2, ARG, ops.as_slice());
    machine.hv.platform.preempt.store(true, Relaxed);
    let (result, continued) = machine.call(2, GrantTableCmd::MAP_GRANT_REF, count.into());
    assert_eq!((result, continued), (Ok(Outcome::OK), 2));
    let mapped: Vec<MapGrantRef> =
        (0..u64::from(count)).map(|n| machine.get(2, ARG + n * 32)).collect();
    assert!(mapped.iter().all(|op| op.status == GrantStatus::OKAY && op.dev_bus_addr != 0));
    machine.put(1, 5 * PAGE, b"granted");
    assert_eq!(&machine.get::<[u8; 7]>(2, 105 * PAGE), b"granted");
    assert_eq!(machine.flags(1, 5), GTF_PERMIT_ACCESS | GTF_READING | GTF_WRITING);

    let ops: Vec<UnmapGrantRef> = mapped
        .iter()
        .map(|op| UnmapGrantRef {
            host_addr: op.host_addr,
            handle: op.handle,
            ..Default::default()
        })
        .collect();
    machine.put(2, ARG, ops.as_slice());
    let flushes = machine.hv.platform.flushes.load(Relaxed);
    machine.hv.platform.preempt.store(false, Relaxed);
    let (result, continued) = machine.call(2, GrantTableCmd::UNMAP_GRANT_REF, count.into());
    assert_eq!((result, continued), (Ok(Outcome::OK), 0));
    assert_eq!(machine.hv.platform.flushes.load(Relaxed) - flushes, 3);
    assert!((0..count).all(|gref| machine.flags(1, gref) == GTF_PERMIT_ACCESS));
    let (_, again) = machine.one(2, GrantTableCmd::UNMAP_GRANT_REF, ops[0]);
    assert_eq!(again.status, GrantStatus::BAD_HANDLE);
}

#[test]
fn each_element_has_its_status() {
    let machine = Machine::new();
    machine.grant(1, 0, 2, 3, 0);
    let mut nobody = map_op(0, 100);
    nobody.dom = 9;
    let mut self_named = map_op(0, 100);
    self_named.dom = 0x7ff0;
    let ops = [map_op(0, 100), map_op(1, 101), map_op(9999, 102), nobody, self_named];
    machine.put(2, ARG, &ops);
    assert_eq!(machine.call(2, GrantTableCmd::MAP_GRANT_REF, 5).0, Ok(Outcome::OK));
    let status: Vec<i16> =
        (0..5).map(|n| machine.get::<MapGrantRef>(2, ARG + n * 32).status.0).collect();
    assert_eq!(status, [0, -1, -3, -2, -2]);
    let args = [0, 0x100_0000, 1, 0, 0, 0];
    let unreadable = call_as(&machine.hv, &machine.domains[2], args, grant_table_op);
    assert_eq!(unreadable, Err(Errno::EFAULT));
}

#[test]
fn copies_name_either_end_by_entry_or_own_frame() {
    let machine = Machine::new();
    machine.grant(1, 4, 2, 7, 0);
    machine.grant(1, 5, 2, 8, GTF_READONLY);
    machine.put(1, 7 * PAGE + 100, b"from the other");
    let copy = |source, dest, len, flags| {
        let op = GrantCopy { source, dest, len, flags, ..Default::default() };
        machine.one(2, GrantTableCmd::COPY, op).1.status
    };
    let end = |u, domid, offset| CopyPtr { u, domid, offset, ..Default::default() };
    // The upper half of the field is undefined where it holds a reference.
    let granted = end(0xdead_0000_0000 | 4, 1, 100);
    let own = end(9, 0x7ff0, 8);
    assert_eq!(copy(granted, own, 14, COPY_SOURCE_GREF), GrantStatus::OKAY);
    assert_eq!(&machine.get::<[u8; 14]>(2, 9 * PAGE + 8), b"from the other");
    machine.put(2, 9 * PAGE + 8, b"from this one!");
    assert_eq!(copy(own, granted, 14, COPY_DEST_GREF), GrantStatus::OKAY);
    assert_eq!(&machine.get::<[u8; 14]>(1, 7 * PAGE + 100), b"from this one!");
    assert_eq!(machine.flags(1, 4), GTF_PERMIT_ACCESS);
    let read_only = end(5, 1, 0);
    assert_eq!(copy(read_only, granted, 9, 3), GrantStatus::OKAY);
    assert_eq!(copy(own, read_only, 9, COPY_DEST_GREF), GrantStatus::GENERAL_ERROR);
    assert_eq!(copy(own, own, 4089, 0), GrantStatus::BAD_COPY_ARG);
    assert_eq!(copy(end(9, 1, 0), own, 1, 0), GrantStatus::PERMISSION_DENIED);
    assert_eq!(copy(end(4, 9, 0), own, 1, COPY_SOURCE_GREF), GrantStatus::BAD_DOMAIN);
    assert_eq!(copy(own, end(99, 0x7ff0, 0), 1, 0), GrantStatus::BAD_PAGE);
    assert_eq!(copy(own, end(10, 0x7ff0, 0), 0, 0), GrantStatus::OKAY);
}

#[test]
fn a_dying_domain_lets_go_of_what_it_maps() {
    let machine = Machine::new();
    machine.grant(1, 4, 2, 7, 0);
    let free = machine.hv.frames.free_frames();
    let (_, op) = machine.one(2, GrantTableCmd::MAP_GRANT_REF, map_op(4, 100));
    assert_eq!(op.status, GrantStatus::OKAY);
    let dying = &machine.domains[2];
    machine.hv.hold_domain(dying);
    machine.hv.platform.preempt.store(true, Relaxed);
    let mut steps = 1;
    while machine.hv.relinquish_memory(dying) == Progress::Again {
        steps += 1;
    }
    assert!(steps > 1);
    assert_eq!(machine.flags(1, 4), GTF_PERMIT_ACCESS);
    let (mfn, _) = machine.entry_at(1, 4);
    assert_eq!(machine.hv.frames.info(mfn).unwrap().references, 1);
    dying.memory.free_shared_info(machine.hv.frames());
    // 16 frames of memory, tables, shared info and a grant frame.
    assert!(machine.hv.frames.free_frames() >= free + 16 + 2);
}
