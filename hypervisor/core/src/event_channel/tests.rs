//! Event channels against a naive model, with a guest that consumes events as the public headers
//! describe; and the rules of binding.

use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;

use proptest::prelude::*;
use xen_abi::event_channel::FIFO_LINK_MASK;
use xen_abi::xen::SharedInfo;

use super::*;
use crate::domain::Progress;
use crate::event_channel::vcpu_events::PollTarget;
use crate::platform::FrameMemory;
use crate::sched::entity::BlockReason;
use crate::testing::platform::{TestPlatform, config, hypervisor};
use crate::types::{CpuId, Gfn, Nanos};

type TestDomain = Arc<Domain<TestPlatform>>;

const PENDING: u32 = 1 << 31;
const MASKED: u32 = 1 << 30;
const LINKED: u32 = 1 << 29;
const CONTROL_GFN: u64 = 2;
const ARRAY_GFN: u64 = 4;
const VECTOR: u8 = 0xF3;

fn frame(hv: &Hypervisor<TestPlatform>, domain: &TestDomain, gfn: u64) -> Mfn {
    domain.memory.translate(&hv.platform, Gfn(gfn)).unwrap().mfn
}

/// The guest's side.
struct Guest {
    hv: Hypervisor<TestPlatform>,
    domain: TestDomain,
    fifo: bool,
    heads: BTreeMap<(u32, usize), u32>,
}

impl Guest {
    fn new(fifo: bool, vcpus: u32) -> Self {
        let hv = hypervisor(1);
        let domain = hv.test_domain(1, vcpus);
        for vcpu in domain.vcpus() {
            hv.set_upcall_vector(vcpu, VECTOR).unwrap();
        }
        if fifo {
            for vcpu in 0..vcpus {
                let gfn = Gfn(CONTROL_GFN + u64::from(vcpu));
                hv.init_fifo_control(&domain, VcpuId(vcpu), gfn, 8 * vcpu).unwrap();
            }
            hv.expand_event_array(&domain, Gfn(ARRAY_GFN)).unwrap();
        }
        Self { hv, domain, fifo, heads: BTreeMap::new() }
    }

    fn frame(&self, gfn: u64) -> Mfn {
        frame(&self.hv, &self.domain, gfn)
    }

    fn word(&self, port: u32) -> (Mfn, usize) {
        (self.frame(ARRAY_GFN), port as usize * 4)
    }

    fn mask(&self, port: u32) {
        let memory = &self.hv.platform;
        if self.fifo {
            let (mfn, offset) = self.word(port);
            memory.fetch_or_u32(mfn, offset, MASKED);
        } else {
            let offset = offset_of!(SharedInfo, evtchn_mask) + port as usize / 64 * 8;
            memory.fetch_or_u64(self.domain.shared_info(), offset, 1 << (port % 64));
        }
    }

    /// Takes the events that a vCPU was interrupted for.
    fn process(&mut self, vcpu: u32) -> Vec<u32> {
        let id = (self.domain.id, VcpuId(vcpu), VECTOR);
        if !self.hv.platform.interrupts.lock().remove(&id) {
            return Vec::new();
        }
        let (mfn, offset) = self.domain.vcpu(VcpuId(vcpu)).unwrap().events.info().unwrap();
        assert_eq!(self.hv.platform.swap_u8(mfn, offset, 0), 1, "an upcall for nothing");
        if self.fifo { self.consume_fifo(vcpu) } else { self.consume_two_level(mfn, offset) }
    }

    fn consume_two_level(&self, info: Mfn, offset: usize) -> Vec<u32> {
        let memory = &self.hv.platform;
        let page = self.domain.shared_info();
        let mut events = Vec::new();
        let selected = memory.fetch_and_u64(info, offset + 8, 0);
        for word in (0..64).filter(|word| selected & (1 << word) != 0) {
            let pending = offset_of!(SharedInfo, evtchn_pending) + word * 8;
            let mask = memory.load_u64(page, offset_of!(SharedInfo, evtchn_mask) + word * 8);
            let taken = memory.fetch_and_u64(page, pending, mask) & !mask;
            events.extend(
                (0..64).filter(|bit| taken & (1 << bit) != 0).map(|bit| word as u32 * 64 + bit),
            );
        }
        events
    }

