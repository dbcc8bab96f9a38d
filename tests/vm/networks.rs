//! Guests' networks: real guests reach each other, the control domain and the outside, whole
//! files arrive, and nobody appears as somebody else.

use mkimage::disk::content;
use mkimage::qemu::Machine;
use mkimage::recipe::Size;
use std::net::{Ipv4Addr, TcpListener};
use std::time::Duration;
use xenolith_tests::linux_guests::{Guests, PLACE};
use xenolith_tests::vm::Vm;
use xenolith_tests::workbench::Folder;
use xenolith_tests::{images, turns};

const HYPERVISOR: &str = "console=com1 dom0_mem=768M";
const KERNEL: &str = "console=hvc0 quiet";
const PATIENCE: Duration = Duration::from_secs(120);
/// How much is fetched from the outside.
const BYTES: usize = 2 << 20;

/// What guests do: the job that their command line names.
const SCRIPT: &str = r#"
ifconfig lo 127.0.0.1 up
mkdir -p /etc
cat >/lease <<'end'
#!/bin/sh
[ "$1" = bound ] || exit 0
ifconfig "$interface" "$ip" netmask "$subnet"
route add default gw "$router"
echo "nameserver $dns" >/etc/resolv.conf
end
chmod +x /lease
job() {
    name=$1
    shift
    if "$@" >/dev/null 2>&1; then echo "NET: $name: done"; else echo "NET: $name: FAILED"; fi
}
not() {
    ! "$@"
}
address() {
    ifconfig eth0 "$1" netmask 255.255.255.0 up
}
reach() {
    ping -c 1 -W 5 "$1" || ping -c 2 -W 5 "$1"
}
# fetch ADDRESS/FILE SUM
fetch() {
    [ "$(wget -q -O - "http://$1" | md5sum)" = "$2" ]
}
alike() {
    dd if=/dev/zero bs=1M count=2 | tr '\0' 'x'
}
sum=$(alike 2>/dev/null | md5sum)
for word in $(cat /proc/cmdline); do
    case $word in port=*) outside=10.0.2.2:${word#port=}/file;; esac
done
case $(cat /proc/cmdline) in
*job=serve*)
    address 10.0.2.30
    mkdir /www
    alike 2>/dev/null >/www/file
    httpd -p 80 -h /www
    echo "NET: serving: done"
    ;;
*job=bridge*)
    address 10.0.2.20
    job "the outside" reach 10.0.2.2
    job "the control domain" reach 10.0.2.15
    job "another guest's file" fetch 10.0.2.30/file "$sum"
    job "a file of the outside" fetch "$outside" "$sum"
    address 10.0.2.99
    job "another address is refused" not ping -c 2 -W 2 10.0.2.30
    ifconfig eth0 down
    ifconfig eth0 hw ether 00:16:3e:00:00:99
    address 10.0.2.20
    job "another hardware address is refused" not ping -c 2 -W 2 10.0.2.30
    ifconfig eth0 down
    ifconfig eth0 hw ether 00:16:3e:00:00:0b
    address 10.0.2.20
    job "its own is not" reach 10.0.2.30
    ;;
*job=nat*)
    ifconfig eth0 up
    job "a lease" udhcpc -i eth0 -n -q -f -t 10 -s /lease
    job "the address that the config names" sh -c 'ifconfig eth0 | grep -q "10.0.0.77 "'
    job "the gateway" reach 10.0.0.1
    job "a file of the outside" fetch "$outside" "$sum"
    ;;
esac
sleep 100000
"#;

/// Serves bytes by HTTP on the loopback interface, to whoever asks; returns the port.
fn serve(bytes: Vec<u8>) -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port");
    let port = listener.local_addr().expect("its number").port();
    let server = tiny_http::Server::from_listener(listener, None).expect("a server");
    std::thread::spawn(move || {
        for request in server.incoming_requests() {
            // A guest that went away is seen at its own end.
            let _ = request.respond(tiny_http::Response::from_data(bytes.clone()));
        }
    });
    port
}

