//! Debian's Xen 4.20, which ours is set beside: its hypervisor, and a control domain that runs
//! its programs (`xl`, `xenstored`, `xenconsoled`) as they are packaged. See `recipes/xen.toml`.

use crate::linux_guests::modules_of_kernel;
use crate::workbench::Folder;
use crate::{images, turns};
use mkimage::qemu::{Boot, Machine};
use mkimage::stage::initramfs::Initramfs;
use mkimage::tools::Tools;
use std::io::Read;
use std::path::PathBuf;
use std::sync::OnceLock;

/// What every command line of Xen has: a control domain in a PVH container, on the serial
/// console. Xen switches FPU registers lazily on AMD's CPUs; under QEMU's emulation programs lose
/// the contents of theirs by that.
const COMMAND_LINE: &str = "console=com1 com1=115200,8n1 dom0=pvh spec-ctrl=eager-fpu";
/// Parts of the packages that the control domain doesn't need.
const UNUSED: [&str; 7] = [
    "boot",
    "usr/include",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/xen-4.20/boot",
    "usr/lib/xen-4.20/lib",
    "usr/share",
];
/// Modules of the control domain's kernel.
const MODULES: [&str; 4] = ["xen-evtchn", "xen-gntdev", "xen-privcmd", "xenfs"];

/// What the control domain does first.
const PRELUDE: &str = "#!/usr/bin/busybox sh
/usr/bin/busybox mount -t proc none /proc
/usr/bin/busybox mount -t sysfs none /sys
/usr/bin/busybox mount -t devtmpfs none /dev
/usr/bin/busybox --install -s /usr/bin
export PATH=/usr/sbin:/usr/bin
mkdir -p /dev/pts /run/xenstored /run/xen /run/lock /var/log/xen /var/lib/xen
mount -t devpts none /dev/pts
for module in /modules/*; do insmod $module; done
mount -t xenfs none /proc/xen
";

/// Starts Xen's daemons as its init script does.
pub const DAEMONS: &str = "
xenstored --pid-file=/run/xenstored.pid
until xenstore-exists /; do usleep 100000; done
/usr/lib/xen-4.20/bin/xen-init-dom0
xenconsoled --pid-file=/run/xenconsoled.pid
";

/// The unpacked packages.
#[derive(Debug)]
pub struct Xen {
    tools: Tools,
}

/// Xen, fetched when it is first asked for.
pub fn xen() -> &'static Xen {
    static XEN: OnceLock<Xen> = OnceLock::new();
    XEN.get_or_init(|| {
        turns::say("preparing Xen's packages");
        let tools = images::project().tools_of("xen");
        Xen { tools: tools.unwrap_or_else(|error| panic!("Xen can't be prepared: {error}")) }
    })
}

impl Xen {
    /// The hypervisor with modules, the control domain's kernel first, as QEMU itself loads them.
    pub fn boot(&self, folder: &Folder, append: &str, modules: Vec<(PathBuf, String)>) -> Boot {
        let packed = self.tools.file("boot/xen-4.20-amd64.gz");
        let packed = std::fs::read(packed.unwrap_or_else(|error| panic!("{error}")));
        let mut unpacked = Vec::new();
        let mut decoder = flate2::read::GzDecoder::new(packed.as_deref().expect("Xen's file"));
        decoder.read_to_end(&mut unpacked).expect("Xen's file");
        let kernel = folder.file("xen");
        std::fs::write(&kernel, unpacked).expect("the unpacked hypervisor");
        Boot::Kernel { kernel, append: format!("{COMMAND_LINE} {append}"), modules }
    }

    /// Writes the initramfs of a control domain with Xen's programs, a script to run as PID 1, and
    /// more files.
    pub fn control_domain(&self, folder: &Folder, script: &str, mut files: Initramfs) -> PathBuf {
        let wanted = |path: &str| !UNUSED.contains(&path);
        let laid = files.overlay_where(self.tools.root(), &wanted);
        laid.unwrap_or_else(|error| panic!("{error}"));
        for name in ["proc", "sys", "run", "tmp"] {
            files.folder(name);
        }
        files.link("var/run", "/run");
        files.link("var/lock", "/run/lock");
        files.device("dev/console", 5, 1);
        for (number, path) in modules_of_kernel(&MODULES).iter().enumerate() {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            files.file(&format!("modules/{number:02}-{name}"), path, false);
        }
        let init = format!("{PRELUDE}{script}\npoweroff -f\n");
        files.file("init", &folder.script("xen-init", &init), true);
        let archive = files.archive(0).unwrap_or_else(|error| panic!("{error}"));
        let path = folder.file("xen-initramfs");
        std::fs::write(&path, archive).expect("the initramfs");
        path
    }
}

/// What Xen needs of a machine: an IOMMU for its control domain, no RDTSCP, which QEMU's
/// emulation intercepts under a wrong name, and one thread, because Xen has nothing against the
/// races between several.
pub fn machine(machine: Machine) -> Machine {
    machine
        .accel("tcg,thread=single")
        .cpu("max,-rdtscp")
        .args(["-device", "intel-iommu,intremap=on"])
}