    fn consume_fifo(&mut self, vcpu: u32) -> Vec<u32> {
        let control = self.frame(CONTROL_GFN + u64::from(vcpu));
        let at = 8 * vcpu as usize;
        let mut events = Vec::new();
        loop {
            let mut ready = self.hv.platform.fetch_and_u32(control, at, 0);
            if ready == 0 {
                return events;
            }
            while ready != 0 {
                let queue = ready.trailing_zeros() as usize;
                let head = self.heads.entry((vcpu, queue)).or_default();
                if *head == 0 {
                    *head = self.hv.platform.load_u32(control, at + 8 + queue * 4);
                }
                let port = *head;
                let word = (frame(&self.hv, &self.domain, ARRAY_GFN), port as usize * 4);
                let old =
                    self.hv.platform.fetch_and_u32(word.0, word.1, !(LINKED | FIFO_LINK_MASK));
                assert_ne!(old & LINKED, 0, "port {port} is in a queue, but not linked");
                *head = old & FIFO_LINK_MASK;
                if *head == 0 {
                    ready &= !(1 << queue);
                }
                if old & PENDING != 0 && old & MASKED == 0 {
                    self.hv.platform.fetch_and_u32(word.0, word.1, !PENDING);
                    events.push(port);
                }
            }
        }
    }
}

#[derive(Clone, Debug)]
enum Step {
    Send(usize),
    Mask(usize),
    Unmask(usize),
    Move(usize, u32),
    Priority(usize, u32),
    Process(u32),
    Close(usize),
}

fn step() -> impl Strategy<Value = Step> {
    let port = 0_usize..8;
    prop_oneof![
        6 => port.clone().prop_map(Step::Send),
        1 => port.clone().prop_map(Step::Mask),
        1 => port.clone().prop_map(Step::Unmask),
        1 => (port.clone(), 0_u32..2).prop_map(|(port, vcpu)| Step::Move(port, vcpu)),
        1 => (port.clone(), 0_u32..16).prop_map(|(port, to)| Step::Priority(port, to)),
        2 => (0_u32..2).prop_map(Step::Process),
        1 => port.prop_map(Step::Close),
    ]
}

