//! The same control domain's job on both sides: on our hypervisor with `xm`, and on Debian's Xen
//! 4.20 with `xl`, `xenstored` and `xenconsoled`, in machines that count.

use std::error::Error;
use std::time::Duration;

use mkimage::disk::content;
use mkimage::qemu::{Boot, Machine};
use mkimage::recipe::Size;
use mkimage::stage::initramfs::Initramfs;
use xenolith_tests::images::{self, Images};
use xenolith_tests::workbench::{self, Folder};
use xenolith_tests::xen::{self, xen};

use crate::machine::{counting, probe};

/// For all that a machine does, on a slow host.
const PATIENCE: Duration = Duration::from_secs(900);
/// What a job's script says at its end.
const DONE: &str = "PROBE, all";

/// The guest: the kernel of the appliance on one vCPU. Its UUID is given, because machines that count
/// have no random numbers for minutes.
const GUEST: &str = r#"
type = "pvh"
name = "web"
uuid = "5f0b1c5e-7d8e-4f6a-9c1d-2b3a4c5d6e7f"
kernel = "/bench/kernel"
ramdisk = "/bench/ramdisk"
vcpus = 1
extra = "console=hvc0 quiet"
"#;

/// Which hypervisor, toolstack and store.
#[derive(Clone, Copy, Debug)]
pub enum Side {
    /// Ours.
    Ours,
    /// Debian's.
    Xens,
}

/// What a control domain does.
#[derive(Debug)]
pub struct Job {
    /// Files that it finds, beside its kernel and the probe in `/bench`.
    pub files: Initramfs,
    /// Its shell script, in which `TOOL` stands for `xm` or `xl`.
    pub script: String,
    /// For QEMU.
    pub arguments: Vec<String>,
}

/// A guest's config, with more lines at its end.
pub fn config(more: &str) -> String {
    format!("{GUEST}{more}")
}

/// Does a job; what its control domain said meanwhile.
pub fn run(
    images: &Images,
    folder: &Folder,
    side: Side,
    job: Job,
) -> Result<String, Box<dyn Error>> {
    let Job { mut files, script, arguments } = job;
    files.file("bench/probe", &probe(&images::project())?, true);
    files.file("bench/kernel", &images.file(content::KERNEL), false);
    let script = format!("{script}\necho '{DONE}'\n");
    let boot = match side {
        Side::Ours => ours(images, folder, files, &script.replace("TOOL", "xm")),
        Side::Xens => xens(images, folder, files, &script.replace("TOOL", "xl")),
    };
    let machine = Machine::new(&images.tools, boot).memory(Size::mib(1536)).cpus(1).nic(None);
    let machine = match side {
        Side::Ours => machine,
        Side::Xens => xen::machine(machine),
    };
    let mut running = counting(machine).args(arguments).start()?;
    running.wait_for(DONE, PATIENCE)?;
    Ok(running.console())
}

fn ours(images: &Images, folder: &Folder, mut files: Initramfs, script: &str) -> Boot {
    let script = format!(
        "#!/bench/busybox sh
/bench/busybox --install -s /bench
export PATH=/bench:/usr/bin:/sbin
until xm list >/dev/null 2>&1; do usleep 200000; done
exec >/dev/hvc0 2>&1
{script}"
    );
    let init = "#!/bench/busybox sh\n/bench/busybox sh /bench/script &\nexec /init\n";
    let busybox = images.tools.file("usr/bin/busybox");
    files.file("bench/busybox", &busybox.unwrap_or_else(|error| panic!("{error}")), true);
    files.device("dev/null", 1, 3);
    files.file("bench/init", &folder.script("init", init), true);
    files.bytes("bench/script", script);
    let initramfs = workbench::beside(images, folder, &files);
    let line = "console=hvc0 quiet rdinit=/bench/init".to_owned();
    let modules = vec![(images.file(content::KERNEL), line), (initramfs, String::new())];
    images.hypervisor("console=com1 dom0_mem=640M", modules)
}

fn xens(images: &Images, folder: &Folder, files: Initramfs, script: &str) -> Boot {
    let script = format!("{}exec >/dev/hvc0 2>&1\n{script}", xen::DAEMONS);
    let initramfs = xen().control_domain(folder, &script, files);
    let kernel = (images.file(content::KERNEL), "console=hvc0 quiet".to_owned());
    xen().boot(folder, "dom0_mem=640M", vec![kernel, (initramfs, String::new())])
}
