//! What README shows: `xm create demo -c` on the disk that `mkimage run` boots. A Debian guest with
//! its own kernel, on its own disk, whose services answer on the control domain's network and
//! beyond.

use mkimage::assemble::{self, Medium, Output, Request};
use mkimage::qemu::{Boot, Forward, Machine, overlay};
use mkimage::recipe::Size;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::Duration;
use xenolith_tests::images;
use xenolith_tests::vm::Vm;
use xenolith_tests::workbench::Folder;

/// From its creation to its login, with keys and a database to be made first.
const BOOT: Duration = Duration::from_secs(420);
const PATIENCE: Duration = Duration::from_secs(120);
/// What QEMU's network gives to the second who asks: the control domain asks first.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 16);
const SHELL: &str = "root@demo:~#";
/// Leaves a guest's console.
const LEAVE: &str = "\x1d";

#[test]
fn the_demo_serves_from_its_own_disk() {
    let project = images::project();
    let tools = &images::appliance().tools;
    let request =
        Request { guests: vec!["demo".to_owned()], ..Request::new("appliance", &[Medium::Usb]) };
    let built = assemble::appliance(&project, &request, &Output::Cache)
        .unwrap_or_else(|error| panic!("the image can't be built: {error}"));
    let folder = Folder::new("demo");
    let disk = folder.file("disk.qcow2");
    let image = built.medium(Medium::Usb).expect("the medium that was asked for");
    overlay::create(&disk, image, 8 << 30).expect("a disk");
    let [web, ssh] = [80, 22].map(|port| Forward { host: free(), address: Some(ADDRESS), port });
    let machine = Machine::new(tools, Boot::Disk { image: disk, snapshot: false })
        .memory(Size::mib(3072))
        .forward(web)
        .forward(ssh);
    let mut vm = Vm::start("demo", machine, 2);
    vm.boot();
    say(&mut vm, "xm create demo -c\r");
    vm.expect("demo login:", BOOT);
    say(&mut vm, "root\r");
    vm.expect("Password:", PATIENCE);
    say(&mut vm, "xenolith\r");
    vm.expect(SHELL, PATIENCE);
    let state = guest(&mut vm, "systemctl is-system-running --wait");
    assert!(state.contains("running"), "{state}");
    assert!(guest(&mut vm, "cat /sys/hypervisor/type").contains("xen"));
    let databases = guest(&mut vm, "mariadb -e 'show databases'");
    assert!(databases.contains("information_schema"), "{databases}");
    // The control domain answers, so each reaches the other.
    let reached = guest(&mut vm, "ping -c 3 10.0.2.15");
    assert!(reached.contains(" bytes from 10.0.2.15"), "{reached}");
    say(&mut vm, LEAVE);
    vm.expect("xm> ", PATIENCE);

    let page = ask(web.host, "GET / HTTP/1.0\r\n\r\n");
    assert!(page.starts_with("HTTP/1.1 200 OK") && page.contains("Xenolith"), "{page}");
    let banner = ask(ssh.host, "SSH-2.0-test\r\n\r\n");
    assert!(banner.starts_with("SSH-2.0-OpenSSH"), "{banner}");

    vm.command_within("xm shutdown -w demo", PATIENCE);
    vm.end("xm shutdown-host");
}

fn say(vm: &mut Vm, text: &str) {
    vm.running().send(text).expect("the machine's console");
}

/// Runs a command in the guest's shell; returns what it printed.
fn guest(vm: &mut Vm, command: &str) -> String {
    say(vm, &format!("{command}; echo do''ne\r"));
    let said = vm.expect("\ndone", BOOT);
    vm.expect(SHELL, PATIENCE);
    said
}

/// A port of the loopback interface that nobody uses.
fn free() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("its number").port()
}

/// Says something to a server, and listens until it hangs up.
fn ask(port: u16, text: &str) -> String {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).expect("a forwarded port");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time limit");
    stream.write_all(text.as_bytes()).expect("a request");
    let mut said = Vec::new();
    // Who doesn't like the request ends the connection in whatever way.
    let _ended = stream.read_to_end(&mut said);
    String::from_utf8_lossy(&said).into_owned()
}
