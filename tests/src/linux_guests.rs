//! Linux guests of the appliance: Debian's kernel, with a RAM disk whose only program is busybox
//! running a script. They come in a folder of the control domain's initramfs.

use crate::images::{self, Images};
use crate::workbench::{self, Folder};
use mkimage::disk::content;
use mkimage::stage::initramfs::Initramfs;
use std::path::PathBuf;

/// Where the control domain finds the guests' files.
pub const PLACE: &str = "/guests";

/// What every script starts with: file systems and busybox's commands.
const PRELUDE: &str = r#"#!/busybox sh
/busybox mkdir -p /proc /sys /dev /tmp /bin
/busybox mount -t proc none /proc
/busybox mount -t sysfs none /sys
/busybox mount -t devtmpfs none /dev
/busybox --install -s /bin
export PATH=/bin
for module in /modules/*; do insmod "$module"; done
"#;

/// What guests need besides the kernel, in the order in which it is loaded.
#[derive(Debug)]
pub struct Guests<'a> {
    images: &'a Images,
    files: Initramfs,
}

impl<'a> Guests<'a> {
    /// None yet, but their kernel.
    pub fn new(images: &'a Images) -> Self {
        let mut files = Initramfs::default();
        files.file(&inner("vmlinuz"), &images.file(content::KERNEL), false);
        Self { images, files }
    }

    /// Adds a RAM disk with modules, by their names, and a script that ends with the guest.
    pub fn ramdisk(&mut self, folder: &Folder, name: &str, modules: &[&str], script: &str) {
        let disk = archive(self.images, folder, name, modules, script, Initramfs::default());
        self.files.bytes(&inner(name), disk);
    }

    /// Adds any file of the control domain, by its path.
    pub fn file(&mut self, path: &str, text: &str) {
        self.files.bytes(path.trim_start_matches('/'), text);
    }

    /// Writes the control domain's initramfs: the appliance's, with all this.
    pub fn initramfs(&self, folder: &Folder) -> PathBuf {
        workbench::beside(self.images, folder, &self.files)
    }
}

fn inner(name: &str) -> String {
    format!("{}/{name}", PLACE.trim_start_matches('/'))
}

/// A RAM disk with modules, by their names, a script that ends with the guest, and more files.
pub fn archive(
    images: &Images,
    folder: &Folder,
    name: &str,
    modules: &[&str],
    script: &str,
    mut disk: Initramfs,
) -> Vec<u8> {
    disk.device("dev/console", 5, 1);
    let busybox = images.tools.file("usr/bin/busybox");
    disk.file("busybox", &busybox.unwrap_or_else(|error| panic!("{error}")), true);
    let init = format!("{PRELUDE}{script}\npoweroff -f\n");
    disk.file("init", &folder.script(&format!("{name}.init"), &init), true);
    for (number, path) in modules_of_kernel(modules).iter().enumerate() {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        disk.file(&format!("modules/{number:02}-{file}"), path, false);
    }
    disk.archive(0).unwrap_or_else(|error| panic!("{error}"))
}

/// Modules of the appliance's kernel, by their names.
pub fn modules_of_kernel(names: &[&str]) -> Vec<PathBuf> {
    let modules = &images::kernel().modules;
    let one = |name: &&str| {
        let found = modules.select(&[(*name).to_owned()]);
        let found = found.unwrap_or_else(|error| panic!("the guests' kernel: {error}"));
        let path = found.paths().find(|path| path.contains(&format!("/{name}.ko")));
        modules.file(path.unwrap_or_else(|| panic!("the guests' kernel has no module {name}")))
    };
    names.iter().map(one).collect()
}
