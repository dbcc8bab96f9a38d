//! Debian's kernels start as guests, with one vCPU and with four, with disk and network; what they
//! send is limited by `rate=`.
//! `XENOLITH_TEST_KERNELS=all` adds those of Debian 12 and 13 that carry every driver.

use mkimage::recipe::Size;
use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::workbench::Folder;
use xenolith_tests::{guest, images, turns};

/// A recipe, and the beginning of its kernel's version.
type Given = (&'static str, &'static str);
const USUAL: [Given; 2] = [("kernel-12-cloud", "6.1."), ("kernel-13-cloud", "6.12.")];
const MORE: [Given; 2] = [("kernel-12", "6.1."), ("appliance", "6.12.")];
/// What the packages of kernels are called, unlike those that only depend on the newest one.
const PACKAGE: &str = "linux-image-?.*";

#[test]
fn debians_kernels_start_with_disk_and_network() {
    let all = std::env::var("XENOLITH_TEST_KERNELS").is_ok_and(|which| which == "all");
    let more = if all { &MORE[..] } else { &[] };
    let kernels: Vec<Given> = USUAL.iter().chain(more).copied().collect();
    let folder = Folder::new("kernels-files");
    let mut setup = Setup::new("kernels")
        .text("config/xend-config.sxp", "(network-script 'network-bridge bridge=lan netdev=none')")
        .memory(Size::mib(2048))
        .data_mib(400);
    for (recipe, _) in &kernels {
        let kernel = images::kernel_of(recipe, PACKAGE);
        let ramdisk = guest::ramdisk_for(images::appliance(), &kernel, &folder, recipe);
        for vcpus in [1, 4] {
            let name = format!("{recipe}-{vcpus}");
            let lines = format!(
                "kernel = '/data/{recipe}.kernel'\nramdisk = '/data/{recipe}.ramdisk'\n\
                 vcpus = {vcpus}\nvif = ['bridge=lan, rate=10Mb/s']\ndisk = ['file:/data/{name}.img,xvda,w']"
            );
            setup = setup.text(&format!("config/guests/{name}.cfg"), &config(&lines));
        }
        setup = setup.file(&format!("{recipe}.kernel"), &kernel.image);
        setup = setup.file(&format!("{recipe}.ramdisk"), &ramdisk);
    }
    let mut host = setup.boot();
    for (recipe, version) in &kernels {
        both_work(&mut host, recipe, version);
    }
    host.end();
}

/// Starts a kernel twice; the two guests write to their disks, and one fetches from the other.
fn both_work(host: &mut Host, recipe: &str, version: &str) {
    let names = [1, 4].map(|vcpus| (vcpus, format!("{recipe}-{vcpus}")));
    for (_, name) in &names {
        host.shell(&format!("dd if=/dev/urandom of=/data/{name}.img bs=1M count=2 2>/dev/null"));
        host.shell(&format!("xm create {name}"));
    }
    for (vcpus, name) in &names {
        host.wait_for_shell(name);
        assert_eq!(host.guest(name, "nproc"), format!("{vcpus}\n"));
        let release = host.guest(name, "uname -r");
        assert!(release.starts_with(version), "{recipe}: {release}");
        let sum = host.shell(&format!("md5sum </data/{name}.img"));
        assert_eq!(host.guest(name, "md5sum </dev/xvda"), sum);
        host.guest(name, "dd if=/dev/zero of=/dev/xvda bs=64k count=16 conv=fsync 2>/dev/null");
        assert_ne!(host.shell(&format!("md5sum </data/{name}.img")), sum);
        host.guest(name, &format!("ifconfig eth0 10.9.0.{vcpus} netmask 255.255.255.0 up"));
    }
    let [(_, one), (_, four)] = &names;
    host.guest(one, "mkdir /www; head -c 4000000 /dev/urandom >/www/file; httpd -p 80 -h /www");
    let sum = host.guest(one, "md5sum </www/file");
    let arrive =
        "for _ in $(seq 20); do ping -c 1 -W 5 10.9.0.1 >/dev/null && break; sleep 1; done";
    host.guest(four, arrive);
    let clock = "cut -d. -f1,2 </proc/uptime | cut -d' ' -f1 | tr -d .";
    let fetch = format!(
        "began=$({clock}); wget -q -T 20 -O /tmp/file http://10.9.0.1/file; echo $(($({clock}) - began))"
    );
    let hundredths: f64 = host.guest(four, &fetch).trim().parse().expect("a duration");
    assert_eq!(host.guest(four, "md5sum </tmp/file"), sum);
    // Megabits in a second, without the frames' heads. A slow machine has less.
    let rate = 4.0 * 8.0 / (hundredths / 100.0);
    turns::say(&format!("{recipe}: {rate:.2} Mb/s of a card with rate=10Mb/s"));
    assert!(rate < 11.0, "{rate} Mb/s");
    // Each queue would have the whole rate.
    assert_eq!(host.shell("ls -d /sys/class/net/vif*/queues/tx-* | wc -l"), "2\n");
    for (_, name) in &names {
        host.shell(&format!("xm shutdown -w {name}"));
    }
}
