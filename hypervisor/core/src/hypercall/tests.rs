//! A guest's own hypercalls, through the table and its own memory.

use alloc::sync::Arc;

use xen_abi::GuestHandle;
use xen_abi::event_channel::{
    AllocUnbound, BindInterdomain, BindIpi, BindVirq, Close, EventChannelCmd, PortStatus, Send,
    Status,
};
use xen_abi::hvm::hvm_op::{EvtchnUpcallVector, HvmCmd, HvmParamOp};
use xen_abi::hvm::hvm_vcpu::VcpuHvmContext;
use xen_abi::hvm::params::HvmParam;
use xen_abi::physdev::{PciDeviceAdd, PhysdevCmd, SetupGsi};
use xen_abi::platform::{GetIdleTime, PcpuInfo, PlatformCmd, PlatformOp, SetTime64};
use xen_abi::sched::{Poll, RemoteShutdown, SchedCmd, Shutdown, ShutdownReason, Watchdog};
use xen_abi::vcpu::{
    RUNSTATE_UPDATE, RegisterArea, RegisterVcpuInfo, Runstate, RunstateInfo, SetSingleshotTimer,
    VcpuCmd,
};
use xen_abi::xen::{Hypercall, MulticallEntry, SharedInfo, VcpuTimeInfo, Virq};

use crate::domain::{Domain, ShutdownState};
use crate::hypervisor::Hypervisor;
use crate::platform::{FrameMemory, Platform};
use crate::sched::entity::BlockReason;
use crate::testing::machine::{ARG, BUFFER, Caller};
use crate::testing::platform::{TestPlatform, config, hypervisor};
use crate::types::{CpuId, VcpuId};

const EPERM: i64 = -1;
const ENOENT: i64 = -2;
const EFAULT: i64 = -14;
const EEXIST: i64 = -17;
const EINVAL: i64 = -22;
const ENOSYS: i64 = -38;
const ETIME: i64 = -62;

fn machine() -> (Hypervisor<TestPlatform>, Arc<Domain<TestPlatform>>) {
    let hv = hypervisor(2);
    let guest = hv.test_domain(1, 2);
    (hv, guest)
}

impl Caller<'_> {
    fn vcpu_op<T>(&self, cmd: VcpuCmd, vcpu: u64, arg: &T) -> i64
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        self.write(ARG, arg);
        self.call(Hypercall::VCPU_OP, [cmd.0.into(), vcpu, ARG, 0, 0, 0])
    }

    fn platform_op<T>(&self, cmd: PlatformCmd, u: &T) -> (i64, PlatformOp)
    where
        T: zerocopy::IntoBytes + zerocopy::Immutable,
    {
        let op = PlatformOp { cmd, interface_version: 0x0300_0001, u: xen_abi::Payload::new(u) };
        self.write(ARG, &op);
        (self.call(Hypercall::PLATFORM_OP, [ARG, 0, 0, 0, 0, 0]), self.read(ARG))
    }
}

