//! Disks that are images in QEMU's format: what guests write is there whatever happens to the
//! daemon that serves them, and what can't be served is refused by name. `XENOLITH_TEST_MIB` sets
//! how much is written.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use xenolith_tests::host::{Host, Setup, config};
use xenolith_tests::workbench::Folder;
use xenolith_tests::{pattern, qemu_img};

/// For a copy in a guest, per MiB and at least.
const PATIENCE_PER_MIB: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(120);

/// Where the daemon has a folder for each disk.
const SERVED: &str = "ls /run/xenolith/disks 2>/dev/null";

/// Makes an image in a folder.
fn create(folder: &Folder, name: &str, arguments: &[&str]) -> PathBuf {
    let path = folder.file(name);
    qemu_img::create(&path, arguments);
    path
}

/// Waits until a guest has done what it does in the background.
fn wait_for_guest(host: &mut Host, name: &str, command: &str, patience: Duration) {
    let deadline = Instant::now() + patience;
    while host.guest(name, &format!("{command} && echo yes || echo no")).trim() != "yes" {
        assert!(Instant::now() < deadline, "{name}: this never succeeds: {command}");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// A guest copies a disk to an image, while the daemon is killed again and again, and to a raw
/// file, which the kernel serves, and reads both back.
#[test]
fn what_guests_write_survives_the_daemon() {
    let mebibytes = pattern::mebibytes(64);
    let folder = Folder::new("qcow2-kills-images");
    let source = folder.file("source");
    pattern::write(&source, mebibytes);
    let image = create(&folder, "target.qcow2", &[&format!("{mebibytes}M")]);
    let disks = "vcpus = 2\ndisk = ['tap:qcow2:/data/images/target.qcow2,xvda,w', \
                 'file:/data/images/source,xvdb,r', 'file:/data/images/raw,xvdc,w']";
    let mut host = Setup::new("qcow2-kills")
        .text("config/guests/web.cfg", &config(disks))
        .file("images/source", &source)
        .file("images/target.qcow2", &image)
        .data_mib(192 + 4 * mebibytes)
        .boot();
    host.shell(&format!("truncate -s {mebibytes}M /data/images/raw"));
    host.create("web", "web");
    let patience = PATIENCE + 2 * PATIENCE_PER_MIB * mebibytes;
    host.guest(
        "web",
        "copy() { dd if=/dev/xvdb of=$1 bs=1M oflag=direct conv=fsync 2>/tmp/said; }; \
         (copy /dev/xvda && copy /dev/xvdc; echo $? >/tmp/copied) & true",
    );
    for _ in 0..3 {
        host.kill("guest-disks");
        std::thread::sleep(Duration::from_secs(2));
    }
    wait_for_guest(&mut host, "web", "[ -s /tmp/copied ]", patience);
    assert_eq!(host.guest("web", "cat /tmp/copied").trim(), "0");
    for disk in ["xvda", "xvdb", "xvdc"] {
        let sum = format!(
            "(dd if=/dev/{disk} bs=1M iflag=direct | md5sum >/tmp/{disk}) 2>/tmp/said & true"
        );
        host.guest("web", &sum);
        if disk == "xvda" {
            host.kill("guest-disks");
        }
        wait_for_guest(&mut host, "web", &format!("[ -s /tmp/{disk} ]"), patience);
    }
    host.guest("web", "cmp /tmp/xvda /tmp/xvdb && cmp /tmp/xvdc /tmp/xvdb");
    let log = host.shell("xm log");
    assert!(log.matches("goes on").count() >= 4, "{log}");
    host.xm("shutdown -w web");
    host.wait_for_state("web", None);
    assert_eq!(host.shell(SERVED), "");
    let written = host.end_and_take("images/target.qcow2", &folder.file("written"));
    qemu_img::assert_whole(&written);
    let (written, source) = (written.display().to_string(), source.display().to_string());
    let (status, said) = qemu_img::run(&["compare", "-f", "qcow2", "-F", "raw", &written, &source]);
    assert_eq!(status, 0, "{said}");
}

/// Runs a command in the control domain that must fail and say why.
fn refuses(host: &mut Host, command: &str, words: &str) {
    let (status, said) = host.try_shell(&format!("{command} 2>&1"));
    assert!(status != 0 && said.contains(words), "{command}: {said}");
}

#[test]
fn images_come_and_go_and_are_refused_by_name() {
    let folder = Folder::new("qcow2-names-images");
    let base = folder.file("base.img");
    pattern::write(&base, 4);
    let own = create(&folder, "own.qcow2", &["-b", "base.img", "-F", "raw"]);
    let nosy = create(&folder, "nosy.qcow2", &["-u", "-b", "/etc/hostname", "-F", "raw", "4M"]);
    let vague = create(&folder, "vague.qcow2", &["4M"]);
    let mut setup = Setup::new("qcow2-names")
        .text("config/guests/web.cfg", &config("disk = [',hdc:cdrom,r']"))
        .text("config/guests/other.cfg", &config(""))
        .data_mib(256);
    for path in [&base, &own, &nosy, &vague] {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        setup = setup.file(&format!("images/{name}"), path);
    }
    let mut host = setup.boot();
    host.create("web", "web");
    // A drive without a disc.
    assert_eq!(host.guest("web", "cat /sys/block/xvdc/size /sys/block/xvdc/removable"), "0\n1\n");

    let attach = |file: &str, mode: &str| {
        format!("xm block-attach web tap:qcow2:/data/images/{file} xvdb {mode}")
    };
    refuses(&mut host, &attach("none", "w"), "/data/images/none: can't be opened");
    refuses(&mut host, &attach("base.img", "w"), "base.img: it is no qcow2 image");
    refuses(&mut host, &attach("nosy.qcow2", "w"), "only a file in the same folder may be named");
    // Bits of its header.
    for (place, words) in [(79, "marked as corrupt"), (35, "it is encrypted")] {
        let patch = format!("dd of=/data/images/vague.qcow2 bs=1 seek={place} conv=notrunc");
        host.shell(&format!("printf '\\002' | {patch} 2>/dev/null"));
        refuses(&mut host, &attach("vague.qcow2", "w"), words);
    }

    let there = "[ -b /dev/xvdb ]";
    host.shell(&attach("own.qcow2", "w"));
    wait_for_guest(&mut host, "web", there, PATIENCE);
    refuses(
        &mut host,
        "xm create other disk=tap:qcow2:/data/images/own.qcow2,xvda,r",
        "own.qcow2 is in use by disk 51728 of domain 1",
    );
    refuses(
        &mut host,
        "xm block-attach web format=qcow2,vdev=xvdd,access=rw,target=/data/images/own.qcow2",
        "own.qcow2 is in use by disk 51728 of domain 1",
    );
    let sum = host.shell("md5sum </data/images/base.img");
    assert_eq!(host.guest("web", "md5sum </dev/xvdb"), sum);
    host.guest("web", "dd if=/dev/zero of=/dev/xvdb bs=4k seek=3 count=1 conv=fsync 2>/dev/null");
    host.guest("web", "blkdiscard -o 2097152 -l 1048576 /dev/xvdb || true");
    let changed = host.guest("web", "sync; echo 3 >/proc/sys/vm/drop_caches; md5sum </dev/xvdb");
    assert_ne!(changed, sum);
    host.shell("xm block-detach web xvdb");
    wait_for_guest(&mut host, "web", &format!("! {there}"), PATIENCE);
    assert_eq!(host.shell(SERVED).lines().count(), 1);

    // Read only, and what was written is there.
    host.shell(&attach("own.qcow2", "r"));
    wait_for_guest(&mut host, "web", there, PATIENCE);
    assert_eq!(host.guest("web", "md5sum </dev/xvdb"), changed);
    host.guest("web", "! dd if=/dev/zero of=/dev/xvdb bs=4k count=1 conv=fsync 2>/dev/null");
    host.xm("destroy web");
    host.wait_for_state("web", None);
    assert_eq!(host.shell(SERVED), "");
    assert_eq!(host.shell("md5sum </data/images/base.img"), sum);
    let written = host.end_and_take("images/own.qcow2", &folder.file("own.qcow2"));
    qemu_img::assert_whole(&written);
}

/// GRUB is a 32-bit guest, the kernel that it starts is another frontend of the same disk.
#[test]
fn a_guest_boots_from_a_packed_image() {
    let guest =
        "bootloader = \"pygrub\"\nmemory = 256\ndisk = ['tap:qcow2:/data/own.qcow2,xvda,w']\n";
    let pack = |raw: &Path| {
        let packed = raw.with_extension("packed");
        let places = [raw, &packed].map(|path| path.display().to_string());
        let (status, said) =
            qemu_img::run(&["convert", "-c", "-f", "raw", "-O", "qcow2", &places[0], &places[1]]);
        assert_eq!(status, 0, "{said}");
        std::fs::rename(packed, raw).expect("the packed image in place of the plain one");
    };
    let mut host = Setup::new("qcow2-boot")
        .text("config/guests/own.cfg", guest)
        .guest_disk("own.qcow2")
        .changed("own.qcow2", pack)
        .boot();
    host.create("own", "own");
    let line = host.guest("own", "cat /proc/cmdline");
    assert!(line.contains("from=disk"), "{line}");
    // What is written takes the place of packed clusters.
    let sum = "echo 3 >/proc/sys/vm/drop_caches; head -c 16777216 /dev/xvda | md5sum";
    let before = host.guest("own", sum);
    host.guest(
        "own",
        "dd if=/dev/xvda of=/dev/xvda bs=40k count=200 conv=notrunc,fsync 2>/dev/null",
    );
    host.kill("guest-disks");
    assert_eq!(host.guest("own", sum), before);
    host.xm("shutdown -w own");
    host.wait_for_state("own", None);
    let folder = Folder::new("qcow2-boot-written");
    let written = host.end_and_take("own.qcow2", &folder.file("own.qcow2"));
    qemu_img::assert_whole(&written);
}

/// Guests that are destroyed in the middle of coming or going leave nothing behind.
#[test]
fn nothing_is_left_of_guests_that_end_at_any_moment() {
    let folder = Folder::new("qcow2-ends-images");
    let image = create(&folder, "a.qcow2", &["16M"]);
    let disks = "disk = ['tap:qcow2:/data/images/a.qcow2,xvda,w', 'file:/data/images/b,xvdb,w']";
    let mut host = Setup::new("qcow2-ends")
        .text("config/guests/web.cfg", &config(disks))
        .file("images/a.qcow2", &image)
        .data_mib(256)
        .boot();
    host.shell("dd if=/dev/zero of=/data/images/b bs=1M count=16 2>/dev/null");
    let left = "ls /sys/bus/xen-backend/devices; cat /sys/block/loop*/loop/backing_file 2>/dev/null; \
                ls /run/xenolith/disks 2>/dev/null; ls /run/xenolith/domains; true";
    host.create("web", "web");
    // While it shuts down, at several moments of that.
    for tenths in [0_u32, 3, 6, 10, 15] {
        host.shell("xm shutdown web");
        host.shell(&format!("usleep {}", tenths * 100_000));
        // It may be gone by itself.
        host.try_shell("xm destroy web");
        host.wait_for_state("web", None);
        host.wait_until(&format!("[ -z \"$({left})\" ]"));
        host.create("web", "web");
    }
    host.xm("destroy web");
    host.wait_for_state("web", None);
    // While it boots: frontends are connecting.
    for tenths in [5_u32, 20, 30, 40, 50, 60] {
        host.shell("xm create web >/dev/null");
        host.shell(&format!("usleep {}", tenths * 100_000));
        host.shell("xm destroy web");
        assert_eq!(host.shell(left), "", "after {tenths} tenths of a second");
    }
    host.end();
}
