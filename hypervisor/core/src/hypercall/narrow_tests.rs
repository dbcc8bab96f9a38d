//! Hypercalls of 32-bit code: its structures as the words that it puts into memory, by the C
//! headers' layout and not by this project's.

use alloc::sync::Arc;
use alloc::vec::Vec;

use xen_abi::event_channel::EventChannelCmd;
use xen_abi::grant_table::{EntryV1, GTF_PERMIT_ACCESS, GrantTableCmd};
use xen_abi::hvm::hvm_op::HvmCmd;
use xen_abi::hvm::params::HvmParam;
use xen_abi::memory::MemoryCmd;
use xen_abi::sched::SchedCmd;
use xen_abi::vcpu::VcpuCmd;
use xen_abi::version::VersionCmd;
use xen_abi::xen::{Hypercall, Virq};
use zerocopy::IntoBytes;

use super::Width;
use crate::domain::Domain;
use crate::hypervisor::Hypervisor;
use crate::testing::machine::{ARG, BUFFER, Caller};
use crate::testing::platform::{TestPlatform, hypervisor};
use crate::types::{CpuId, Gfn, VcpuId};

const SELF: u32 = 0x7FF0;
/// What shouldn't be written holds this.
const UNTOUCHED: u32 = 0xABCD_EF01;
const AT: u32 = BUFFER as u32;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;

fn machine() -> (Hypervisor<TestPlatform>, Arc<Domain<TestPlatform>>) {
    let hv = hypervisor(1);
    let guest = hv.test_domain(1, 2);
    (hv, guest)
}

impl Caller<'_> {
    /// Makes a call on a structure of these words. Its result, and the words afterwards.
    fn narrow<const N: usize>(
        &self,
        number: Hypercall,
        args: impl FnOnce(u64) -> [u64; 3],
        words: [u32; N],
    ) -> (i64, [u32; N]) {
        self.write(ARG, &words);
        self.write(ARG + size_of::<[u32; N]>() as u64, &UNTOUCHED);
        let [a, b, c] = args(ARG);
        let result = self.call_from(Width::Narrow, number, [a, b, c, 0, 0, 0]);
        let after: u32 = self.read(ARG + size_of::<[u32; N]>() as u64);
        assert_eq!(after, UNTOUCHED, "what lies behind the structure is the caller's");
        (result, self.read(ARG))
    }

    fn memory<const N: usize>(&self, cmd: MemoryCmd, words: [u32; N]) -> (i64, [u32; N]) {
        self.narrow(Hypercall::MEMORY_OP, |at| [cmd.0.into(), at, 0], words)
    }

    fn grant<const N: usize>(&self, cmd: GrantTableCmd, words: [u32; N]) -> (i64, [u32; N]) {
        self.narrow(Hypercall::GRANT_TABLE_OP, |at| [cmd.0.into(), at, 1], words)
    }

    fn vcpu<const N: usize>(&self, cmd: VcpuCmd, words: [u32; N]) -> (i64, [u32; N]) {
        self.narrow(Hypercall::VCPU_OP, |at| [cmd.0.into(), 0, at], words)
    }

    fn is_mapped(&self, gfn: u64) -> bool {
        self.domain.memory.lookup(&self.hv.platform, Gfn(gfn)).leaf.is_some()
    }
}

#[test]
fn memory_is_added_and_given_back() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    // Memory that is given back, and populated elsewhere; more extents than are copied at once.
    let gfns: Vec<u32> = (10..15).collect();
    guest.write(BUFFER, gfns.as_slice());
    let reservation = |extents| [AT, extents, 0, 0, SELF];
    let (done, _) = guest.memory(MemoryCmd::DECREASE_RESERVATION, reservation(5));
    assert_eq!((done, guest.is_mapped(14), guest.is_mapped(15)), (5, false, true));
    let gfns: Vec<u32> = (100..140).collect();
    guest.write(BUFFER, gfns.as_slice());
    hv.platform.preempt.store(true, core::sync::atomic::Ordering::Relaxed);
    assert_eq!(guest.memory(MemoryCmd::POPULATE_PHYSMAP, reservation(40)).0, 40);
    assert!(guest.is_mapped(100) && guest.is_mapped(139) && !guest.is_mapped(140));
    assert_eq!(guest.memory(MemoryCmd::CURRENT_RESERVATION, [SELF]).0, 51);
}

