//! The toolstack's path: a domain's whole life through hypercalls.

use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::Ordering;

use xen_abi::GuestHandle;
use xen_abi::arch_x86::xen::{CpuidLeaf, DomainConfig as ArchConfig};
use xen_abi::domctl::*;
use xen_abi::sched::ShutdownReason;
use xen_abi::xen::{CtlBitmap, Hypercall, Virq};
use zerocopy::{Immutable, IntoBytes};

use crate::domain::Domain;
use crate::errno::Errno;
use crate::hypervisor::Hypervisor;
use crate::memory::PopulateRequest;
use crate::p2m::FlushBatch;
use crate::testing::machine::{ARG, BUFFER, Caller, REFUSED_LEAF};
use crate::testing::platform::{NoListener, TestPlatform, hypervisor};
use crate::types::{DomId, Gfn, VcpuId};

type TestDomain = Arc<Domain<TestPlatform>>;

impl Caller<'_> {
    fn domctl<T: IntoBytes + Immutable>(
        &self,
        cmd: DomctlCmd,
        domain: u16,
        u: &T,
    ) -> Result<Domctl, Errno> {
        let u = xen_abi::Payload::new(u);
        let op = Domctl { cmd, interface_version: 0x17, domain, u, ..Domctl::default() };
        self.write(ARG, &op);
        match self.call(Hypercall::DOMCTL, [ARG, 0, 0, 0, 0, 0]) {
            0 => Ok(self.read(ARG)),
            errno => Err(Errno(-errno as i32)),
        }
    }

    fn info(&self, domain: u16) -> GetDomainInfo {
        self.domctl(DomctlCmd::GETDOMAININFO, domain, &()).unwrap().u.read()
    }
}

fn wanted() -> CreateDomain {
    CreateDomain {
        handle: [0xAB; 16],
        flags: CDF_HVM | CDF_HAP | CDF_OOS_OFF,
        max_vcpus: 2,
        max_evtchn_port: 1023,
        max_grant_frames: -1,
        max_maptrack_frames: 0,
        grant_opts: 1,
        arch: ArchConfig { emulation_flags: 1, misc_flags: 0 },
        ..CreateDomain::default()
    }
}

fn dom0(hv: &Hypervisor<TestPlatform>) -> TestDomain {
    hv.test_domain(0, 1)
}

#[test]
fn a_whole_life() {
    let hv = hypervisor(2);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    let dom_exc = hv.bind_virq(&dom0, Virq::DOM_EXC, VcpuId(0)).unwrap();
    let exceptions = || {
        let before = hv.port_is_pending(&dom0, dom_exc);
        hv.clear_port(&dom0, dom_exc);
        before
    };
    let free = hv.frames.free_frames();

    let id = tool.domctl(DomctlCmd::CREATEDOMAIN, 0, &wanted()).unwrap().domain;
    assert_eq!(id, 1);
    assert_eq!(tool.domctl(DomctlCmd::MAX_VCPUS, id, &MaxVcpus { max: 3 }), Err(Errno::EINVAL));
    tool.domctl(DomctlCmd::MAX_VCPUS, id, &MaxVcpus { max: 2 }).unwrap();
    tool.domctl(DomctlCmd::MAX_VCPUS, id, &MaxVcpus { max: 2 }).unwrap();
    tool.domctl(DomctlCmd::MAX_MEM, id, &MaxMem { max_memkb: 4096 }).unwrap();
    let info = tool.info(id);
    assert_eq!(info.flags, DOMINF_HVM_GUEST | DOMINF_HAP | DOMINF_PAUSED | DOMINF_BLOCKED);
    assert_eq!((info.max_pages, info.max_vcpu_id, info.nr_online_vcpus), (1024, 1, 0));
    assert_eq!((info.handle, info.gpaddr_bits), ([0xAB; 16], 39));

    let domain = hv.domain(DomId(id)).unwrap();
    let mut batch = FlushBatch::new(&hv.frames, &NoListener);
    for gfn in 0..1024 {
        let request = PopulateRequest { gfn: Gfn(gfn), order: 0, below: None };
        domain.memory.populate(hv.frames(), request, &mut batch).unwrap();
    }
    hv.alloc_unbound(&domain, DomId(0)).unwrap();
    assert_eq!(tool.info(id).tot_pages, 1024);

    tool.domctl(DomctlCmd::UNPAUSEDOMAIN, id, &()).unwrap();
    assert_eq!(tool.domctl(DomctlCmd::UNPAUSEDOMAIN, id, &()), Err(Errno::EINVAL));
    assert!(!exceptions());
    hv.shut_down(&domain, ShutdownReason::REBOOT);
    assert!(exceptions());
    assert_eq!(tool.info(id).flags >> 16, ShutdownReason::REBOOT.0);
    assert_ne!(tool.info(id).flags & DOMINF_SHUTDOWN, 0);

    hv.platform.preempt.store(true, Ordering::Relaxed);
    tool.domctl(DomctlCmd::DESTROYDOMAIN, id, &()).unwrap();
    assert!(exceptions());
    assert_eq!(tool.domctl(DomctlCmd::GETDOMAININFO, id, &()), Err(Errno::ESRCH));
    drop(domain);
    assert_eq!(hv.frames.free_frames(), free, "everything is given back");
    // The number isn't used again at once.
    assert_eq!(tool.domctl(DomctlCmd::CREATEDOMAIN, 0, &wanted()).unwrap().domain, 2);
    assert_eq!(tool.domctl(DomctlCmd::CREATEDOMAIN, 1, &wanted()).unwrap().domain, 1);
    assert_eq!(tool.domctl(DomctlCmd::CREATEDOMAIN, 1, &wanted()), Err(Errno::EEXIST));
}

