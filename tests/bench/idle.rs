//! How much memory the control domain's own programs take when nothing is asked of them.

use std::error::Error;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use mkimage::assemble::Medium;
use mkimage::disk::content;
use mkimage::qemu::Machine;
use xenolith_tests::images::Images;
use xenolith_tests::workbench::{self, Folder};

/// For the boot and the pause after it, on a slow host.
const PATIENCE: Duration = Duration::from_secs(300);

/// Starts the appliance's PID 1, and later looks at its processes: a page that several of them
/// share counts for each in part.
const SCRIPT: &str = r#"
cat >/bench/look <<'END'
sleep 20
for process in /proc/[0-9]*; do
    case $(readlink "$process/exe") in
    /init) echo "RESIDENT $(cat "$process/comm") $(sed -n 's/^Pss: *//p' "$process/smaps_rollup")";;
    esac
done
echo "RESIDENT, all"
poweroff -f
END
setsid sh /bench/look </dev/null >/dev/kmsg 2>&1 &
exec /init
"#;

/// The resident KiB of each process of an idle appliance, by its name.
pub fn resident(images: &Images) -> Result<Vec<(String, u64)>, Box<dyn Error>> {
    let folder = Folder::new("idle");
    let initramfs = workbench::initramfs(images, &folder, SCRIPT);
    let line = format!("{} printk.devkmsg=on ignore_loglevel", workbench::KERNEL_LINE);
    let modules = vec![(images.file(content::KERNEL), line), (initramfs, String::new())];
    let boot = images.hypervisor("console=com1 dom0_mem=1024M", modules);
    let mut running = Machine::new(&images.tools, boot).cpus(1).start()?;
    running.wait_for("RESIDENT, all", PATIENCE)?;
    let said = running.console();
    let processes: Vec<_> = said.lines().filter_map(process).collect();
    if processes.is_empty() {
        return Err("no process of the appliance was seen".into());
    }
    Ok(processes)
}

/// One process from a line such as `[   46.9] RESIDENT init 832 kB`.
fn process(line: &str) -> Option<(String, u64)> {
    let (_, report) = line.split_once("RESIDENT ")?;
    let mut words = report.split_whitespace();
    Some((words.next()?.to_owned(), words.next()?.parse().ok()?))
}

/// The KiB that the USB image takes where holes take nothing.
pub fn image_kib(images: &Images) -> Result<u64, Box<dyn Error>> {
    Ok(images.medium(Medium::Usb).metadata()?.blocks() / 2)
}
