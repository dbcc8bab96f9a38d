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

fn boots(firmware: Firmware) {
    let project = images::project();
    let built = project
        .recipe("debian-13")
        .and_then(|recipe| guest::build(&project, &recipe, &Output::Cache))
        .unwrap_or_else(|error| panic!("the image can't be built: {error}"));
    let tools = project.tools().unwrap_or_else(|error| panic!("{error}"));
    let boot = Boot::Disk { image: built.image, snapshot: true };
    let machine = Machine::new(&tools, boot).firmware(firmware).memory(Size::mib(1024));
    let mut vm = Vm::start(&format!("debian-13, {firmware:?}"), machine, 2);
    let said = vm.expect("debian-13 login:", BOOT);
    // It has made its own host keys by then, or sshd would have failed.
    assert!(!said.contains("FAILED"), "a unit failed:\n{said}");
    let qmp = vm.running().qmp().and_then(|qmp| qmp.monitor("system_powerdown"));
    qmp.unwrap_or_else(|error| panic!("{error}"));
    vm.ends();
}

#[test]
fn debian_13_bios() {
    boots(Firmware::Bios);
}

#[test]
fn debian_13_uefi() {
    boots(Firmware::Uefi);
}