#[test]
fn channels_are_made_used_and_closed() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let peer = hv.test_domain(2, 1);
    let peer = Caller { hv: &hv, domain: &peer };
    const EVENT: Hypercall = Hypercall::EVENT_CHANNEL_OP;

    let ask = AllocUnbound { dom: 0x7FF0, remote_dom: 2, port: 0 };
    let (result, alloc) = guest.op(EVENT, EventChannelCmd::ALLOC_UNBOUND.0, &ask);
    assert_eq!((result, alloc.port), (0, 1));
    let stolen = AllocUnbound { dom: 1, ..ask };
    assert_eq!(peer.op(EVENT, EventChannelCmd::ALLOC_UNBOUND.0, &stolen).0, EPERM);
    let ask = BindInterdomain { remote_dom: 1, remote_port: 1, ..BindInterdomain::default() };
    let (result, bound) = peer.op(EVENT, EventChannelCmd::BIND_INTERDOMAIN.0, &ask);
    assert_eq!((result, bound.local_port), (0, 1));
    assert_eq!(peer.op(EVENT, EventChannelCmd::SEND.0, &Send { port: 1 }).0, 0);
    assert_eq!(peer.op(EVENT, EventChannelCmd::SEND.0, &Send { port: 2 }).0, EINVAL);

    let ask = Status { dom: 0x7FF0, port: 1, ..Status::default() };
    let (_, status) = guest.op(EVENT, EventChannelCmd::STATUS.0, &ask);
    assert_eq!((status.status, status.u), (PortStatus::INTERDOMAIN, [2, 1]));
    let foreign = Status { dom: 1, port: 1, ..Status::default() };
    assert_eq!(peer.op(EVENT, EventChannelCmd::STATUS.0, &foreign).0, EPERM);

    let ask = BindVirq { virq: Virq::TIMER, vcpu: 9, port: 0 };
    assert_eq!(guest.op(EVENT, EventChannelCmd::BIND_VIRQ.0, &ask).0, ENOENT);
    let (result, ipi) = guest.op(EVENT, EventChannelCmd::BIND_IPI.0, &BindIpi { vcpu: 1, port: 0 });
    assert_eq!((result, ipi.port), (0, 2));
    assert_eq!(guest.op(EVENT, EventChannelCmd::CLOSE.0, &Close { port: 2 }).0, 0);
    assert_eq!(guest.op(EVENT, EventChannelCmd::CLOSE.0, &Close { port: 2 }).0, EINVAL);
    assert_eq!(guest.call(EVENT, [99, ARG, 0, 0, 0, 0]), ENOSYS);

    // A port that the caller can't be told of isn't left open.
    let unreadable = 16 * 4096;
    let args = [EventChannelCmd::BIND_IPI.0.into(), unreadable, 0, 0, 0, 0];
    assert_eq!(guest.call(EVENT, args), EFAULT);
    assert_eq!(hv.alloc_unbound(&domain, peer.domain.id).unwrap().0, 2);
}

#[test]
fn timers_ring_the_virtual_interrupt() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let port = hv.bind_virq(&domain, Virq::TIMER, VcpuId(0)).unwrap();
    hv.set_now(1000);
    let set =
        |timeout_abs_ns, flags| SetSingleshotTimer { timeout_abs_ns, flags, ..Default::default() };
    assert_eq!(guest.vcpu_op(VcpuCmd::SET_SINGLESHOT_TIMER, 0, &set(999, 1)), ETIME);
    assert_eq!(guest.vcpu_op(VcpuCmd::SET_SINGLESHOT_TIMER, 1, &set(2000, 0)), EINVAL);
    assert_eq!(guest.vcpu_op(VcpuCmd::SET_SINGLESHOT_TIMER, 0, &set(2000, 1)), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::SET_SINGLESHOT_TIMER, 0, &set(3000, 1)), 0);
    hv.expire_timers(CpuId(0), hv.set_now(2999));
    assert!(!hv.port_is_pending(&domain, port));
    hv.expire_timers(CpuId(0), hv.set_now(3000));
    assert!(hv.port_is_pending(&domain, port));
    hv.clear_port(&domain, port);
    assert_eq!(guest.call(Hypercall::SET_TIMER_OP, [4000, 0, 0, 0, 0, 0]), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::STOP_SINGLESHOT_TIMER, 0, &()), 0);
    hv.expire_timers(CpuId(0), hv.set_now(9000));
    assert!(!hv.port_is_pending(&domain, port));
    assert_eq!(guest.vcpu_op(VcpuCmd::STOP_PERIODIC_TIMER, 1, &()), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::SET_PERIODIC_TIMER, 0, &10_u64), EINVAL);
    assert_eq!(guest.vcpu_op(VcpuCmd::SET_PERIODIC_TIMER, 0, &1_000_000_u64), 0);
    hv.expire_timers(CpuId(0), hv.set_now(1_009_000));
    assert!(hv.port_is_pending(&domain, port));
}

