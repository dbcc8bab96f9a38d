//! Guests' images boot by themselves, on plain machines: to a login, with everything up.

use mkimage::assemble::Output;
use mkimage::guest;
use mkimage::qemu::{Boot, Firmware, Machine};
use mkimage::recipe::Size;
use std::time::Duration;
use xenolith_tests::images;
use xenolith_tests::vm::Vm;

/// From power-on to the login.
const BOOT: Duration = Duration::from_secs(300);
/// How often its power button is pressed.
const PRESSES: usize = 6;

fn boots(firmware: Firmware) {
    let project = images::project();
    let built = project
        .recipe("debian-13")
        .and_then(|recipe| guest::build(&project, &recipe, &Output::Cache))
        .unwrap_or_else(|error| panic!("the image can't be built: {error}"));
    let tools = project.tools().unwrap_or_else(|error| panic!("{error}"));
    let image = built.disk().unwrap_or_else(|error| panic!("{error}")).to_owned();
    let boot = Boot::Disk { image, snapshot: true };
    let machine = Machine::new(&tools, boot).firmware(firmware).memory(Size::mib(1024));
    let mut vm = Vm::start(&format!("debian-13, {firmware:?}"), machine, 2);
    let said = vm.expect("debian-13 login:", BOOT);
    assert!(!said.contains("FAILED"), "a unit failed:\n{said}");
    // Who listens to the button may not be there yet.
    for _ in 0..PRESSES {
        let pressed = vm.running().qmp().and_then(|qmp| qmp.monitor("system_powerdown"));
        pressed.unwrap_or_else(|error| panic!("{error}"));
        if vm.running().wait_exit(Duration::from_secs(20)).is_ok() {
            let console = vm.running().console();
            assert!(!console.contains("FAILED"), "a unit failed:\n{console}");
            return;
        }
    }
    vm.fail("the power button does nothing");
}

#[test]
fn debian_13_bios() {
    boots(Firmware::Bios);
}

#[test]
fn debian_13_uefi() {
    boots(Firmware::Uefi);
}
