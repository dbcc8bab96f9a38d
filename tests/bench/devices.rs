//! What a guest's devices cost: blocks and packets through the kernels' own frontends and
//! backends, and copies from pages that the guest grants. What differs between the sides is the
//! hypervisor.

use std::error::Error;

use mkimage::stage::initramfs::Initramfs;
use xenolith_tests::images::{self, Images};
use xenolith_tests::linux_guests;
use xenolith_tests::workbench::Folder;

use crate::machine::{Bench, probe};
use crate::said::{self, Probes};
use crate::sides::{self, Job, Side};
use crate::{line, ratio};

/// What is told of each phase, by its name.
const PHASES: [(&str, &str); 5] = [
    ("disk-read", "blkfront, 256 MiB read"),
    ("disk-write", "blkfront, 256 MiB written"),
    ("net-in", "netfront, 32 MiB received"),
    ("net-out", "netfront, 32 MiB sent"),
    ("copies", "1000 grant copies of 4 KiB"),
];

/// Modules of the guest's kernel.
const FRONTENDS: [&str; 2] = ["xen-blkfront", "xen-netfront"];
/// Modules that Debian's control domain loads; ours does so by itself.
const BACKENDS: [&str; 6] = ["loop", "xen-blkback", "llc", "stp", "bridge", "xen-netback"];

/// What the guest has.
const DEVICES: &str = r#"
memory = 192
disk = ["vdev=xvda,access=rw,BLOCK_SCRIPTtarget=/dev/loop5"]
vif = ["mac=00:16:3e:01:02:03,bridge=lan,script=VIF_SCRIPT"]
"#;

/// What stands in the config for scripts: of ours by name, of Xen's as a file.
const OURS: [(&str, &str); 2] = [("BLOCK_SCRIPT", ""), ("VIF_SCRIPT", "vif-bridge")];
const XENS: [(&str, &str); 2] =
    [("BLOCK_SCRIPT", "script=/bench/block,"), ("VIF_SCRIPT", "/bench/vif")];

/// What Xen's own scripts do, in as few words.
const BLOCK: &str = "#!/usr/bin/busybox sh
[ $1 = add ] || exit 0
xenstore-write $XENBUS_PATH/physical-device 7:5 $XENBUS_PATH/hotplug-status connected
";
const VIF: &str = "#!/usr/bin/busybox sh
[ $1 = online ] || exit 0
ip link set $vif up
brctl addif lan $vif
xenstore-write $XENBUS_PATH/hotplug-status connected
";
const NETWORKS: &str = "(network-script 'network-bridge bridge=lan')\n";

/// What the guest does. The first round of each is not counted: modules start, memory is touched.
/// A round on the disk is short, so there are several: what else happens at its time counts less.
const GUEST: &str = "
until ip link set eth0 up 2>/dev/null; do usleep 100000; done
ip addr add 10.9.0.2/24 dev eth0
until [ -b /dev/xvda ] && wget -q -O /dev/null http://10.9.0.1/file; do sleep 1; done
disk() { dd if=$1 of=$2 bs=1M count=32 $3 2>/dev/null; }
rounds() { for _ in 1 2 3 4 5 6 7 8; do disk $*; done; }
disk /dev/xvda /dev/null iflag=direct
disk /dev/zero /dev/xvda oflag=direct
/probe tell start
rounds /dev/xvda /dev/null iflag=direct
/probe tell disk-read
rounds /dev/zero /dev/xvda oflag=direct
/probe tell disk-write
wget -q -O /dev/null http://10.9.0.1/file
/probe tell net-in
dd if=/dev/zero bs=1M count=32 2>/dev/null | nc 10.9.0.1 9000
/probe tell net-out
sleep 100000
";

/// What the control domain does; its files and the guest's disk are in memory.
const SCRIPT: &str = "
sleep 10
cd /bench
mkdir -p /www
dd if=/dev/zero of=/www/file bs=1M count=32 2>/dev/null
dd if=/dev/zero of=/www/disk bs=1M count=32 2>/dev/null
[ -b /dev/loop5 ] || modprobe loop
losetup /dev/loop5 /www/disk
[ -d /sys/class/net/lan ] || brctl addbr lan
ip addr add 10.9.0.1/24 dev lan
ip link set lan up
httpd -p 80 -h /www
sleep 100000 | nc -l -p 9000 >/dev/null &
TOOL create web.cfg
./probe phases /local/domain/1/data start disk-read disk-write net-in net-out
./probe copies 1
";

/// Measures and prints.
pub fn print(bench: &Bench) -> Result<(), Box<dyn Error>> {
    eprintln!("counting what a guest's devices take on Xenolith");
    let ours = count(bench.images(), Side::Ours)?;
    eprintln!("counting what a guest's devices take on Xen");
    let xens = count(bench.images(), Side::Xens)?;
    println!("A guest's devices, in instructions; in units of Xen's (target: at most 1):");
    for (name, what) in PHASES {
        let (one, other) = (ours.get(name)?, xens.get(name)?);
        line(what, format!("{one} of {other}"), &ratio(one.0 as f64, other.0 as f64));
    }
    Ok(())
}

fn count(images: &Images, side: Side) -> Result<Probes, Box<dyn Error>> {
    let folder = Folder::new(&format!("devices-{side:?}"));
    let mut guest = Initramfs::default();
    guest.file("probe", &probe(&images::project())?, true);
    let guest = linux_guests::archive(images, &folder, "guest", &FRONTENDS, GUEST, guest);
    let mut files = Initramfs::default();
    files.bytes("bench/ramdisk", guest);
    let config = |scripts: [(&str, &str); 2]| {
        scripts
            .iter()
            .fold(sides::config(DEVICES), |config, (word, path)| config.replace(word, path))
    };
    match side {
        Side::Ours => {
            files.bytes("bench/web.cfg", config(OURS));
            files.bytes("etc/xen/xend-config.sxp", NETWORKS);
        }
        Side::Xens => {
            files.bytes("bench/web.cfg", config(XENS));
            files.file("bench/block", &folder.script("block", BLOCK), true);
            files.file("bench/vif", &folder.script("vif", VIF), true);
            for (number, path) in linux_guests::modules_of_kernel(&BACKENDS).iter().enumerate() {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                files.file(&format!("modules/5{number}-{name}"), path, false);
            }
        }
    }
    let job = Job { files, script: SCRIPT.to_owned(), arguments: Vec::new() };
    said::probes(&sides::run(images, &folder, side, job)?)
}
