//! Real devices work under load: what is written to disks comes back, and what comes over the
//! network is whole. `XENOLITH_TEST_MIB` sets how much is moved.

use mkimage::disk::content;
use mkimage::qemu::Machine;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::time::Duration;
use xenolith_tests::vm::Vm;
use xenolith_tests::workbench::{self, Folder};
use xenolith_tests::{images, pattern, turns};

/// For all jobs together, per MiB and at least.
const PATIENCE_PER_MIB: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(180);

/// Serves a file by HTTP on the loopback interface, to whoever asks; returns the port.
fn serve(path: PathBuf) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let server = tiny_http::Server::from_listener(listener, None).expect("a server");
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            let file = std::fs::File::open(&path).expect("the source disk");
            std::thread::spawn(move || request.respond(tiny_http::Response::from_file(file)));
        }
    });
    port
}

fn same(one: &Path, other: &Path) -> bool {
    let read = |path| std::fs::read(path).expect("a disk image");
    read(one) == read(other)
}

/// Copies the first virtio disk to others, reads all of them back, and fetches the same bytes over
/// two network cards, everything at once.
fn moves(name: &str, cpus: u32, change: impl FnOnce(Machine) -> Machine) {
    let images = images::appliance();
    let mebibytes = pattern::mebibytes(32);
    let folder = Folder::new(name);
    let source = folder.file("source");
    pattern::write(&source, mebibytes);
    let port = serve(source.clone());
    let script = format!(
        r#"
for module in virtio_pci virtio_blk ahci sd_mod nvme xhci_pci usb_storage uas virtio_net e1000e; do
    /sbin/modprobe $module
done
expected=$(md5sum </dev/vda)
whole() {{
    [ "$(md5sum)" = "$expected" ]
}}
copy() {{
    dd if=/dev/vda of="$1" bs=1M iflag=direct oflag=direct 2>/tmp/dd.${{1##*/}} || return 1
    dd if="$1" bs=1M iflag=direct 2>/dev/null | whole
}}
fetch() {{
    ifconfig "$(interface "$1")" "$2.15" netmask 255.255.255.0 up
    wget -q -O - "http://$2.2:{port}/source" | whole
}}
job virtio-blk copy /dev/vdb &
job AHCI copy "$(disk /ata)" &
job NVMe copy "$(disk /nvme)" &
job USB copy "$(disk /usb)" &
job virtio-net fetch virtio_net 10.0.3 &
job e1000e fetch e1000e 10.0.2 &
wait
"#
    );
    let initramfs = workbench::initramfs(images, &folder, &script);
    let modules = vec![
        (images.file(content::KERNEL), workbench::KERNEL_LINE.to_owned()),
        (initramfs, String::new()),
    ];
    let boot = images.hypervisor("console=com1 dom0_mem=1024M", modules);
    let mut machine = Machine::new(&images.tools, boot).nic(Some("e1000e"));
    machine = machine.disk(&source, "virtio-blk-pci");
    let targets = ["virtio-blk-pci", "ide-hd", "nvme,serial=1", "usb-storage,bus=usb.0"];
    machine = machine.args(["-device", "qemu-xhci,id=usb"]);
    let mut copies = Vec::new();
    for device in targets {
        let copy = folder.file(device.split(['-', ',']).next().unwrap_or(device));
        let file = std::fs::File::create(&copy).expect("a disk image");
        file.set_len(u64::from(mebibytes) << 20).expect("room for a disk image");
        machine = machine.disk(&copy, device);
        copies.push((device, copy));
    }
    machine = machine.args(["-netdev", "user,id=net1,net=10.0.3.0/24"]);
    machine = machine.args(["-device", "virtio-net-pci,netdev=net1,romfile="]);
    let mut vm = Vm::start(name, change(machine), cpus);
    for _job in 0..6 {
        vm.expect("BENCH: ", PATIENCE + PATIENCE_PER_MIB * mebibytes);
        let said = vm.expect("\n", PATIENCE);
        turns::say(&format!("{name}: {}", said.trim_end()));
        assert!(said.trim_end().ends_with(": done"), "{}", vm.running().console());
    }
    vm.ends();
    for (device, copy) in copies {
        assert!(same(&source, &copy), "what is on the disk of {device} was not written there");
    }
}

#[test]
fn one_cpu_moves_data_over_every_device() {
    moves("devices-1", 1, |machine| machine);
}

#[test]
fn four_cpus_move_data_over_every_device() {
    moves("devices-4", 4, |machine| machine);
}
