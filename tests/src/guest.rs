//! The guest that tests start: the appliance's own kernel, and a RAM disk with busybox in it whose
//! `init` does what a distribution's does when it is asked to power off or reboot.

use crate::images::{self, Images};
use crate::workbench::Folder;
use mkimage::stage::initramfs::Initramfs;
use mkimage::stage::kernel::Kernel;
use std::path::PathBuf;

/// Modules that the guest loads: disks and networks of the hypervisor.
const MODULES: [&str; 2] = ["xen_blkfront", "xen_netfront"];

/// What the guest's shell says when it waits for a command.
pub const PROMPT: &str = "guest# ";

/// First process: the kernel's requests to power off and reboot arrive as signals of `poweroff`
/// and `reboot`.
const INITTAB: &str = "\
::sysinit:/etc/rc
hvc0::respawn:/etc/console
::ctrlaltdel:/sbin/reboot
";

const RC: &str = "#!/bin/sh
/bin/busybox mkdir -p /proc /sys /dev /tmp /run
/bin/busybox mount -t proc none /proc
/bin/busybox mount -t sysfs none /sys
/bin/busybox mount -t devtmpfs none /dev
/bin/busybox --install -s
for module in xen_blkfront xen_netfront; do modprobe $module; done
";

const CONSOLE: &str = "#!/bin/sh
export PATH=/bin:/sbin:/usr/bin:/usr/sbin PS1='guest# '
exec sh
";

/// Writes the guest's RAM disk for the appliance's kernel.
pub fn ramdisk(images: &Images, folder: &Folder) -> PathBuf {
    ramdisk_for(images, &images::kernel(), folder, "ramdisk")
}

/// Writes the guest's RAM disk for a kernel, under a name of its own.
pub fn ramdisk_for(images: &Images, kernel: &Kernel, folder: &Folder, name: &str) -> PathBuf {
    let busybox = images.tools.file("usr/bin/busybox").unwrap_or_else(|error| panic!("{error}"));
    let modules = &kernel.modules;
    let selected = modules.select(&MODULES.map(str::to_owned));
    let selected = selected.unwrap_or_else(|error| panic!("{error}"));
    let mut ramdisk = Initramfs::default();
    ramdisk.modules("lib", modules, &selected);
    ramdisk.file("bin/busybox", &busybox, true);
    ramdisk.folder("sbin");
    ramdisk.folder("usr/bin");
    ramdisk.folder("usr/sbin");
    ramdisk.device("dev/console", 5, 1);
    for (link, target) in [("init", "bin/busybox"), ("bin/sh", "busybox")] {
        ramdisk.link(link, target);
    }
    for (name, text) in [("rc", RC), ("console", CONSOLE)] {
        ramdisk.file(&format!("etc/{name}"), &folder.script(&format!("guest-{name}"), text), true);
    }
    ramdisk.bytes("etc/inittab", INITTAB);
    let archive = ramdisk.archive(0).unwrap_or_else(|error| panic!("{error}"));
    let path = folder.file(name);
    std::fs::write(&path, archive).expect("the guest's RAM disk");
    path
}