proptest! {
    /// Every event that is sent and not masked arrives, once, however vCPUs, priorities and masks
    /// change in between; what is masked waits.
    #[test]
    fn events_arrive_once(fifo: bool, steps in prop::collection::vec(step(), 1..200)) {
        let mut guest = Guest::new(fifo, 2);
        let peer = guest.hv.test_domain(2, 1);
        // Pairs of a port of the guest and the peer's that sends to it.
        let mut ports = Vec::new();
        for _ in 0..8 {
            let port = guest.hv.alloc_unbound(&guest.domain, peer.id).unwrap();
            let from = guest.hv.bind_interdomain(&peer, &guest.domain, port).unwrap();
            ports.push((port, from));
        }
        let mut pending = BTreeSet::new();
        let mut masked = BTreeSet::new();
        for step in steps.into_iter().chain([Step::Process(0), Step::Process(1)]) {
            let hv = &guest.hv;
            match step {
                Step::Send(at) => {
                    hv.send_event(&peer, ports[at].1).unwrap();
                    pending.insert(ports[at].0.0);
                }
                Step::Mask(at) => {
                    guest.mask(ports[at].0.0);
                    masked.insert(ports[at].0.0);
                }
                Step::Unmask(at) => {
                    hv.unmask_event(&guest.domain, ports[at].0).unwrap();
                    masked.remove(&ports[at].0.0);
                }
                Step::Move(at, vcpu) => {
                    hv.bind_vcpu(&guest.domain, ports[at].0, VcpuId(vcpu)).unwrap();
                }
                Step::Priority(at, priority) => {
                    let set = hv.set_port_priority(&guest.domain, ports[at].0, priority);
                    prop_assert_eq!(set, if fifo { Ok(()) } else { Err(Errno::ENOSYS) });
                }
                Step::Close(at) => {
                    let port = ports[at].0;
                    hv.close_port(&guest.domain, port).unwrap();
                    hv.close_port(&peer, ports[at].1).unwrap();
                    pending.remove(&port.0);
                    let new = hv.alloc_unbound(&guest.domain, peer.id).unwrap();
                    prop_assert_eq!(new, port);
                    ports[at].1 = hv.bind_interdomain(&peer, &guest.domain, new).unwrap();
                }
                Step::Process(vcpu) => {
                    for event in guest.process(vcpu) {
                        prop_assert!(pending.remove(&event), "{event} came twice");
                        prop_assert!(!masked.contains(&event), "{event} is masked");
                    }
                }
            }
        }
        let left: Vec<_> = pending.difference(&masked).collect();
        prop_assert!(left.is_empty(), "never came: {left:?}");
    }

    /// Whatever a guest writes into the memory that it shares, operations end and touch nothing
    /// else.
    #[test]
    fn hostile_memory_is_harmless(
        steps in prop::collection::vec((step(), 0_usize..1024, any::<u32>()), 1..100),
    ) {
        let guest = Guest::new(true, 2);
        let hv = &guest.hv;
        let ports: Vec<_> =
            (0..8).map(|at| hv.bind_ipi(&guest.domain, VcpuId(at % 2)).unwrap()).collect();
        for (step, word, garbage) in steps {
            for gfn in [CONTROL_GFN, CONTROL_GFN + 1, ARRAY_GFN] {
                hv.platform.store_u32(guest.frame(gfn), word % 32 * 4, garbage);
            }
            let _ = match step {
                Step::Send(at) | Step::Mask(at) => hv.send_event(&guest.domain, ports[at]),
                Step::Unmask(at) | Step::Close(at) => hv.unmask_event(&guest.domain, ports[at]),
                Step::Move(at, to) | Step::Priority(at, to) => {
                    hv.set_port_priority(&guest.domain, ports[at], to)
                }
                Step::Process(_) => Ok(()),
            };
        }
        for gfn in (0..16).filter(|gfn| ![CONTROL_GFN, CONTROL_GFN + 1, ARRAY_GFN].contains(gfn)) {
            prop_assert_eq!(hv.platform.memory.frame(guest.frame(gfn)), [0; 4096]);
        }
    }
}

#[test]
fn interdomain_channels_have_two_ends() {
    let hv = hypervisor(1);
    let (one, two) = (hv.test_domain(1, 1), hv.test_domain(2, 1));
    let port = hv.alloc_unbound(&one, two.id).unwrap();
    let other = hv.test_domain(3, 1);
    assert_eq!(hv.bind_interdomain(&other, &one, port), Err(Errno::EINVAL));
    let peer = hv.bind_interdomain(&two, &one, port).unwrap();
    assert!(hv.is_pending(&two, peer), "the new end starts pending");
    assert!(!hv.is_pending(&one, port));
    assert_eq!(hv.port_info(&one, port).unwrap().status, Status::Interdomain(two.id, peer));
    assert_eq!(hv.bind_interdomain(&two, &one, port), Err(Errno::EINVAL));

    hv.send_event(&two, peer).unwrap();
    assert!(hv.is_pending(&one, port));
    hv.close_port(&two, peer).unwrap();
    assert_eq!(hv.port_info(&one, port).unwrap().status, Status::Unbound(two.id));
    assert_eq!(hv.send_event(&one, port), Ok(()));
    assert_eq!(hv.send_event(&two, peer), Err(Errno::EINVAL));
    assert_eq!(hv.bind_interdomain(&two, &one, port), Ok(peer));
    hv.close_port(&one, port).unwrap();
    hv.close_port(&two, peer).unwrap();
    assert_eq!(hv.close_port(&two, peer), Err(Errno::EINVAL));
}

#[test]
fn a_domain_can_talk_to_itself() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(0, 1);
    let port = hv.alloc_unbound(&domain, domain.id).unwrap();
    let peer = hv.bind_interdomain(&domain, &domain, port).unwrap();
    assert_ne!(port, peer);
    hv.send_event(&domain, peer).unwrap();
    assert!(hv.is_pending(&domain, port));
    hv.close_port(&domain, port).unwrap();
    assert_eq!(hv.port_info(&domain, peer).unwrap().status, Status::Unbound(domain.id));
    // Nor does it help to bind a port to itself.
    assert_eq!(hv.alloc_unbound(&domain, domain.id), Ok(Port(1)));
    assert_eq!(hv.bind_interdomain(&domain, &domain, Port(3)), Err(Errno::EINVAL));
    assert_eq!(hv.alloc_unbound(&domain, domain.id), Ok(Port(3)));
}