#[test]
fn vcpus_go_up_and_down() {
    let hv = hypervisor(1);
    let domain = hv.create_domain(config(1, 2), ()).unwrap();
    drop(domain);
    let domain = hv.test_domain(2, 2);
    let guest = Caller { hv: &hv, domain: &domain };
    let second = domain.vcpu(VcpuId(1)).unwrap();
    hv.suspend(second, BlockReason::Down);
    assert_eq!(guest.vcpu_op(VcpuCmd::IS_UP, 1, &()), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::UP, 1, &()), EINVAL, "it has no registers");
    assert_eq!(guest.vcpu_op(VcpuCmd::INITIALISE, 1, &VcpuHvmContext::default()), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::INITIALISE, 1, &VcpuHvmContext::default()), EEXIST);
    assert_eq!(guest.vcpu_op(VcpuCmd::UP, 1, &()), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::IS_UP, 1, &()), 1);
    assert_eq!(guest.vcpu_op(VcpuCmd::IS_UP, 2, &()), ENOENT);
    assert_eq!(guest.vcpu_op(VcpuCmd::DOWN, 1, &()), 0);
    assert_eq!(domain.shutdown_state(), ShutdownState::Alive);
    assert_eq!(guest.vcpu_op(VcpuCmd::DOWN, 0, &()), 0);
    assert_eq!(domain.shutdown_state(), ShutdownState::Stopped(ShutdownReason::POWEROFF));
}

#[test]
fn areas_show_runstate_and_time() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let area = |addr| RegisterArea { addr };
    // Across a page boundary, by virtual address.
    let at = 0x3000 - 24;
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_MEMORY_AREA, 0, &area(at)), 0);
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_MEMORY_AREA, 1, &area(1 << 40)), EFAULT);
    let shown = |at| guest.read::<RunstateInfo>(at);
    assert_eq!(shown(at).state, Runstate::RUNNABLE);
    let cpu = hv.on_cpu(0);
    hv.schedule(cpu, hv.set_now(700));
    assert_eq!((shown(at).state, shown(at).state_entry_time), (Runstate::RUNNING, 700));
    assert_eq!(shown(at).time[1], 700);

    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_PHYS_AREA, 0, &area(at)), -6);
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_PHYS_AREA, 0, &area(0x4004)), -6);
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_PHYS_AREA, 0, &area(0x4008)), 0);
    assert_eq!(shown(0x4008).state, Runstate::RUNNING);
    assert_eq!(shown(0x4008).state_entry_time & RUNSTATE_UPDATE, 0);
    let frame =
        hv.frames.info(domain.memory.translate(&hv.platform, crate::types::Gfn(4)).unwrap().mfn);
    assert_eq!(frame.unwrap().references, 2);
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_PHYS_AREA, 0, &area(u64::MAX)), 0);
    let frame =
        hv.frames.info(domain.memory.translate(&hv.platform, crate::types::Gfn(4)).unwrap().mfn);
    assert_eq!(frame.unwrap().references, 1);

    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_VCPU_TIME_MEMORY_AREA, 0, &area(0x5000)), 0);
    let time: VcpuTimeInfo = guest.read(0x5000);
    assert_eq!((time.version % 2, time.flags, time.tsc_to_system_mul), (0, 1, 1 << 31));
    let info = RegisterVcpuInfo { mfn: 6, offset: 64, rsvd: 0 };
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_VCPU_INFO, 0, &info), 0);
    assert_eq!(guest.read::<VcpuTimeInfo>(0x6000 + 64 + 32).tsc_to_system_mul, 1 << 31);
    assert_eq!(guest.vcpu_op(VcpuCmd::GET_RUNSTATE_INFO, 0, &()), 0);
    assert_eq!(guest.read::<RunstateInfo>(ARG).state, Runstate::RUNNING);
}

