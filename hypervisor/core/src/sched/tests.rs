//! The scheduler on a simulated machine: pCPUs that run what they are told, tick by tick.

use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;

use proptest::prelude::*;
use xen_abi::sched::ShutdownReason;

use super::*;
use crate::domain::{Domain, ShutdownState};
use crate::errno::Errno;
use crate::sched::entity::Affinity;
use crate::testing::platform::{TestPlatform, hypervisor};
use crate::types::{DomId, VcpuId};

const TICK_NS: u64 = 100_000;
const MS: u64 = 1_000_000;

type TestDomain = Arc<Domain<TestPlatform>>;
type TestVcpu = Arc<Vcpu<TestPlatform>>;

/// A machine whose pCPUs follow the scheduler.
struct Machine {
    hv: Hypervisor<TestPlatform>,
    now: u64,
    /// What each pCPU runs, and until when.
    running: Vec<(Option<TestVcpu>, Option<Nanos>)>,
    ran_ns: BTreeMap<(DomId, VcpuId), u64>,
    switches: u32,
}

impl Machine {
    fn new(cpus: u32) -> Self {
        let hv = hypervisor(cpus);
        let running = (0..cpus).map(|_| (None, None)).collect();
        Self { hv, now: 0, running, ran_ns: BTreeMap::new(), switches: 0 }
    }

    fn domain(&self, id: u16, vcpus: u32, weight: u16, cap: u16) -> TestDomain {
        let domain = self.hv.test_domain(id, vcpus);
        self.hv.set_share(&domain, Some(weight), Some(cap));
        domain
    }

    /// What the loop of each pCPU does, if it has a reason to.
    fn react(&mut self) {
        loop {
            let mut quiet = true;
            for cpu in 0..self.running.len() {
                let id = self.hv.on_cpu(cpu as u32);
                let due = self.running[cpu].1.is_some_and(|until| until.0 <= self.now);
                if due || self.hv.needs_schedule(id) {
                    let next = self.hv.schedule(id, Nanos(self.now));
                    assert!(next.until.is_none_or(|until| until.0 > self.now), "no progress");
                    self.switches += u32::from(next.switched);
                    self.running[cpu] = (next.vcpu, next.until);
                    quiet = false;
                }
            }
            if quiet {
                break;
            }
        }
        let mut seen = Vec::new();
        for (cpu, (vcpu, _)) in self.running.iter().enumerate() {
            if let Some(vcpu) = vcpu {
                assert_eq!(vcpu.sched.running_on(), Some(CpuId(cpu as u32)));
                seen.push((vcpu.domid, vcpu.id));
            }
        }
        seen.sort();
        let count = seen.len();
        seen.dedup();
        assert_eq!(seen.len(), count, "a vCPU on two pCPUs");
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms * MS / TICK_NS {
            self.react();
            for (vcpu, _) in &self.running {
                if let Some(vcpu) = vcpu {
                    *self.ran_ns.entry((vcpu.domid, vcpu.id)).or_default() += TICK_NS;
                }
            }
            self.now += TICK_NS;
            self.hv.set_now(self.now);
        }
    }

    fn ran(&self, domain: &TestDomain) -> u64 {
        let of = |(id, ns): (&(DomId, VcpuId), &u64)| if id.0 == domain.id { *ns } else { 0 };
        self.ran_ns.iter().map(of).sum()
    }
}

fn vcpu(domain: &TestDomain, id: u32) -> &Arc<Vcpu<TestPlatform>> {
    domain.vcpu(VcpuId(id)).unwrap()
}

fn pin(hv: &Hypervisor<TestPlatform>, vcpu: &Arc<Vcpu<TestPlatform>>, cpu: u32) {
    let to = |affinity: &mut Affinity| {
        affinity.hard = CpuSet::single(CpuId(cpu));
        Ok::<(), Errno>(())
    };
    hv.set_affinity(vcpu, to).unwrap();
}

#[track_caller]
fn assert_ratio(part: u64, whole: u64, percent: u64) {
    let got = part * 100 / whole;
    assert!(got.abs_diff(percent) * 20 <= percent, "{got} % instead of {percent} %");
}