#[test]
fn virqs_are_bound_once_and_stay_with_their_vcpu() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(0, 2);
    let timer = hv.bind_virq(&domain, Virq::TIMER, VcpuId(1)).unwrap();
    assert_eq!(hv.bind_virq(&domain, Virq::TIMER, VcpuId(1)), Err(Errno::EEXIST));
    assert_eq!(hv.bind_virq(&domain, Virq::TIMER, VcpuId(2)), Err(Errno::ENOENT));
    assert_eq!(hv.bind_virq(&domain, Virq::CONSOLE, VcpuId(1)), Err(Errno::EINVAL));
    assert_eq!(hv.bind_virq(&domain, Virq(24), VcpuId(0)), Err(Errno::EINVAL));
    assert_eq!(hv.bind_vcpu(&domain, timer, VcpuId(0)), Err(Errno::EINVAL));
    hv.raise_vcpu_virq(domain.vcpu(VcpuId(1)).unwrap(), Virq::TIMER);
    assert!(hv.is_pending(&domain, timer));

    let console = hv.bind_virq(&domain, Virq::CONSOLE, VcpuId(0)).unwrap();
    hv.bind_vcpu(&domain, console, VcpuId(1)).unwrap();
    hv.raise_global_virq(Virq::CONSOLE);
    assert!(hv.is_pending(&domain, console));
    hv.close_port(&domain, console).unwrap();
    assert_eq!(hv.bind_virq(&domain, Virq::CONSOLE, VcpuId(0)), Ok(console));
    assert_eq!(hv.send_event(&domain, console), Err(Errno::EINVAL));
}

#[test]
fn what_waits_is_reported_until_it_is_taken() {
    for fifo in [false, true] {
        let mut guest = Guest::new(fifo, 1);
        let ports = [0, 1].map(|_| guest.hv.alloc_unbound(&guest.domain, guest.domain.id).unwrap());
        let peers = ports
            .map(|port| guest.hv.bind_interdomain(&guest.domain, &guest.domain, port).unwrap());
        let waiting = |guest: &Guest| -> Vec<_> {
            let events = guest.hv.waiting_events(&guest.domain);
            events.map(|event| (event.port, event.info.status, event.masked)).collect()
        };
        // Whoever binds is told at once, as by Xen.
        guest.process(0);
        assert_eq!(waiting(&guest), []);
        guest.mask(ports[1].0);
        for peer in peers {
            guest.hv.send_event(&guest.domain, peer).unwrap();
        }
        let status = |at: usize| Status::Interdomain(guest.domain.id, peers[at]);
        let all = [(ports[0], status(0), false), (ports[1], status(1), true)];
        assert_eq!(waiting(&guest), all);
        assert_eq!(guest.process(0), [ports[0].0]);
        assert_eq!(waiting(&guest), all[1..]);
    }
}

#[test]
fn ports_run_out() {
    let hv = hypervisor(1);
    let small =
        hv.create_domain(crate::domain::DomainConfig { max_event_port: 5, ..config(1, 1) }, ());
    let small = small.unwrap();
    for port in 1..=5 {
        assert_eq!(hv.alloc_unbound(&small, DomId(0)), Ok(Port(port)));
    }
    assert_eq!(hv.alloc_unbound(&small, DomId(0)), Err(Errno::ENOSPC));
    hv.close_port(&small, Port(3)).unwrap();
    assert_eq!(hv.alloc_unbound(&small, DomId(0)), Ok(Port(3)));

    let large = hv.test_domain(2, 1);
    for port in 1..4096 {
        assert_eq!(hv.alloc_unbound(&large, DomId(0)), Ok(Port(port)));
    }
    assert_eq!(
        hv.alloc_unbound(&large, DomId(0)),
        Err(Errno::ENOSPC),
        "the 2-level format's limit"
    );
}

