//! Timers against a plain map.

use alloc::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::testing::platform::hypervisor;
use crate::types::VcpuId;

#[derive(Clone, Debug)]
enum Step {
    Arm(u32, u32, u8, u64),
    Cancel(u32, u8),
    Advance(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0_u32..2, 0_u32..6, 0_u8..ARCH_TIMERS, 0_u64..1000)
            .prop_map(|(cpu, vcpu, timer, after)| Step::Arm(cpu, vcpu, timer, after)),
        1 => (0_u32..6, 0_u8..ARCH_TIMERS).prop_map(|(vcpu, timer)| Step::Cancel(vcpu, timer)),
        1 => (0_u64..300).prop_map(Step::Advance),
    ]
}

proptest! {
    #[test]
    fn timers_expire_when_they_are_due(steps in prop::collection::vec(step(), 1..300)) {
        let hv = hypervisor(2);
        let domain = hv.test_domain(1, 6);
        let mut model: BTreeMap<(VcpuId, u8), (u32, u64)> = BTreeMap::new();
        let mut now = 0;
        for step in steps {
            match step {
                Step::Arm(cpu, vcpu, timer, after) => {
                    hv.on_cpu(cpu);
                    let vcpu = domain.vcpu(VcpuId(vcpu)).unwrap();
                    hv.arm_timer(vcpu, TimerKind::Arch(timer), Nanos(now + after));
                    model.insert((vcpu.id, timer), (cpu, now + after));
                }
                Step::Cancel(vcpu, timer) => {
                    let vcpu = domain.vcpu(VcpuId(vcpu)).unwrap();
                    let was = hv.cancel_timer(vcpu, TimerKind::Arch(timer));
                    prop_assert_eq!(was, model.remove(&(vcpu.id, timer)).is_some());
                }
                Step::Advance(by) => now += by,
            }
            for cpu in 0..2 {
                let id = hv.on_cpu(cpu);
                hv.expire_timers(id, hv.set_now(now));
                let mut due: Vec<_> =
                    model.iter().filter(|(_, at)| at.0 == cpu && at.1 <= now).collect();
                due.sort_by_key(|(_, at)| at.1);
                let fired = core::mem::take(&mut *hv.platform.arch_timers.lock());
                prop_assert_eq!(fired.len(), due.len());
                for (_, vcpu, timer) in &fired {
                    prop_assert!(due.iter().any(|(key, _)| **key == (*vcpu, *timer)));
                }
                model.retain(|_, at| at.0 != cpu || at.1 > now);
                let earliest = model.values().filter(|at| at.0 == cpu).map(|at| Nanos(at.1)).min();
                prop_assert_eq!(hv.timers.earliest(id), earliest);
            }
        }
    }
}

#[test]
fn periodic_ticks_keep_their_beat() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 1);
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    vcpu.timers.period_ns.store(100, Ordering::Relaxed);
    hv.arm_timer(vcpu, TimerKind::Periodic, Nanos(100));
    for (now, next) in [(99, 100), (100, 200), (205, 300), (650, 700)] {
        hv.expire_timers(CpuId(0), hv.set_now(now));
        assert_eq!(hv.timers.earliest(CpuId(0)), Some(Nanos(next)), "at {now}");
    }
}

#[test]
fn a_watchdog_stops_the_domain() {
    let hv = hypervisor(1);
    let domain = hv.test_domain(1, 1);
    let vcpu = domain.vcpu(VcpuId(0)).unwrap();
    hv.arm_timer(vcpu, TimerKind::Watchdog(1), Nanos(10));
    hv.expire_timers(CpuId(0), hv.set_now(10));
    assert_eq!(
        domain.shutdown_state(),
        crate::domain::ShutdownState::Stopped(ShutdownReason::WATCHDOG)
    );
}