#[test]
fn only_the_privileged_and_only_this_version() {
    let hv = hypervisor(1);
    let (dom0, guest) = (dom0(&hv), hv.test_domain(1, 1));
    let (tool, guest) = (Caller { hv: &hv, domain: &dom0 }, Caller { hv: &hv, domain: &guest });
    assert_eq!(guest.domctl(DomctlCmd::GETDOMAININFO, 1, &()), Err(Errno::EPERM));
    assert_eq!(tool.domctl(DomctlCmd::GETDOMAININFO, 7, &()), Err(Errno::ESRCH));
    tool.write(ARG, &Domctl { interface_version: 0x16, ..Domctl::default() });
    assert_eq!(tool.call(Hypercall::DOMCTL, [ARG, 0, 0, 0, 0, 0]), -13);
    assert_eq!(tool.call(Hypercall::DOMCTL, [1 << 40, 0, 0, 0, 0, 0]), -14);
    for cmd in [DomctlCmd::PAUSEDOMAIN, DomctlCmd::DESTROYDOMAIN, DomctlCmd::RESUMEDOMAIN] {
        assert_eq!(tool.domctl(cmd, 0, &()), Err(Errno::EINVAL), "{cmd:?} to itself");
    }
    assert_eq!(tool.domctl(DomctlCmd(999), 1, &()), Err(Errno::ENOSYS));
    assert_eq!(tool.domctl(DomctlCmd::ASSIGN_DEVICE, 1, &()), Err(Errno::EOPNOTSUPP));
}

#[test]
fn impossible_domains_are_refused() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    let refused: [fn(&mut CreateDomain); 7] = [
        |domain| domain.flags = 0,
        |domain| domain.flags |= CDF_NESTED_VIRT,
        |domain| domain.flags |= 1 << 20,
        |domain| domain.max_vcpus = 0,
        |domain| domain.max_vcpus = 1000,
        |domain| domain.grant_opts = 2,
        |domain| domain.cpupool_id = 3,
    ];
    for change in refused {
        let mut wanted = wanted();
        change(&mut wanted);
        assert_eq!(tool.domctl(DomctlCmd::CREATEDOMAIN, 0, &wanted), Err(Errno::EINVAL));
    }
    let mut device_model = wanted();
    device_model.arch.emulation_flags = 0x3FF;
    let result = tool.domctl(DomctlCmd::CREATEDOMAIN, 0, &device_model);
    assert_eq!(result, Err(Errno::EOPNOTSUPP));
    assert_eq!(hv.domains().len(), 1);
}

#[test]
fn one_domctl_at_a_time() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    let op = Domctl { cmd: DomctlCmd::GETDOMAININFO, interface_version: 0x17, ..Domctl::default() };
    tool.write(ARG, &op);
    let held = hv.domctl_lock.lock();
    let args = [ARG, 0, 0, 0, 0, 0];
    let outcome = crate::testing::platform::call_as(&hv, &dom0, args, super::domctl);
    assert_eq!(outcome, Ok(super::Outcome::Continue(args)));
    drop(held);
    assert_eq!(tool.call(Hypercall::DOMCTL, args), 0);
}

