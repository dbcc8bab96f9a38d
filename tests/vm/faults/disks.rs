//! Disks that are full or vanish, and guests that don't come up: guests see errors, the host is
//! well, and its log says which disk of which guest it was, and what to do.

use mkimage::recipe::Size;
use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::qemu_img;
use xenolith_tests::workbench::Folder;

/// In a guest: writes to a disk past every cache; says whether it could.
const WRITE: &str = "dd if=/dev/urandom bs=64k count=32 oflag=direct conv=fsync of=/dev/";

/// Guests' disks on a data partition that gets full, and on a stick that is pulled.
#[test]
fn disks_fail_and_guests_fail_to_boot() {
    let folder = Folder::new("faults-images");
    let image = folder.file("q.qcow2");
    qemu_img::create(&image, &["32M"]);
    let stick = folder.file("stick");
    std::fs::write(&stick, vec![0; 8 << 20]).expect("a stick");
    let drive = format!("if=none,id=stick,format=raw,file={}", stick.display());
    let disks = "disk = ['file:/data/a.img,xvda,w', 'tap:qcow2:/data/q.qcow2,xvdb,w']";
    let mut host = Setup::new("faults")
        .text("config/guests/web.cfg", &config(disks))
        .text("config/guests/bare.cfg", &config("on_crash = 'restart'\nramdisk = ''"))
        .file("q.qcow2", &image)
        .data_mib(160)
        .memory(Size::mib(2048))
        .args(["-device", "qemu-xhci,id=usb", "-drive", &drive])
        .args(["-device", "usb-storage,bus=usb.0,drive=stick,id=stick"])
        .boot();
    host.shell("truncate -s 32M /data/a.img");
    host.create("web", "web");
    full(&mut host);
    pulled(&mut host);
    deleted(&mut host);
    dies_while_booting(&mut host);
    host.wait_until("[ -z \"$(ls /run/xenolith/domains /run/xenolith/disks | grep -v :)\" ]");
    assert_eq!(host.shell("cat /sys/block/loop*/loop/backing_file 2>/dev/null | wc -l"), "0\n");
    assert!(!host.shell("xm log").contains("internal error"));
    host.end();
}

/// Waits until the log has all of these words in one line.
fn wait_for_log(host: &mut Host, words: &[&str]) {
    let filter: String = words.iter().map(|word| format!(" | grep -Fe \"{word}\"")).collect();
    host.wait_until(&format!("xm log{filter} >/dev/null"));
}

/// What can't be written is told to who writes it, and nothing else suffers.
fn full(host: &mut Host) {
    host.shell("xm new web name=kept");
    let kept = host.shell("md5sum </data/config/managed/kept.json");
    host.shell("dd if=/dev/zero of=/data/fill bs=64k 2>/dev/null; dd if=/dev/zero of=/data/rest bs=1k 2>/dev/null; df /data | grep ' 100% '");
    for (disk, source) in [("xvda", "/data/a.img"), ("xvdb", "/data/q.qcow2")] {
        host.guest("web", &format!("! {WRITE}{disk} 2>/dev/null"));
        wait_for_log(host, &[source, "no room left where it lies", "The guest sees I/O errors"]);
    }
    wait_for_log(host, &["web: disk xvda, /data/a.img"]);
    // More than fits into what the file has of its last block.
    host.guest("web", "seq 2000");
    wait_for_log(host, &["log/guests/web.log", "No space left", "isn't logged until"]);
    for (command, words) in [
        ("xm new web name=kept memory=100", "kept.json can't be written: No space left"),
        ("xm new web name=other", "other.json can't be written: No space left"),
        ("xm dump-core web /data/web.core", "No space left"),
    ] {
        let (status, said) = host.try_shell(&format!("{command} 2>&1"));
        assert!(status != 0 && said.contains(words), "{command}: {said}");
    }
    // Nothing of all that is on the data partition; what was there is.
    assert_eq!(host.shell("md5sum </data/config/managed/kept.json"), kept);
    assert_eq!(
        host.shell("ls /data/config/managed /data/web.core 2>/dev/null | grep -vc :"),
        "1\n"
    );
    // What needs none of it works.
    host.shell("xm mem-set web 176 && xm mem-set web 192");
    host.shell("xm create web name=second disk=[]; xm destroy second");

    host.shell("rm /data/fill /data/rest");
    for disk in ["xvda", "xvdb"] {
        host.guest("web", &format!("{WRITE}{disk} 2>/dev/null"));
    }
    host.guest("web", "echo logged again");
    host.wait_until("grep -q 'logged again' /data/log/guests/web.log");
    host.shell("xm new web name=kept memory=100 && xm delete kept");
}