/// A guest's config.
fn config(job: &str, port: u16, vif: &str) -> String {
    format!(
        "name = '{job}'\nmemory = 96\nkernel = '{PLACE}/vmlinuz'\nramdisk = '{PLACE}/ramdisk'\n\
         extra = 'console=hvc0 quiet job={job} port={port}'\nvif = {vif}\n"
    )
}

/// Starts a guest at its console, waits until it has said so much, and leaves the console.
fn watch(vm: &mut Vm, guest: &str, jobs: usize) {
    let sent = vm.running().send_line(&format!("xm create {guest} -c"));
    sent.unwrap_or_else(|error| panic!("{error}"));
    for _job in 0..jobs {
        vm.expect("NET: ", PATIENCE);
        let said = vm.expect("\n", PATIENCE);
        turns::say(&format!("networks: {guest}: {}", said.trim_end()));
        assert!(said.trim_end().ends_with(": done"), "{}", vm.running().console());
    }
    let left = vm.running().send("\x1d");
    left.unwrap_or_else(|error| panic!("{error}"));
    vm.expect("xm> ", PATIENCE);
}

/// The rows of `xm network-list`.
fn interfaces(vm: &mut Vm, guest: &str) -> Vec<String> {
    let table = vm.command(&format!("xm network-list {guest}"));
    assert!(table.starts_with("Idx BE Mac Addr."), "{table}");
    table.lines().skip(1).map(str::to_owned).collect()
}

#[test]
fn guests_reach_what_they_should_as_themselves() {
    let images = images::appliance();
    let folder = Folder::new("networks");
    let port = serve(vec![b'x'; BYTES]);
    let mut guests = Guests::new(images);
    guests.ramdisk(&folder, "ramdisk", &["xen-netfront"], SCRIPT);
    let bridged = "['mac=00:16:3e:00:00:0b,ip=10.0.2.20,rate=1Gb/s']";
    guests.file("/etc/xen/serve.cfg", &config("serve", port, "['']"));
    guests.file("/etc/xen/bridge.cfg", &config("bridge", port, bridged));
    guests.file("/etc/xen/nat.cfg", &config("nat", port, "['bridge=natbr0,ip=10.0.0.77']"));
    guests.file("/etc/xen/lost.cfg", &config("lost", port, "['bridge=nowhere0']"));
    guests.file(
        "/etc/xen/xend-config.sxp",
        "(network-script network-bridge)\n(network-script network-nat)\n\
         (network-script 'network-bridge bridge=dummybr0 netdev=none')\n(vif-script vif-bridge)\n\
         (vnc-listen '127.0.0.1')\n",
    );
    let kernel = (images.file(content::KERNEL), KERNEL.to_owned());
    let initramfs = (guests.initramfs(&folder), String::new());
    let boot = images.hypervisor(HYPERVISOR, vec![kernel, initramfs]);
    let machine = Machine::new(&images.tools, boot).memory(Size::mib(1536));
    let mut vm = Vm::start("networks", machine, 2);
    vm.boot();
    watch(&mut vm, "serve", 1);
    watch(&mut vm, "bridge", 7);
    let attached = vm.command("xm network-attach serve bridge=dummybr0 mac=00:16:3e:00:00:0d");
    assert_eq!(attached, "");
    let two = interfaces(&mut vm, "serve");
    assert!(two.len() == 2 && two[1].starts_with("1   0  00:16:3e:00:00:0d"), "{two:?}");
    assert_eq!(vm.command("xm network-detach serve 00:16:3e:00:00:0d"), "");
    assert_eq!(interfaces(&mut vm, "serve").len(), 1);
    vm.command("xm destroy bridge");
    vm.command("xm destroy serve");
    watch(&mut vm, "nat", 4);
    let refused = vm.command("xm create lost");
    assert!(refused.contains("there is no bridge nowhere0: there are dummybr0, "), "{refused}");
    assert!(!vm.command("xm list").contains("lost"));
    let log = vm.command("xm log");
    assert!(log.contains("vnc-listen: has no effect: guests have no screens"), "{log}");
    vm.command("xm destroy nat");
    vm.end("quit");
}