#[test]
fn affinity_is_set_and_told() {
    let hv = hypervisor(4);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    hv.test_domain(1, 2);
    let map = |at, nr_bits| CtlBitmap { bitmap: GuestHandle(at), nr_bits, ..CtlBitmap::default() };
    let both = VCPUAFFINITY_HARD | VCPUAFFINITY_SOFT;
    let request = |flags| VcpuAffinity {
        vcpu: 1,
        flags,
        cpumap_hard: map(BUFFER, 64),
        cpumap_soft: map(BUFFER + 8, 4),
    };
    tool.write(BUFFER, &0xFF06_u64);
    tool.write(BUFFER + 8, &0xF4_u64);
    tool.domctl(DomctlCmd::SETVCPUAFFINITY, 1, &request(both)).unwrap();
    assert_eq!(tool.read::<u64>(BUFFER), 0x06, "what is in effect");
    assert_eq!(tool.read::<u8>(BUFFER + 8), 0x04);
    tool.domctl(DomctlCmd::GETVCPUAFFINITY, 1, &request(both)).unwrap();
    assert_eq!(tool.read::<u64>(BUFFER), 0xFF06, "what was asked for");

    tool.write(BUFFER, &0xF0_u64);
    let set = |flags| tool.domctl(DomctlCmd::SETVCPUAFFINITY, 1, &request(flags));
    assert_eq!(set(VCPUAFFINITY_HARD), Err(Errno::EINVAL), "none of them is online");
    assert_eq!(set(0), Err(Errno::EINVAL));
    let info =
        tool.domctl(DomctlCmd::GETVCPUINFO, 1, &GetVcpuInfo { vcpu: 1, ..Default::default() });
    let info: GetVcpuInfo = info.unwrap().u.read();
    assert_eq!((info.online, info.blocked, info.running), (1, 0, 0));
    assert!([1, 2].contains(&info.cpu));
    let absent = GetVcpuInfo { vcpu: 2, ..Default::default() };
    assert_eq!(tool.domctl(DomctlCmd::GETVCPUINFO, 1, &absent), Err(Errno::EINVAL));
}

#[test]
fn shares_are_those_of_credit2() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    hv.test_domain(1, 1);
    let op = |sched_id, cmd, share: SchedCredit2| {
        let op = SchedulerOp { sched_id, cmd, u: xen_abi::Payload::new(&share) };
        tool.domctl(DomctlCmd::SCHEDULER_OP, 1, &op)
    };
    let share = SchedCredit2 { weight: 512, cap: 75 };
    op(Scheduler::CREDIT2, SchedOp::PUTINFO, share).unwrap();
    let got = op(Scheduler::CREDIT2, SchedOp::GETINFO, SchedCredit2::default()).unwrap();
    assert_eq!(got.u.read::<SchedulerOp>().u.read::<SchedCredit2>(), share);
    assert_eq!(op(Scheduler::CREDIT, SchedOp::GETINFO, share), Err(Errno::EINVAL));
    assert_eq!(op(Scheduler::CREDIT2, SchedOp::PUTVCPUINFO, share), Err(Errno::EINVAL));
}

#[test]
fn saved_state_goes_both_ways() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    let guest = hv.test_domain(1, 1);
    let context = |size, at| HvmContext { size, buffer: GuestHandle(at), ..HvmContext::default() };
    let get = |request: HvmContext| {
        let op = tool.domctl(DomctlCmd::GETHVMCONTEXT, 1, &request)?;
        Ok::<_, Errno>(op.u.read::<HvmContext>().size)
    };
    assert_eq!(get(context(0, 0)), Ok(100));
    assert_eq!(get(context(99, BUFFER)), Err(Errno::ENOSPC));
    assert_eq!(get(context(4096, BUFFER)), Ok(100));
    assert_eq!(tool.read::<[u8; 101]>(BUFFER)[99..], [7, 0]);
    tool.domctl(DomctlCmd::SETHVMCONTEXT, 1, &context(100, BUFFER)).unwrap();
    assert!(guest.vcpu(VcpuId(0)).unwrap().is_initialised());
    assert!(guest.vcpu(VcpuId(0)).unwrap().sched.is_runnable(), "paused only meanwhile");
    let set = tool.domctl(DomctlCmd::SETHVMCONTEXT, 1, &context(99, BUFFER));
    assert_eq!(set, Err(Errno::EINVAL));

    let partial = |ty| HvmContextPartial {
        ty,
        bufsz: 4,
        buffer: GuestHandle(BUFFER),
        ..HvmContextPartial::default()
    };
    let got = tool.domctl(DomctlCmd::GETHVMCONTEXT_PARTIAL, 1, &partial(2)).unwrap();
    assert_eq!(got.u.read::<HvmContextPartial>().bufsz, 10);
    let absent = tool.domctl(DomctlCmd::GETHVMCONTEXT_PARTIAL, 1, &partial(3));
    assert_eq!(absent, Err(Errno::ENOENT));
}