#[test]
fn special_pages_are_mapped() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let add =
        |space, index, gfn| guest.memory(MemoryCmd::ADD_TO_PHYSMAP, [SELF, space, index, gfn]).0;
    assert_eq!(add(0, 0, 200), 0);
    assert_eq!(add(1, 0, 201), 0);
    assert_eq!(add(0, 1, 202), EINVAL);
    assert_eq!(domain.grants.frame_gfn(0), Some(Gfn(201)));
    assert_eq!(guest.memory(MemoryCmd::REMOVE_FROM_PHYSMAP, [SELF, 201]).0, 0);
    assert!(guest.is_mapped(200) && !guest.is_mapped(201));
    // Two pages at once, the second of which isn't there.
    guest.write(BUFFER, &[9_u32, 777, 300, 301, UNTOUCHED, UNTOUCHED]);
    let batch = [SELF | 2 << 16, 2, AT, AT + 8, AT + 16];
    assert_eq!(guest.memory(MemoryCmd::ADD_TO_PHYSMAP_BATCH, batch).0, 0);
    assert_eq!(guest.read::<[i32; 2]>(BUFFER + 16), [0, -22]);
    assert!(guest.is_mapped(300) && !guest.is_mapped(9));
}

#[test]
fn a_memory_map_is_set_and_read() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    assert_eq!(guest.memory(MemoryCmd::MEMORY_MAP, [4, AT]).0, ENOSYS);
    let entries = [0_u32, 0, 0x8000, 0, 1, 0x8000, 0, 0x1000, 1, 2];
    guest.write(BUFFER, &entries);
    assert_eq!(guest.memory(MemoryCmd::SET_MEMORY_MAP, [SELF, 2, AT]).0, 0);
    guest.write(BUFFER, &[0_u32; 10]);
    assert_eq!(guest.memory(MemoryCmd::MEMORY_MAP, [128, AT]), (0, [2, AT]));
    assert_eq!(guest.read::<[u32; 10]>(BUFFER), entries);
    assert_eq!(guest.memory(MemoryCmd::MEMORY_MAP, [0, 0]), (0, [2, 0]));
}

#[test]
fn a_grant_table_is_set_up_and_used() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    assert_eq!(guest.memory(MemoryCmd::ADD_TO_PHYSMAP, [SELF, 1, 0, 200]).0, 0);
    guest.write(BUFFER, &[UNTOUCHED; 3]);
    assert_eq!(guest.grant(GrantTableCmd::SETUP_TABLE, [SELF, 2, 99, AT]), (0, [SELF, 2, 0, AT]));
    // The second frame is nowhere yet.
    assert_eq!(guest.read::<[u32; 3]>(BUFFER), [200, u32::MAX, UNTOUCHED]);
    assert_eq!(guest.grant(GrantTableCmd::SET_VERSION, [1]), (0, [1]));
    assert_eq!(guest.grant(GrantTableCmd::QUERY_SIZE, [SELF, 0, 0, 9]), (0, [SELF, 2, 64, 0]));

    // Another domain copies from what it was granted, twice.
    let peer = hv.test_domain(2, 1);
    let peer = Caller { hv: &hv, domain: &peer };
    guest.write(200 << 12, &EntryV1 { flags: GTF_PERMIT_ACCESS, domid: 2, frame: 5 });
    guest.write(0x5000, b"granted!");
    let copy =
        |from: u32, to: u32, len: u32| [0, 1 | from << 16, 7, SELF | to << 16, len | 1 << 16, 99];
    let copies = [copy(0, 16, 8), copy(4, 32, 4), copy(4090, 0, 8)];
    peer.write(ARG, &copies);
    let args = [GrantTableCmd::COPY.0.into(), ARG, 3, 0, 0, 0];
    assert_eq!(peer.call_from(Width::Narrow, Hypercall::GRANT_TABLE_OP, args), 0);
    let statuses = peer.read::<[[u32; 6]; 3]>(ARG).map(|copy| copy[5] as i16);
    assert_eq!(statuses, [0, 0, -10]);
    assert_eq!(
        (&peer.read::<[u8; 8]>(0x7010), &peer.read::<[u8; 4]>(0x7020)),
        (b"granted!", b"ted!")
    );
}