#[test]
fn updates_of_runstates_are_marked_on_request() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let area = RegisterArea { addr: BUFFER };
    assert_eq!(guest.vcpu_op(VcpuCmd::REGISTER_RUNSTATE_MEMORY_AREA, 0, &area), 0);
    assert_eq!(guest.call(Hypercall::VM_ASSIST, [0, 4, 0, 0, 0, 0]), EINVAL);
    assert_eq!(guest.call(Hypercall::VM_ASSIST, [2, 5, 0, 0, 0, 0]), ENOSYS);
    assert!(!domain.vcpu(VcpuId(0)).unwrap().runstate.lock().marks_updates);
    assert_eq!(guest.call(Hypercall::VM_ASSIST, [0, 5, 0, 0, 0, 0]), 0);
    assert!(domain.vcpu(VcpuId(0)).unwrap().runstate.lock().marks_updates);
}

#[test]
fn domains_stop_themselves_and_others_by_right() {
    let (hv, domain) = machine();
    let dom0 = hv.test_domain(0, 1);
    let (guest, tool) = (Caller { hv: &hv, domain: &domain }, Caller { hv: &hv, domain: &dom0 });
    let remote =
        |domain_id| RemoteShutdown { domain_id, reason: ShutdownReason::CRASH, _pad0: [0; 2] };
    const SCHED: Hypercall = Hypercall::SCHED_OP;
    assert_eq!(guest.op(SCHED, SchedCmd::REMOTE_SHUTDOWN.0, &remote(0)).0, EPERM);
    assert_eq!(tool.op(SCHED, SchedCmd::REMOTE_SHUTDOWN.0, &remote(77)).0, -3);
    let suspend = Shutdown { reason: ShutdownReason::SUSPEND };
    assert_eq!(guest.op(SCHED, SchedCmd::SHUTDOWN_CODE.0, &suspend).0, 0);
    assert_eq!(guest.op(SCHED, SchedCmd::SHUTDOWN_CODE.0, &suspend).0, EINVAL);
    assert_eq!(tool.op(SCHED, SchedCmd::REMOTE_SHUTDOWN.0, &remote(1)).0, 0);
    assert_eq!(domain.shutdown_state(), ShutdownState::Stopped(ShutdownReason::SUSPEND));

    let reboot = Shutdown { reason: ShutdownReason::REBOOT };
    assert_eq!(tool.op(SCHED, SchedCmd::SHUTDOWN.0, &reboot).0, 0);
    assert_eq!(*hv.platform.stopped_by.lock(), Some(ShutdownReason::REBOOT));
}

#[test]
fn waiting_ends_when_there_is_a_reason() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    const SCHED: Hypercall = Hypercall::SCHED_OP;
    assert_eq!(guest.op(SCHED, SchedCmd::BLOCK.0, &0_u32).0, 0);
    assert!(vcpu.sched.is_blocked());
    hv.wake(vcpu);
    hv.platform.inject(domain.id, VcpuId(0), &(), 0x30);
    assert_eq!(guest.op(SCHED, SchedCmd::BLOCK.0, &0_u32).0, 0);
    assert!(!vcpu.sched.is_blocked(), "an interrupt waits");
    hv.platform.interrupts.lock().clear();

    let port = hv.bind_ipi(&domain, VcpuId(1)).unwrap();
    guest.write(BUFFER, &port.0);
    let poll = |nr_ports| Poll { ports: GuestHandle(BUFFER), nr_ports, ..Poll::default() };
    assert_eq!(guest.op(SCHED, SchedCmd::POLL.0, &poll(129)).0, EINVAL);
    assert_eq!(guest.op(SCHED, SchedCmd::POLL.0, &poll(1)).0, 0);
    assert!(vcpu.sched.is_blocked());
    hv.send_event(&domain, port).unwrap();
    assert!(!vcpu.sched.is_blocked());
    assert_eq!(guest.op(SCHED, SchedCmd::POLL.0, &poll(1)).0, 0);
    assert!(!vcpu.sched.is_blocked());
}