#[test]
fn early_events_are_kept_for_the_array() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 1);
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    hv.set_upcall_vector(vcpu, VECTOR).unwrap();
    let before = hv.bind_ipi(&domain, VcpuId(0)).unwrap();
    hv.send_event(&domain, before).unwrap();
    hv.init_fifo_control(&domain, VcpuId(0), Gfn(CONTROL_GFN), 0).unwrap();
    let between = hv.bind_ipi(&domain, VcpuId(0)).unwrap();
    hv.send_event(&domain, between).unwrap();
    hv.expand_event_array(&domain, Gfn(ARRAY_GFN)).unwrap();
    assert!(hv.is_pending(&domain, before) && hv.is_pending(&domain, between));
    let again = hv.init_fifo_control(&domain, VcpuId(0), Gfn(CONTROL_GFN), 0);
    assert_eq!(again, Err(Errno::EINVAL));
}

#[test]
fn a_reset_gives_everything_back() {
    let guest = Guest::new(true, 2);
    let (hv, domain) = (&guest.hv, &guest.domain);
    let array = guest.frame(ARRAY_GFN);
    assert_eq!(hv.frames.info(array).unwrap().references, 2);
    for _ in 0..100 {
        hv.bind_ipi(domain, VcpuId(1)).unwrap();
    }
    hv.platform.preempt.store(true, Ordering::Relaxed);
    let mut rounds = 1;
    while hv.reset_events(domain) == Progress::Again {
        rounds += 1;
    }
    assert_eq!(rounds, 4);
    assert_eq!(hv.frames.info(array).unwrap().references, 1);
    assert_eq!(hv.frames.info(guest.frame(CONTROL_GFN)).unwrap().references, 1);
    assert!(!domain.events.array.is_active());
    assert_eq!(hv.bind_ipi(domain, VcpuId(0)), Ok(Port(1)));
    hv.init_fifo_control(domain, VcpuId(0), Gfn(CONTROL_GFN), 0).unwrap();
}

#[test]
fn vcpu_info_moves_once_and_loses_nothing() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 33);
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    hv.set_upcall_vector(vcpu, VECTOR).unwrap();
    let info = vcpu.events.info().unwrap();
    assert_eq!(info, (domain.shared_info(), 0));
    let mul = hv.platform.load_u32(info.0, 32 + 24);
    assert_ne!(mul, 0, "there is a time from the start");

    assert_eq!(hv.register_vcpu_info(&domain, vcpu, Gfn(1), 4096 - 56), Err(Errno::ENXIO));
    assert_eq!(hv.register_vcpu_info(&domain, vcpu, Gfn(1), 4), Err(Errno::ENXIO));
    assert_eq!(hv.register_vcpu_info(&domain, vcpu, Gfn(99), 0), Err(Errno::EINVAL));
    hv.register_vcpu_info(&domain, vcpu, Gfn(1), 128).unwrap();
    let mfn = frame(&hv, &domain, 1);
    assert_eq!(vcpu.events.info(), Some((mfn, 128)));
    assert_eq!(hv.platform.load_u8(mfn, 128), 1);
    assert_eq!(hv.platform.load_u64(mfn, 136), u64::MAX);
    assert_eq!(hv.platform.load_u32(mfn, 128 + 32 + 24), mul);
    assert!(hv.platform.interrupts.lock().contains(&(domain.id, VcpuId(0), VECTOR)));
    assert_eq!(hv.register_vcpu_info(&domain, vcpu, Gfn(1), 256), Err(Errno::EINVAL));

    let far = domain.vcpu(VcpuId(32)).unwrap();
    assert_eq!(far.events.info(), None);
    hv.register_vcpu_info(&domain, far, Gfn(1), 192).unwrap();
    assert_eq!(far.events.info(), Some((mfn, 192)));
}

#[test]
fn a_vcpu_that_comes_up_learns_of_what_waits() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 2);
    let second = domain.vcpu(VcpuId(1)).unwrap();
    hv.suspend(second, BlockReason::Down);
    hv.register_vcpu_info(&domain, second, Gfn(1), 0).unwrap();
    hv.set_upcall_vector(second, VECTOR).unwrap();
    // The start resets its local APIC.
    hv.platform.interrupts.lock().clear();
    hv.resume(second, BlockReason::Down);
    assert!(hv.platform.interrupts.lock().contains(&(domain.id, VcpuId(1), VECTOR)));
}