#[test]
fn a_refused_leaf_is_named() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    hv.test_domain(1, 1);
    let policy =
        |nr_leaves| CpuPolicy { nr_leaves, leaves: GuestHandle(BUFFER), ..CpuPolicy::default() };
    let room = tool.domctl(DomctlCmd::GET_CPU_POLICY, 1, &policy(2));
    assert_eq!(room, Err(Errno::ENOBUFS));
    let got = tool.domctl(DomctlCmd::GET_CPU_POLICY, 1, &policy(9)).unwrap();
    assert_eq!(got.u.read::<CpuPolicy>().nr_leaves, 3);
    tool.domctl(DomctlCmd::SET_CPU_POLICY, 1, &policy(3)).unwrap();
    tool.write(BUFFER, &CpuidLeaf { leaf: REFUSED_LEAF, ..CpuidLeaf::default() });
    let refused = tool.domctl(DomctlCmd::SET_CPU_POLICY, 1, &policy(3));
    assert_eq!(refused, Err(Errno::EINVAL));
    let told: CpuPolicy = tool.read::<Domctl>(ARG).u.read();
    assert_eq!((told.err_leaf, told.err_subleaf, told.err_msr), (REFUSED_LEAF, !0, !0));
}

#[test]
fn memory_limits_and_kinds() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    hv.test_domain(1, 1);
    let pool = |size| tool.domctl(DomctlCmd::SET_PAGING_MEMPOOL_SIZE, 1, &PagingMempool { size });
    assert_eq!(pool(4097), Err(Errno::EINVAL));
    pool(1 << 20).unwrap();
    let got = tool.domctl(DomctlCmd::GET_PAGING_MEMPOOL_SIZE, 1, &()).unwrap();
    assert_eq!(got.u.read::<PagingMempool>().size, 1 << 20);

    let gfns: Vec<u64> = [3, 15, 16, 1 << 40].to_vec();
    tool.write(BUFFER, gfns.as_slice());
    let get = |num| GetPageFrameInfo3 { num, array: GuestHandle(BUFFER) };
    hv.platform.preempt.store(true, Ordering::Relaxed);
    tool.domctl(DomctlCmd::GETPAGEFRAMEINFO3, 1, &get(4)).unwrap();
    let (ram, none) = (u64::from(PFINFO_NOTAB), u64::from(PFINFO_XTAB));
    assert_eq!(tool.read::<[u64; 4]>(BUFFER), [ram, ram, none, none]);
    let many = tool.domctl(DomctlCmd::GETPAGEFRAMEINFO3, 1, &get(1025));
    assert_eq!(many, Err(Errno::E2BIG));

    tool.domctl(DomctlCmd::SET_LLC_COLORS, 1, &SetLlcColors::default()).unwrap();
    let log_dirty = ShadowOp { op: ShadowOpCmd::ENABLE_LOGDIRTY, ..ShadowOp::default() };
    assert_eq!(tool.domctl(DomctlCmd::SHADOW_OP, 1, &log_dirty), Err(Errno::EOPNOTSUPP));
}

#[test]
fn time_is_kept_over_moves() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    hv.test_domain(1, 1);
    hv.set_now(1000);
    let set = TscInfo { tsc_mode: 2, incarnation: 3, elapsed_nsec: 5000, ..TscInfo::default() };
    tool.domctl(DomctlCmd::SETTSCINFO, 1, &set).unwrap();
    hv.set_now(1500);
    let got: TscInfo = tool.domctl(DomctlCmd::GETTSCINFO, 1, &()).unwrap().u.read();
    assert_eq!((got.tsc_mode, got.incarnation, got.elapsed_nsec), (2, 3, 5500));
    assert_eq!(got.gtsc_khz, 1_000_000);
    let other = TscInfo { gtsc_khz: 2_000_000, ..set };
    assert_eq!(tool.domctl(DomctlCmd::SETTSCINFO, 1, &other), Err(Errno::EOPNOTSUPP));
    let emulated = TscInfo { tsc_mode: 1, ..set };
    assert_eq!(tool.domctl(DomctlCmd::SETTSCINFO, 1, &emulated), Err(Errno::EOPNOTSUPP));
}

#[test]
fn a_suspension_is_told_where_it_is_waited_for() {
    let hv = hypervisor(1);
    let dom0 = dom0(&hv);
    let tool = Caller { hv: &hv, domain: &dom0 };
    let guest = hv.test_domain(1, 1);
    let dom_exc = hv.bind_virq(&dom0, Virq::DOM_EXC, VcpuId(0)).unwrap();
    let port = hv.alloc_unbound(&guest, dom0.id).unwrap();
    let waits = hv.bind_interdomain(&dom0, &guest, port).unwrap();
    hv.clear_port(&dom0, waits);
    tool.domctl(DomctlCmd::SUBSCRIBE, 1, &Subscribe { port: port.0 }).unwrap();
    hv.shut_down(&guest, ShutdownReason::SUSPEND);
    assert!(hv.port_is_pending(&dom0, waits));
    assert!(!hv.port_is_pending(&dom0, dom_exc));
    tool.domctl(DomctlCmd::RESUMEDOMAIN, 1, &()).unwrap();
    assert_eq!(guest.shutdown_state(), crate::domain::ShutdownState::Alive);
    assert!(guest.vcpu(VcpuId(0)).unwrap().sched.is_runnable());
}