#[test]
fn events_are_sent_and_waited_for() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let event = |cmd: EventChannelCmd, words| {
        guest.narrow::<3>(Hypercall::EVENT_CHANNEL_OP, |at| [cmd.0.into(), at, 0], words)
    };
    let (result, [_, _, port]) = event(EventChannelCmd::BIND_VIRQ, [Virq::TIMER.0, 0, 0]);
    assert_eq!((result, port), (0, 1));
    assert_eq!(event(EventChannelCmd::ALLOC_UNBOUND, [SELF, 2, 0]), (0, [SELF, 2, 0]));
    assert_eq!(event(EventChannelCmd::CLOSE, [2, 0, 0]).0, 0);

    hv.set_now(1000);
    hv.schedule(hv.on_cpu(0), hv.set_now(1000));
    guest.write(BUFFER, &port);
    let poll = |timeout: u64| {
        let words = [AT, 1, timeout as u32, (timeout >> 32) as u32];
        guest.narrow(Hypercall::SCHED_OP, |at| [SchedCmd::POLL.0.into(), at, 0], words).0
    };
    assert_eq!(poll(5 << 32), 0);
    let blocked = || domain.vcpu(VcpuId(0)).unwrap().sched.is_blocked();
    assert!(blocked());
    // The timer rings, at a time whose halves come in two registers.
    let args = [2, 4, 0, 0, 0, 0];
    assert_eq!(guest.call_from(Width::Narrow, Hypercall::SET_TIMER_OP, args), 0);
    hv.expire_timers(CpuId(0), hv.set_now(4 << 32));
    assert!(blocked());
    hv.expire_timers(CpuId(0), hv.set_now(4 << 32 | 2));
    assert!(!blocked());
}

#[test]
fn a_vcpu_is_told_of_its_time() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let port = hv.bind_virq(&domain, Virq::TIMER, VcpuId(0)).unwrap();
    hv.schedule(hv.on_cpu(0), hv.set_now(700));
    assert_eq!(guest.vcpu(VcpuCmd::SET_SINGLESHOT_TIMER, [900, 0, 1]).0, 0);
    hv.expire_timers(CpuId(0), hv.set_now(900));
    assert!(hv.port_is_pending(&domain, port));

    // Running since 700, runnable before.
    let runstate = [0, 700, 0, 200, 0, 700, 0, 0, 0, 0, 0];
    assert_eq!(guest.vcpu(VcpuCmd::GET_RUNSTATE_INFO, [0; 11]), (0, runstate));
    // An address has 32 bits, what follows is undefined.
    guest.write(BUFFER, &[UNTOUCHED; 12]);
    let area = VcpuCmd::REGISTER_RUNSTATE_MEMORY_AREA;
    assert_eq!(guest.vcpu(area, [AT, UNTOUCHED]).0, 0);
    let shown = [0, 700, 0, 0, 0, 700, 0, 0, 0, 0, 0, UNTOUCHED];
    assert_eq!(guest.read::<[u32; 12]>(BUFFER), shown);
    // At the end of memory: 44 bytes fit, 48 don't.
    assert_eq!(guest.vcpu(area, [0x1_0000 - 44, 0]).0, 0);
    assert_eq!(guest.vcpu(area, [0x1_0000 - 40, 0]).0, -14);
}

#[test]
fn parameters_and_version_are_told() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    domain.params.store(HvmParam::STORE_PFN, 0xFEFFC);
    let get = [SELF, HvmParam::STORE_PFN.0, 0, 0];
    let (result, got) =
        guest.narrow(Hypercall::HVM_OP, |at| [HvmCmd::GET_PARAM.0.into(), at, 0], get);
    assert_eq!((result, got[2]), (0, 0xFEFFC));
    let version = |cmd: VersionCmd, words| {
        guest.narrow::<2>(Hypercall::XEN_VERSION, |at| [cmd.0.into(), at, 0], words)
    };
    assert_eq!(version(VersionCmd::VERSION, [0; 2]).0, 4 << 16 | 20);
    assert_eq!(version(VersionCmd::PLATFORM_PARAMETERS, [9, 9]), (0, [0, 9]));
    let (result, [_, features]) = version(VersionCmd::GET_FEATURES, [0, 0]);
    assert!(result == 0 && features != 0);
    let refused = guest.narrow(Hypercall::PLATFORM_OP, |at| [at, 0, 0], [0; 34]);
    assert_eq!(refused.0, ENOSYS);
}

#[test]
fn several_calls_are_made_at_once() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let calls = [
        [Hypercall::XEN_VERSION.0, 99, 0, 0, 0, 0, 0, 0],
        [Hypercall::VCPU_OP.0, 99, VcpuCmd::IS_UP.0, 1, 0, 0, 0, 0],
        [Hypercall(55).0, 99, 0, 0, 0, 0, 0, 0],
    ];
    hv.platform.preempt.store(true, core::sync::atomic::Ordering::Relaxed);
    guest.write(ARG, calls.as_bytes());
    assert_eq!(guest.call_from(Width::Narrow, Hypercall::MULTICALL, [ARG, 3, 0, 0, 0, 0]), 0);
    let results = guest.read::<[[u32; 8]; 3]>(ARG).map(|call| call[1]);
    assert_eq!(results, [4 << 16 | 20, 1, ENOSYS as u32]);
}