#[test]
fn without_a_vector_the_callback_is_asked_for() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 1);
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    let port = hv.bind_ipi(&domain, VcpuId(0)).unwrap();
    hv.send_event(&domain, port).unwrap();
    assert_eq!(hv.callback_pending(&domain, vcpu), None);
    domain.events.set_callback_vector(0x80);
    assert_eq!(hv.callback_pending(&domain, vcpu), Some(0x80));
    hv.set_upcall_vector(vcpu, VECTOR).unwrap();
    assert_eq!(hv.callback_pending(&domain, vcpu), None);
    assert!(hv.platform.interrupts.lock().contains(&(domain.id, VcpuId(0), VECTOR)));
    assert_eq!(hv.set_upcall_vector(vcpu, 15), Err(Errno::EINVAL));
}

#[test]
fn polls_end_with_an_event_a_time_or_an_interrupt() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 2);
    let (one, two) = (domain.vcpu(VcpuId(0)).unwrap(), domain.vcpu(VcpuId(1)).unwrap());
    let ports: Vec<_> = (0..2).map(|_| hv.bind_ipi(&domain, VcpuId(1)).unwrap()).collect();
    let blocked = |vcpu: &Arc<Vcpu<TestPlatform>>| vcpu.sched.is_blocked();

    hv.poll_events(&domain, one, &ports[..1], None).unwrap();
    assert!(blocked(one));
    hv.send_event(&domain, ports[1]).unwrap();
    assert!(blocked(one), "another port");
    hv.send_event(&domain, ports[0]).unwrap();
    assert!(!blocked(one));
    hv.poll_events(&domain, one, &ports, None).unwrap();
    assert!(!blocked(one), "already pending");
    assert_eq!(domain.events.pollers.load(Ordering::Relaxed), 0);

    let fresh = hv.bind_ipi(&domain, VcpuId(1)).unwrap();
    hv.poll_events(&domain, one, &[fresh], Some(Nanos(500))).unwrap();
    assert!(blocked(one));
    hv.expire_timers(CpuId(0), hv.set_now(499));
    assert!(blocked(one));
    hv.expire_timers(CpuId(0), hv.set_now(500));
    assert!(!blocked(one));

    hv.poll_events(&domain, one, &[fresh], Some(Nanos(900))).unwrap();
    hv.notify(one);
    assert!(!blocked(one));
    hv.stop_polling(one);
    assert_eq!(hv.timers.earliest(CpuId(0)), None, "who runs it stops the timer");
    assert_eq!(hv.poll_events(&domain, two, &[Port(4000)], None), Err(Errno::EINVAL));
    assert!(!blocked(two));
    assert!(hv.suspend(two, BlockReason::Blocked));
}

/// Who wakes a vCPU may be slow to return: the vCPU may then poll for something else already.
#[test]
fn who_wakes_a_vcpu_leaves_its_next_poll_alone() {
    let hv = hypervisor(1);
    hv.scheduler.set_online(CpuId(0));
    let domain = hv.test_domain(1, 1);
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    let port = hv.bind_ipi(&domain, VcpuId(0)).unwrap();
    let pollers = || domain.events.pollers.load(Ordering::Relaxed);

    hv.poll_events(&domain, vcpu, &[port], None).unwrap();
    hv.wake(vcpu);
    assert_eq!((vcpu.events.poll_target(), pollers()), (PollTarget::Port(port), 1));
    assert!(hv.schedule(CpuId(0), Nanos(1)).vcpu.is_some_and(|next| Arc::ptr_eq(&next, vcpu)));
    assert_eq!((vcpu.events.poll_target(), pollers()), (PollTarget::Nothing, 0));

    // Woken before it stopped at all: it runs on.
    hv.poll_events(&domain, vcpu, &[port], Some(Nanos(100))).unwrap();
    hv.wake(vcpu);
    assert!(!hv.schedule(CpuId(0), Nanos(2)).switched);
    assert_eq!((vcpu.events.poll_target(), pollers()), (PollTarget::Nothing, 0));
    assert_eq!(hv.timers.earliest(CpuId(0)), None);
    hv.poll_events(&domain, vcpu, &[port], None).unwrap();
    hv.send_event(&domain, port).unwrap();
    assert!(!vcpu.sched.is_blocked());
}
