//! The test guests, each as dom0: they check the hypervisor's interface from inside.

use mkimage::qemu::Machine;
use std::time::Duration;
use xenolith_tests::vm::Vm;
use xenolith_tests::{images, turns};

const PATIENCE: Duration = Duration::from_secs(120);

/// Runs a guest and reads its verdict.
fn passes(name: &str) {
    let images = images::appliance();
    let guest = images::guests().join(format!("guest-{name}"));
    let boot = images.hypervisor("console=com1", vec![(guest, String::new())]);
    let machine = Machine::new(&images.tools, boot).nic(None);
    let mut vm = Vm::start(&format!("guest {name}"), machine, 2);
    vm.expect("XENOLITH-TEST: ", PATIENCE);
    let verdict = vm.expect("\n", PATIENCE);
    let (_, verdict) = verdict.trim_end().split_once(": ").expect("a verdict after the name");
    turns::say(&format!("guest {name}: {verdict}"));
    assert_eq!(verdict, "SUCCESS", "{}", vm.running().console());
}

macro_rules! guests {
    ($($test:ident = $name:literal;)*) => {
        $(
            #[test]
            fn $test() {
                passes($name);
            }
        )*
    };
}

guests! {
    callback = "callback";
    cpuid = "cpuid";
    domain = "domain";
    events_2l = "events-2l";
    events_fifo = "events-fifo";
    grants = "grants";
    hostile = "hostile";
    hypercalls = "hypercalls";
    isolation = "isolation";
    lapic = "lapic";
    lapic_priority = "lapic-priority";
    memory_map = "memory-map";
    msr_cpuid = "msr-cpuid";
    narrow = "narrow";
    nmi = "nmi";
    runstate = "runstate";
    sched = "sched";
    shared_info = "shared-info";
    smp = "smp";
    timer = "timer";
    toolstack = "toolstack";
    vcpu_info = "vcpu-info";
}
