//! The images boot: over both firmwares, from every medium, by GRUB, to the prompt.

use mkimage::assemble::Medium;
use mkimage::qemu::{Boot, Firmware, Machine};
use xenolith_tests::images;
use xenolith_tests::vm::Vm;

fn boots(firmware: Firmware, medium: Medium) {
    let images = images::appliance();
    let path = images.medium(medium).to_owned();
    let boot = match medium {
        Medium::Usb => Boot::UsbStick(path),
        Medium::Iso => Boot::Cdrom(path),
        Medium::Pxe => Boot::Network(path),
    };
    let machine = Machine::new(&images.tools, boot).firmware(firmware);
    let mut vm = Vm::start(&format!("{firmware:?}, {medium:?}"), machine, 2);
    vm.boot();
    let info = vm.command("xm info");
    assert!(info.contains("xen_version"), "{info}");
    vm.end("xm shutdown-host");
}

#[test]
fn bios_usb() {
    boots(Firmware::Bios, Medium::Usb);
}

#[test]
fn bios_iso() {
    boots(Firmware::Bios, Medium::Iso);
}

#[test]
fn bios_pxe() {
    boots(Firmware::Bios, Medium::Pxe);
}

#[test]
fn uefi_usb() {
    boots(Firmware::Uefi, Medium::Usb);
}

#[test]
fn uefi_iso() {
    boots(Firmware::Uefi, Medium::Iso);
}

#[test]
fn uefi_pxe() {
    boots(Firmware::Uefi, Medium::Pxe);
}