#[test]
fn watchdogs_are_two() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let watch = |id, timeout| {
        guest.op(Hypercall::SCHED_OP, SchedCmd::WATCHDOG.0, &Watchdog { id, timeout }).0
    };
    assert_eq!(watch(0, 0), EINVAL);
    assert_eq!((watch(0, 10), watch(0, 20), watch(0, 30)), (1, 2, -28));
    assert_eq!((watch(1, 0), watch(1, 5), watch(3, 5)), (0, EINVAL, EINVAL));
    hv.expire_timers(CpuId(0), hv.set_now(19_000_000_000));
    assert_eq!(watch(2, 5), 0);
    hv.expire_timers(CpuId(0), hv.set_now(23_000_000_000));
    assert_eq!(domain.shutdown_state(), ShutdownState::Alive);
    hv.expire_timers(CpuId(0), hv.set_now(24_000_000_000));
    assert_eq!(domain.shutdown_state(), ShutdownState::Stopped(ShutdownReason::WATCHDOG));
}

#[test]
fn parameters_have_owners() {
    let (hv, domain) = machine();
    let dom0 = hv.test_domain(0, 1);
    let (guest, tool) = (Caller { hv: &hv, domain: &domain }, Caller { hv: &hv, domain: &dom0 });
    const HVM: Hypercall = Hypercall::HVM_OP;
    let param = |domid, index, value| HvmParamOp { domid, index, value, _pad0: 0 };
    let set = |who: &Caller<'_>, op: &HvmParamOp| who.op(HVM, HvmCmd::SET_PARAM.0, op).0;
    assert_eq!(set(&tool, &param(1, HvmParam::STORE_PFN, 0xFEFFC)), 0);
    assert_eq!(set(&guest, &param(0x7FF0, HvmParam::STORE_PFN, 1)), EPERM);
    assert_eq!(set(&guest, &param(0, HvmParam::CALLBACK_IRQ, 1)), EPERM);
    let get = param(0x7FF0, HvmParam::STORE_PFN, 0);
    let (result, got) = guest.op(HVM, HvmCmd::GET_PARAM.0, &get);
    assert_eq!((result, got.value), (0, 0xFEFFC));
    let (result, got) =
        tool.op(HVM, HvmCmd::GET_PARAM.0, &param(0x7FF0, HvmParam::STORE_EVTCHN, 9));
    assert_eq!((result, got.value), (0, 0), "the store is local to dom0");

    let vector = EvtchnUpcallVector { vcpu: 1, vector: 0xF3, _pad0: [0; 3] };
    assert_eq!(guest.op(HVM, HvmCmd::SET_EVTCHN_UPCALL_VECTOR.0, &vector).0, 0);
    assert_eq!(domain.vcpu(VcpuId(1)).unwrap().events.upcall_vector(), Some(0xF3));
    let callback = param(0x7FF0, HvmParam::CALLBACK_IRQ, 2 << 56 | 0x90);
    assert_eq!(set(&guest, &callback), 0);
    let port = hv.bind_ipi(&domain, VcpuId(0)).unwrap();
    hv.send_event(&domain, port).unwrap();
    let first = domain.vcpu(VcpuId(0)).unwrap();
    assert_eq!(hv.callback_pending(&domain, first), Some(0x90));
    assert_eq!(guest.call(HVM, [HvmCmd::FLUSH_TLBS.0.into(), 0, 0, 0, 0, 0]), 0);
    assert_eq!(guest.call(HVM, [HvmCmd::PAGETABLE_DYING.0.into(), ARG, 0, 0, 0, 0]), EINVAL);
}