#[test]
fn busy_vcpus_share_by_weight() {
    let mut machine = Machine::new(1);
    let light = machine.domain(1, 1, 256, 0);
    let heavy = machine.domain(2, 1, 512, 0);
    machine.run(3000);
    assert_ratio(machine.ran(&heavy), machine.ran(&light), 200);
    assert_eq!(machine.ran(&light) + machine.ran(&heavy), 3000 * MS);
    assert!(machine.switches < 400, "{} switches", machine.switches);
}

#[test]
fn many_weights_at_once() {
    let mut machine = Machine::new(1);
    let weights = [64, 128, 256, 1024, 4096];
    let domains: Vec<_> =
        (1..).zip(weights).map(|(id, weight)| machine.domain(id, 1, weight, 0)).collect();
    machine.run(20_000);
    let total: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    for (domain, weight) in domains.iter().zip(weights) {
        assert_ratio(machine.ran(domain) * total / 20_000, u64::from(weight) * MS, 100);
    }
}

#[test]
fn a_cap_holds_on_an_idle_machine() {
    let mut machine = Machine::new(2);
    let capped = machine.domain(1, 2, 256, 50);
    machine.run(2000);
    assert_ratio(machine.ran(&capped), 2000 * MS, 50);
    machine.hv.set_share(&capped, None, Some(0));
    machine.run(40);
    let before = machine.ran(&capped);
    machine.run(100);
    assert_eq!(machine.ran(&capped) - before, 200 * MS);
}

#[test]
fn a_sleeper_runs_soon_after_it_wakes() {
    let mut machine = Machine::new(1);
    machine.domain(1, 1, 256, 0);
    machine.domain(2, 1, 256, 0);
    let sleeper = machine.domain(3, 1, 256, 0);
    let sleeper = vcpu(&sleeper, 0);
    machine.run(50);
    machine.hv.block(sleeper);
    machine.run(500);
    for _ in 0..50 {
        machine.run(7);
        machine.hv.wake(sleeper);
        let asked = machine.now;
        while sleeper.sched.running_on().is_none() {
            machine.run(1);
        }
        // The rate limit is what it may have to wait for.
        assert!(machine.now - asked <= 2 * MS, "waited {} ns", machine.now - asked);
        machine.run(1);
        machine.hv.on_cpu(0);
        machine.hv.block(sleeper);
    }
}

#[test]
fn long_sleep_earns_no_more_than_a_little() {
    let mut machine = Machine::new(1);
    let steady = machine.domain(1, 1, 256, 0);
    let sleeper = machine.domain(2, 1, 256, 0);
    machine.run(10);
    machine.hv.block(vcpu(&sleeper, 0));
    machine.run(10_000);
    let (slept, stayed) = (machine.ran(&sleeper), machine.ran(&steady));
    machine.hv.on_cpu(0);
    machine.hv.wake(vcpu(&sleeper, 0));
    machine.run(1000);
    assert_ratio(machine.ran(&sleeper) - slept, machine.ran(&steady) - stayed, 102);
}

#[test]
fn a_yield_lets_the_other_run() {
    let mut machine = Machine::new(1);
    let first = machine.domain(1, 1, 256, 0);
    let second = machine.domain(2, 1, 256, 0);
    machine.run(1);
    let (current, other) = if vcpu(&first, 0).sched.running_on().is_some() {
        (&first, &second)
    } else {
        (&second, &first)
    };
    machine.hv.on_cpu(0);
    machine.hv.yield_now();
    machine.react();
    assert!(vcpu(other, 0).sched.running_on().is_some());
    assert!(vcpu(current, 0).sched.running_on().is_none());
}

#[test]
fn nobody_waits_while_a_pcpu_idles() {
    let mut machine = Machine::new(4);
    let domain = machine.domain(1, 4, 256, 0);
    machine.run(100);
    assert_eq!(machine.ran(&domain), 400 * MS);

    // Two on one pCPU, and then the other's work ends.
    for id in 0..4 {
        pin(&machine.hv, vcpu(&domain, id), id / 2);
    }
    machine.run(100);
    assert!(machine.running[2].0.is_none() && machine.running[3].0.is_none());
    for id in 0..4 {
        let anywhere = |affinity: &mut Affinity| {
            affinity.hard = CpuSet::ALL;
            Ok::<(), Errno>(())
        };
        machine.hv.on_cpu(0);
        machine.hv.set_affinity(vcpu(&domain, id), anywhere).unwrap();
    }
    let before = machine.ran(&domain);
    machine.run(100);
    assert_eq!(machine.ran(&domain) - before, 400 * MS);
}

