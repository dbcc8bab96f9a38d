//! The appliance without GRUB: QEMU loads hypervisor, kernel and initramfs.

use mkimage::qemu::Machine;
use std::time::Duration;
use xenolith_tests::images;
use xenolith_tests::vm::Vm;

const HYPERVISOR: &str = "console=com1 dom0_mem=1024M";
const KERNEL: &str = "console=hvc0 quiet";
const COMMAND: Duration = Duration::from_secs(60);

fn boot(cpus: u32) -> Vm {
    boot_with(cpus, |machine| machine)
}

fn boot_with(cpus: u32, change: impl FnOnce(Machine) -> Machine) -> Vm {
    let images = images::appliance();
    let machine = Machine::new(&images.tools, images.direct(HYPERVISOR, KERNEL));
    let mut vm = Vm::start(&format!("direct, {cpus} CPUs"), change(machine), cpus);
    vm.boot();
    vm
}

/// The value of a line `name : value`.
fn field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let fields = text.lines().filter_map(|line| line.split_once(':'));
    fields.map(|(key, value)| (key.trim(), value.trim())).find(|(key, _)| *key == name).map(|f| f.1)
}

#[test]
fn one_cpu_reaches_the_prompt_and_switches_off() {
    boot(1).end("xm shutdown-host");
}

#[test]
fn two_cpus_answer_every_question_of_xm() {
    let mut vm = boot(2);
    let info = vm.command("xm info");
    assert_eq!(field(&info, "nr_cpus"), Some("2"), "{info}");
    assert_eq!(field(&info, "xen_major"), Some("4"), "{info}");
    assert_eq!(field(&info, "xen_minor"), Some("20"), "{info}");
    let caps = field(&info, "xen_caps").unwrap_or_default();
    assert!(caps.contains("hvm-3.0-x86_64"), "{info}");
    // `xm` may be left out at the prompt.
    let list = vm.command("list");
    let domain0 = list.lines().find(|line| line.starts_with("Domain-0"));
    let words: Vec<&str> = domain0.unwrap_or_default().split_whitespace().collect();
    let [_, id, megabytes, vcpus, ..] = words[..] else { panic!("no row of dom0: {list}") };
    assert_eq!((id, vcpus), ("0", "2"), "{list}");
    assert_eq!(megabytes, "1024", "{list}");
    // What is pasted is run line by line.
    vm.running().send("uptime\rvcpu-list\r").expect("the prompt");
    vm.expect("ID Uptime", COMMAND);
    vm.expect("Affinity", COMMAND);
    vm.expect("xm> ", COMMAND);
    let perf = vm.command("xm perf");
    assert!(perf.contains("Domain-0"), "{perf}");
    assert!(perf.contains("hypercall."), "{perf}");
    let log = vm.command("xm dmesg");
    assert!(log.contains("Xenolith"), "{log}");
    vm.end("quit");
}

#[test]
fn four_cpus_all_run_dom0() {
    let mut vm = boot(4);
    let vcpus = vm.command("xm vcpu-list");
    let rows = vcpus.lines().filter(|line| line.starts_with("Domain-0"));
    assert_eq!(rows.count(), 4, "{vcpus}");
    vm.end("xm shutdown-host");
}

#[test]
fn reboot_host_resets_the_machine() {
    // QEMU ends at a reset here.
    boot(2).end("xm reboot-host");
}

#[test]
fn the_power_button_switches_off_in_order() {
    let mut vm = boot(2);
    vm.running().power_button().expect("QEMU presses the button");
    vm.ends();
}

#[test]
fn control_alt_delete_restarts_in_order() {
    let mut vm = boot(2);
    vm.press(&["ctrl-alt-delete"]);
    vm.ends();
}

#[test]
fn the_screen_takes_commands_from_a_usb_keyboard() {
    let keyboard = ["-device", "qemu-xhci", "-device", "usb-kbd"];
    let mut vm = boot_with(2, |machine| machine.args(keyboard));
    // The screen shows the machine's state until somebody presses a key.
    vm.press(&["ret"]);
    let typed: Vec<String> = "shutdown-host".chars().map(|c| c.to_string()).collect();
    let keys = typed.iter().map(|key| if key == "-" { "minus" } else { key });
    vm.press(&keys.chain(["ret"]).collect::<Vec<_>>());
    vm.ends();
}
