//! A control domain whose PID 1 is a busybox script: for jobs with real devices that take a shell.

use crate::images::Images;
use mkimage::stage::initramfs::Initramfs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// The kernel's command line that starts the script.
pub const KERNEL_LINE: &str = "console=hvc0 quiet rdinit=/bench/init";

/// What every script starts with: file systems, busybox's commands, and functions that wait for
/// devices and say what became of a job.
const PRELUDE: &str = r#"#!/bench/busybox sh
/bench/busybox mkdir -p /proc /sys /dev /tmp
/bench/busybox mount -t proc none /proc
/bench/busybox mount -t sysfs none /sys
/bench/busybox mount -t devtmpfs none /dev
/bench/busybox --install -s /bench
export PATH=/bench

# disk PART-OF-DEVICE-PATH: the block device whose path in the device tree has that part.
disk() {
    for _ in $(seq 300); do
        for block in /sys/block/*; do
            case $(readlink -f "$block") in
            *"$1"*) echo "/dev/${block##*/}"; return;;
            esac
        done
        usleep 100000
    done
    echo "BENCH: there is no disk behind $1" >/dev/console
}

# interface DRIVER: the network interface of that driver.
interface() {
    for interface in /sys/class/net/*; do
        case $(readlink -f "$interface/device/driver") in
        */"$1") echo "${interface##*/}"; return;;
        esac
    done
    echo "BENCH: there is no network card of $1" >/dev/console
}

# job NAME COMMAND...: runs a command and says whether it went well.
job() {
    name=$1
    shift
    if "$@"; then echo "BENCH: $name: done"; else echo "BENCH: $name: FAILED"; fi
}
"#;

/// Files that a machine needs as long as it runs; removed when dropped.
#[derive(Debug)]
pub struct Folder(PathBuf);

impl Folder {
    /// A new folder for temporary files; `name` must be the only one of its kind in the process.
    pub fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("xenolith-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes an executable script into it.
    pub fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.file(name);
        std::fs::write(&path, text).expect("a script");
        set_executable(&path);
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // Best effort: it lies in the folder for temporary files.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Writes the appliance's initramfs with busybox and a script in it.
pub fn initramfs(images: &Images, folder: &Folder, script: &str) -> PathBuf {
    let init = format!("{PRELUDE}{script}\npoweroff -f\n");
    beside_the_appliance(images, folder, &[("init", &init)])
}

/// Writes the appliance's initramfs with busybox and scripts in `/bench`.
pub fn beside_the_appliance(images: &Images, folder: &Folder, scripts: &[(&str, &str)]) -> PathBuf {
    let busybox = images.tools.file("usr/bin/busybox").unwrap_or_else(|error| panic!("{error}"));
    let mut bench = Initramfs::default();
    bench.file("bench/busybox", &busybox, true);
    // What a script starts in the background reads from there.
    bench.device("dev/null", 1, 3);
    for (name, text) in scripts {
        bench.file(&format!("bench/{name}"), &folder.script(name, text), true);
    }
    beside(images, folder, &bench)
}

/// Writes the appliance's initramfs with more files in it.
pub fn beside(images: &Images, folder: &Folder, more: &Initramfs) -> PathBuf {
    let archive = more.archive(0).unwrap_or_else(|error| panic!("{error}"));
    let appliance = images.file(mkimage::disk::content::INITRAMFS);
    let mut whole = std::fs::read(appliance).expect("the appliance's initramfs");
    // The kernel takes several archives one after the other, each at a multiple of four.
    whole.resize(whole.len().next_multiple_of(4), 0);
    whole.extend(archive);
    let path = folder.file("initramfs");
    std::fs::write(&path, whole).expect("the initramfs");
    path
}

fn set_executable(path: &Path) {
    let mode = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(path, mode).expect("the script's mode");
}