/// A device goes while a guest uses it.
fn pulled(host: &mut Host) {
    host.wait_until("ls /sys/block/sd?");
    let device = host.shell("ls /sys/block | grep sd").trim().to_owned();
    host.shell(&format!("xm block-attach web phy:{device} xvdc w"));
    let there = "[ -b /dev/xvdc ]";
    host.guest(
        "web",
        &format!("for _ in $(seq 100); do {there} && break; usleep 100000; done; {there}"),
    );
    host.guest("web", &format!("{WRITE}xvdc 2>/dev/null"));
    let monitor = host.vm.running().qmp().and_then(|qmp| qmp.monitor("device_del stick"));
    monitor.expect("the stick is pulled");
    wait_for_log(host, &[&format!("web: disk xvdc, /dev/{device}: {device} is gone"), "--force"]);
    host.guest("web", &format!("! {WRITE}xvdc 2>/dev/null"));
    host.guest("web", &format!("{WRITE}xvda 2>/dev/null"));
    host.shell("xm block-detach --force web xvdc");
    let (status, said) = host.try_shell(&format!("xm block-attach web phy:{device} xvdc w 2>&1"));
    assert!(status != 0 && said.contains("there is no such device"), "{said}");
}

/// An image is deleted while a guest uses it: it is gone once the guest is.
fn deleted(host: &mut Host) {
    host.shell("rm /data/a.img /data/q.qcow2");
    for disk in ["xvda", "xvdb"] {
        host.guest("web", &format!("{WRITE}{disk} 2>/dev/null"));
    }
    // A daemon that is started again can't open it: the guest sees errors, and goes on.
    host.kill("guest-disks");
    wait_for_log(host, &["/data/q.qcow2: can't be opened in the control domain: No such file"]);
    host.guest("web", &format!("! {WRITE}xvdb 2>/dev/null"));
    host.guest("web", &format!("{WRITE}xvda 2>/dev/null"));
    host.xm("destroy web");
    host.wait_for_state("web", None);
    let (status, said) = host.try_shell("xm create web 2>&1");
    assert!(status != 0 && said.contains("/data/a.img: can't be opened"), "{said}");
}

/// A kernel without a RAM disk, one whose RAM disk is a text, and half a kernel.
fn dies_while_booting(host: &mut Host) {
    for (name, ramdisk) in [("bare", ""), ("odd", "/data/config/guests/web.cfg")] {
        host.shell(&format!("xm create bare name={name} ramdisk='{ramdisk}'"));
        host.wait_for_state(name, None);
        let place = format!("/data/log/guests/{name}.log");
        wait_for_log(host, &[&format!("{name} crashed within"), "it isn't started again", &place]);
        host.wait_until(&format!("grep -q 'Kernel panic' {place}"));
    }
    host.shell("xm create bare on_crash=preserve");
    host.wait_for_state("bare", Some("---sc-"));
    host.shell("xm destroy bare");
    host.shell("head -c 5000000 /data/kernel >/data/half");
    let (status, said) = host.try_shell("xm create bare kernel=/data/half 2>&1");
    assert!(status != 0 && said.contains("kernel /data/half"), "{said}");
}
