//! Any hypercall with any arguments, from a guest and from the toolstack: whatever it does, the
//! hypervisor goes on, and frames neither leak nor are freed twice (the frame table asserts that).

use alloc::vec::Vec;

use proptest::prelude::*;
use xen_abi::xen::Hypercall;

use super::*;
use crate::testing::platform::{call_from, hypervisor};
use crate::types::CpuId;

/// One call: who makes it, its number and arguments, and what is in the memory it may point to.
#[derive(Clone, Debug)]
struct Attempt {
    by_toolstack: bool,
    narrow: bool,
    number: u32,
    args: [u64; 6],
    words: Vec<u64>,
}

/// Numbers that mean something more often than not.
fn word() -> impl Strategy<Value = u64> {
    prop_oneof![
        4 => 0_u64..32,
        2 => Just(0x7FF0),
        2 => (0_u64..17).prop_map(|page| page << 12),
        1 => Just(0x17 << 32),
        1 => (0_u64..90, 0_u64..3).prop_map(|(cmd, domain)| cmd | 0x17 << 32 | domain),
        1 => any::<u64>(),
        1 => Just(u64::MAX),
    ]
}

fn attempt() -> impl Strategy<Value = Attempt> {
    let versioned = (0_u64..100, prop_oneof![Just(0x17_u64), Just(0x15), Just(0x0300_0001)]);
    let first = prop_oneof![
        1 => word(),
        3 => versioned.prop_map(|(cmd, version)| cmd | version << 32),
    ];
    let words = (first, 0_u64..4, prop::collection::vec(word(), 0..20));
    (any::<[bool; 2]>(), 0_u32..56, 0_u64..40, prop::array::uniform5(word()), words).prop_map(
        |([by_toolstack, narrow], number, cmd, rest, (first, second, others))| {
            let pointer = 0x1000;
            let mut args = [cmd, pointer, rest[0], rest[1], rest[2], rest[3]];
            match Hypercall(number) {
                Hypercall::DOMCTL | Hypercall::SYSCTL | Hypercall::PLATFORM_OP => args[0] = pointer,
                Hypercall::VCPU_OP | Hypercall::GRANT_TABLE_OP => {
                    (args[1], args[2]) = (rest[4] % 4, pointer);
                    if Hypercall(number) == Hypercall::GRANT_TABLE_OP {
                        (args[1], args[2]) = (pointer, rest[4] % 8);
                    }
                }
                _ => {}
            }
            let words = [first, second].into_iter().chain(others).collect();
            Attempt { by_toolstack, narrow, number, args, words }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]
    #[test]
    fn nothing_that_a_guest_asks_for_is_the_end(
        attempts in prop::collection::vec(attempt(), 1..40),
    ) {
        // On one pCPU, as nobody else is there who would stop a vCPU on another.
        let hv = hypervisor(1);
        let domains = [hv.test_domain(0, 2), hv.test_domain(1, 2)];
        hv.test_domain(2, 1);
        for attempt in attempts {
            let domain = &domains[usize::from(!attempt.by_toolstack)];
            if domain.is_dying() {
                continue;
            }
            let bytes: Vec<u8> = attempt.words.iter().flat_map(|word| word.to_le_bytes()).collect();
            let _ = domain.memory.write(&hv.platform, Gpa(0x1000), &bytes);
            let width = if attempt.narrow { Width::Narrow } else { Width::Wide };
            let mut args = attempt.args.map(|arg| width.truncate(arg));
            for _ in 0..2000 {
                match call_from(width, &hv, domain, args, |call| dispatch(attempt.number, call)) {
                    Outcome::Done(_) => break,
                    Outcome::Continue(next) => args = next.map(|arg| width.truncate(arg)),
                }
            }
            let now = hv.set_now(hv.platform.now().0 + 1_000_000);
            hv.expire_timers(CpuId(0), now);
            hv.schedule(CpuId(0), now);
        }
        for domain in hv.domains().iter().filter(|domain| domain.id != DomId::DOM0) {
            while hv.destroy_domain(domain) == crate::domain::Progress::Again {}
        }
    }
}