#[test]
fn load_is_evened_out_among_busy_pcpus() {
    let mut machine = Machine::new(2);
    let domain = machine.domain(1, 6, 256, 0);
    for id in 0..6 {
        pin(&machine.hv, vcpu(&domain, id), u32::from(id == 5));
    }
    machine.run(10);
    // One is alone on its pCPU, without an end to its turn. Now all could go there.
    for id in 0..6 {
        let vcpu = vcpu(&domain, id);
        vcpu.sched.change_affinity(|affinity| affinity.hard = CpuSet::ALL);
    }
    machine.run(100);
    let before = machine.ran_ns.clone();
    machine.run(3000);
    for (id, ran) in &machine.ran_ns {
        assert_ratio(ran - before[id], 1000 * MS, 100);
    }
}

#[test]
fn affinity_is_obeyed_at_once() {
    let mut machine = Machine::new(3);
    let domain = machine.domain(1, 1, 256, 0);
    machine.run(1);
    for cpu in [2, 0, 1, 1, 2] {
        pin(&machine.hv, vcpu(&domain, 0), cpu);
        machine.react();
        assert_eq!(vcpu(&domain, 0).sched.running_on(), Some(CpuId(cpu)));
        machine.run(1);
    }
    let prefer = |affinity: &mut Affinity| {
        affinity.hard = CpuSet::first(2);
        affinity.soft = CpuSet::single(CpuId(1));
        Ok::<(), Errno>(())
    };
    machine.hv.set_affinity(vcpu(&domain, 0), prefer).unwrap();
    machine.run(1);
    assert!(matches!(vcpu(&domain, 0).sched.running_on(), Some(CpuId(0 | 1))));
    machine.hv.block(vcpu(&domain, 0));
    machine.run(1);
    machine.hv.wake(vcpu(&domain, 0));
    machine.react();
    assert_eq!(vcpu(&domain, 0).sched.running_on(), Some(CpuId(1)));
}

#[test]
fn pauses_add_up() {
    let mut machine = Machine::new(1);
    let domain = machine.domain(1, 1, 256, 0);
    let (hv, one) = (&machine.hv, vcpu(&domain, 0).clone());
    hv.pause_vcpu(&one);
    hv.pause_domain(&domain);
    hv.unpause_vcpu(&one);
    machine.run(1);
    assert_eq!(machine.ran(&domain), 0);
    machine.hv.unpause_domain(&domain).unwrap();
    assert_eq!(machine.hv.unpause_domain(&domain), Err(Errno::EINVAL));
    machine.run(1);
    assert_eq!(machine.ran(&domain), MS);
}

#[test]
fn a_shutdown_is_over_when_the_last_vcpu_has_stopped() {
    let mut machine = Machine::new(3);
    let domain = machine.domain(1, 3, 256, 0);
    machine.run(1);
    machine.hv.on_cpu(1);
    machine.hv.shut_down(&domain, ShutdownReason::REBOOT);
    assert_eq!(domain.shutdown_state(), ShutdownState::Stopping(ShutdownReason::REBOOT));
    machine.react();
    assert_eq!(domain.shutdown_state(), ShutdownState::Stopped(ShutdownReason::REBOOT));
    assert!(machine.running.iter().all(|(vcpu, _)| vcpu.is_none()));
    machine.hv.resume_domain(&domain);
    machine.run(1);
    assert!(machine.running.iter().all(|(vcpu, _)| vcpu.is_some()));
}