#[test]
fn the_hardware_domain_has_its_own_calls() {
    let (hv, domain) = machine();
    let dom0 = hv.test_domain(0, 1);
    let (guest, tool) = (Caller { hv: &hv, domain: &domain }, Caller { hv: &hv, domain: &dom0 });
    const PHYSDEV: Hypercall = Hypercall::PHYSDEV_OP;
    let add = PciDeviceAdd::default();
    assert_eq!(guest.op(PHYSDEV, PhysdevCmd::PCI_DEVICE_ADD.0, &add).0, EPERM);
    assert_eq!(tool.op(PHYSDEV, PhysdevCmd::PCI_DEVICE_ADD.0, &add).0, 0);
    assert_eq!(tool.op(PHYSDEV, PhysdevCmd::SETUP_GSI.0, &SetupGsi::default()).0, EEXIST);
    assert_eq!(tool.op(PHYSDEV, PhysdevCmd::MAP_PIRQ.0, &[0_u64; 6]).0, ENOSYS);

    let time = SetTime64 { secs: 1_000_000_007, nsecs: 5, mbz: 0, system_time: 7_000_000_000 };
    assert_eq!(guest.platform_op(PlatformCmd::SETTIME64, &time).0, EPERM);
    assert_eq!(tool.platform_op(PlatformCmd::SETTIME64, &time).0, 0);
    for domain in [&domain, &dom0] {
        let offset = core::mem::offset_of!(SharedInfo, wc_version);
        let page = domain.shared_info();
        let word = |index: usize| hv.platform.load_u32(page, offset + index * 4);
        assert_eq!((word(0) % 2, word(1), word(2), word(3)), (0, 1_000_000_000, 5, 0));
    }
    hv.set_wallclock_offset(&domain, -10);
    let offset = core::mem::offset_of!(SharedInfo, wc_sec);
    assert_eq!(hv.platform.load_u32(domain.shared_info(), offset), 999_999_990);

    let (result, op) = tool
        .platform_op(PlatformCmd::GET_CPUINFO, &PcpuInfo { xen_cpuid: 1, ..Default::default() });
    let info: PcpuInfo = op.u.read();
    assert_eq!((result, info.flags, info.apic_id, info.max_present), (0, 1, 2, 1));
    assert_eq!(tool.platform_op(PlatformCmd::GET_DOM0_CONSOLE, &()).0, 16);
    assert_eq!(tool.platform_op(PlatformCmd::FIRMWARE_INFO, &()).0, -19);
    assert_eq!(tool.platform_op(PlatformCmd::SET_PROCESSOR_PMINFO, &()).0, 0);
    assert_eq!(tool.platform_op(PlatformCmd(99), &()).0, ENOSYS);
    tool.write(BUFFER, &3_u8);
    let idle = GetIdleTime {
        cpumap_bitmap: GuestHandle(BUFFER),
        cpumap_nr_cpus: 2,
        idletime: GuestHandle(BUFFER + 8),
        ..GetIdleTime::default()
    };
    assert_eq!(tool.platform_op(PlatformCmd::GETIDLETIME, &idle).0, 0);
    let wrong = PlatformOp { interface_version: 0x0200_0001, ..PlatformOp::default() };
    tool.write(ARG, &wrong);
    assert_eq!(tool.call(Hypercall::PLATFORM_OP, [ARG, 0, 0, 0, 0, 0]), -13);
}

#[test]
fn several_calls_at_once() {
    let (hv, domain) = machine();
    let guest = Caller { hv: &hv, domain: &domain };
    let entry = |op: Hypercall, args| MulticallEntry { op: op.0.into(), result: 99, args };
    let calls = [
        entry(Hypercall::XEN_VERSION, [0; 6]),
        entry(Hypercall::VCPU_OP, [VcpuCmd::IS_UP.0.into(), 1, 0, 0, 0, 0]),
        entry(Hypercall(55), [0; 6]),
    ];
    hv.platform.preempt.store(true, core::sync::atomic::Ordering::Relaxed);
    guest.write(BUFFER, &calls);
    assert_eq!(guest.call(Hypercall::MULTICALL, [BUFFER, 3, 0, 0, 0, 0]), 0);
    let results = guest.read::<[MulticallEntry; 3]>(BUFFER).map(|entry| entry.result as i64);
    assert_eq!(results, [4 << 16 | 20, 1, ENOSYS]);
    guest.write(BUFFER, &entry(Hypercall::MULTICALL, [0; 6]));
    assert_eq!(guest.call(Hypercall::MULTICALL, [BUFFER, 1, 0, 0, 0, 0]), EINVAL);
}
