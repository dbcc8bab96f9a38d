//! What the hypervisor can't start, it refuses with a message that says the reason and the way
//! out, and restarts the machine after ten seconds.

use mkimage::disk::content;
use mkimage::qemu::{Boot, Machine};
use mkimage::recipe::Size;
use std::time::Duration;
use xenolith_tests::images::{self, Images};
use xenolith_tests::vm::Vm;

const PATIENCE: Duration = Duration::from_secs(60);

/// Boots a machine that must say all of these and restart.
fn refuses(name: &str, machine: Machine, reasons: &[&str]) {
    let mut vm = Vm::start(name, machine, 1);
    for reason in reasons {
        vm.expect(reason, PATIENCE);
    }
    vm.expect("restarting in 10 seconds", PATIENCE);
    vm.ends();
}

fn with(boot: impl FnOnce(&Images) -> Boot) -> Machine {
    let images = images::appliance();
    Machine::new(&images.tools, boot(images)).nic(None)
}

#[test]
fn no_dom0_kernel() {
    let machine = with(|images| images.hypervisor("console=com1", Vec::new()));
    refuses("no dom0 kernel", machine, &["there is no dom0 kernel", "module2"]);
}

#[test]
fn no_svm() {
    let machine = with(|images| images.direct("console=com1", "console=hvc0")).cpu("max,-svm");
    refuses("no SVM", machine, &["this CPU lacks AMD virtualization (SVM)", "firmware's setup"]);
}

#[test]
fn no_nested_paging() {
    let machine = with(|images| images.direct("console=com1", "console=hvc0")).cpu("max,-npt");
    refuses("no NPT", machine, &["this CPU lacks nested paging (NPT)"]);
}

#[test]
fn too_little_memory() {
    let machine = with(|images| images.hypervisor("console=com1", Vec::new()));
    let machine = machine.memory(Size::mib(48));
    refuses("too little memory", machine, &["MiB of memory", "need at least"]);
}

/// An ELF program of one instruction at 16 MiB, and no notes.
fn elf_without_notes() -> Vec<u8> {
    const AT: u64 = 16 << 20;
    const CODE_OFFSET: u64 = 0x1000;
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend([2_u16, 62].iter().flat_map(|field| field.to_le_bytes())); // program, x86-64
    file.extend(1_u32.to_le_bytes());
    file.extend([AT, 64, 0].iter().flat_map(|field| field.to_le_bytes())); // entry, headers
    file.extend(0_u32.to_le_bytes());
    file.extend([64_u16, 56, 1, 64, 0, 0].iter().flat_map(|field| field.to_le_bytes()));
    file.extend([1_u32, 5].iter().flat_map(|field| field.to_le_bytes())); // load, read and run
    let segment = [CODE_OFFSET, AT, AT, 1, 1, 0x1000];
    file.extend(segment.iter().flat_map(|field| field.to_le_bytes()));
    file.resize(0x1000, 0);
    file.push(0xf4);
    file
}

#[test]
fn a_kernel_without_pvh_note() {
    let path = std::env::temp_dir().join(format!("xenolith-vm-{}.elf", std::process::id()));
    std::fs::write(&path, elf_without_notes()).expect("a temporary file");
    let machine =
        with(|images| images.hypervisor("console=com1", vec![(path.clone(), String::new())]));
    let reasons = ["dom0's kernel: ", "XEN_ELFNOTE_PHYS32_ENTRY", "PVH"];
    refuses("a kernel without PVH note", machine, &reasons);
    std::fs::remove_file(&path).expect("the temporary file");
}

/// The initramfs in the place of the kernel.
#[test]
fn a_kernel_that_is_none() {
    let machine = with(|images| {
        let initramfs = images.file(content::INITRAMFS);
        images.hypervisor("console=com1", vec![(initramfs, String::new())])
    });
    refuses("a kernel that is none", machine, &["dom0's kernel: "]);
}

#[test]
fn noreboot_stops_instead() {
    let machine = with(|images| images.hypervisor("console=com1 noreboot", Vec::new()));
    let mut vm = Vm::start("noreboot", machine, 1);
    vm.expect("there is no dom0 kernel", PATIENCE);
    vm.expect("\"noreboot\"", PATIENCE);
}