#[test]
fn alone_has_no_deadline() {
    let mut machine = Machine::new(1);
    let domain = machine.domain(1, 1, 256, 0);
    machine.run(1);
    assert_eq!(machine.running[0].1, None);
    let other = machine.domain(2, 1, 256, 0);
    machine.react();
    assert!(machine.running[0].1.is_some());
    machine.hv.block(vcpu(&other, 0));
    machine.run(20);
    assert_eq!(machine.running[0].1, None);
    let info = vcpu(&domain, 0).runstate(Nanos(machine.now));
    assert_eq!(info.time.iter().sum::<u64>(), machine.now);
}

#[derive(Clone, Debug)]
enum Step {
    Run(u64),
    Block(usize),
    Wake(usize),
    Pause(usize),
    Unpause(usize),
    Pin(usize, u32),
    Weight(usize, u16),
    Cap(usize, u16),
    Yield(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..4).prop_map(Step::Run),
        2 => (0_usize..5).prop_map(Step::Block),
        3 => (0_usize..5).prop_map(Step::Wake),
        1 => (0_usize..5).prop_map(Step::Pause),
        1 => (0_usize..5).prop_map(Step::Unpause),
        1 => (0_usize..5, 0_u32..4).prop_map(|(who, cpu)| Step::Pin(who, cpu)),
        1 => (0_usize..5, 1_u16..2000).prop_map(|(who, weight)| Step::Weight(who, weight)),
        1 => (0_usize..5, 0_u16..200).prop_map(|(who, cap)| Step::Cap(who, cap)),
        1 => (0_u32..3).prop_map(Step::Yield),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever happens: a vCPU that can run is ready, parked or running; one that can't is in no
    /// queue; no vCPU runs twice; no allowed pCPU idles while one waits that isn't capped.
    #[test]
    fn queues_are_consistent(steps in prop::collection::vec(step(), 1..120)) {
        let mut machine = Machine::new(3);
        let domains = [machine.domain(1, 3, 256, 0), machine.domain(2, 2, 512, 0)];
        let vcpus: Vec<_> =
            domains.iter().flat_map(|domain| domain.vcpus().cloned()).collect();
        let mut paused = [0; 5];
        for step in steps {
            let now = machine.now;
            let hv = &machine.hv;
            match step {
                Step::Run(ms) => machine.run(ms),
                Step::Block(who) => hv.block(&vcpus[who]),
                Step::Wake(who) => hv.wake(&vcpus[who]),
                Step::Pause(who) => {
                    hv.pause_vcpu(&vcpus[who]);
                    paused[who] += 1;
                }
                Step::Unpause(who) => {
                    if paused[who] > 0 {
                        hv.unpause_vcpu(&vcpus[who]);
                        paused[who] -= 1;
                    }
                }
                Step::Pin(who, 3) => hv.set_affinity(&vcpus[who], |affinity| {
                    affinity.hard = CpuSet::ALL;
                    Ok(())
                }).unwrap(),
                Step::Pin(who, cpu) => pin(hv, &vcpus[who], cpu),
                Step::Weight(who, weight) => hv.set_share(&domains[who % 2], Some(weight), None),
                Step::Cap(who, cap) => hv.set_share(&domains[who % 2], None, Some(cap)),
                Step::Yield(cpu) => {
                    hv.on_cpu(cpu);
                    hv.yield_now();
                }
            }
            machine.react();
            for vcpu in &vcpus {
                let place = vcpu.sched.position().place;
                prop_assert_eq!(vcpu.sched.is_runnable(), place != Place::Off);
                if place == Place::Ready {
                    let affinity = vcpu.sched.affinity();
                    for cpu in 0..3 {
                        prop_assert!(
                            !affinity.hard.contains(CpuId(cpu))
                                || machine.running[cpu as usize].0.is_some(),
                            "{:?} waits at {now} while {cpu} idles: {:?}",
                            (vcpu.domid, vcpu.id),
                            vcpus.iter().map(|vcpu| vcpu.sched.position()).collect::<Vec<_>>()
                        );
                    }
                }
                prop_assert!(vcpu.sched.running_on().is_none_or(|cpu| vcpu.sched.may_run_on(cpu)));
            }
        }
        for vcpu in &vcpus {
            let info = vcpu.runstate(Nanos(machine.now));
            prop_assert_eq!(info.time.iter().sum::<u64>(), machine.now);
        }
    }
}
