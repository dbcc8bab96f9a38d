//! Our store against Debian's C xenstored: the same requests, one client, in the same control
//! domain on our hypervisor. Neither runs without a hypervisor.

use std::error::Error;
use std::time::Duration;

use mkimage::artifacts;
use mkimage::disk::content;
use mkimage::qemu::Machine;
use mkimage::recipe::Size;
use mkimage::stage::initramfs::Initramfs;
use xenolith_tests::images::{self, Images};
use xenolith_tests::workbench::Folder;
use xenolith_tests::xen::xen;

use crate::machine::{Bench, counting, probe};
use crate::said::{self, Probes};
use crate::{line, ratio};

/// For all requests, on a slow host.
const PATIENCE: Duration = Duration::from_secs(600);

/// Who answers.
#[derive(Clone, Copy, Debug)]
enum Daemon {
    /// The one of this project.
    Ours,
    /// The one of Debian's Xen.
    Xens,
}

/// Measures and prints.
pub fn print(bench: &Bench) -> Result<(), Box<dyn Error>> {
    eprintln!("counting instructions of requests to the store");
    let ours = count(bench.images(), Daemon::Ours)?;
    let xens = count(bench.images(), Daemon::Xens)?;
    println!(
        "Requests to the store, 100 guests, in instructions; in units of Debian's C xenstored:"
    );
    for (name, count) in ours.iter() {
        let other = xens.get(name)?;
        line(name, format!("{count} of {other}"), &ratio(count.0 as f64, other.0 as f64));
    }
    Ok(())
}

/// Instructions by kind of request.
fn count(images: &Images, daemon: Daemon) -> Result<Probes, Box<dyn Error>> {
    let project = images::project();
    let folder = Folder::new(&format!("store-{daemon:?}"));
    let mut files = Initramfs::default();
    files.file("probe", &probe(&project)?, true);
    files.file("ours", &artifacts::dom0_init(&project)?, true);
    let start = match daemon {
        Daemon::Ours => "/ours service xenstored </dev/null >/dev/kmsg 2>&1 &",
        Daemon::Xens => "xenstored",
    };
    let script = format!(
        "{start}
        until xenstore-exists /; do usleep 100000; done
        exec >/dev/hvc0 2>&1
        sleep 3
        /probe store
        echo 'PROBE, all'"
    );
    let initramfs = xen().control_domain(&folder, &script, files);
    let kernel = (images.file(content::KERNEL), "console=hvc0 quiet".to_owned());
    let boot =
        images.hypervisor("console=com1 dom0_mem=512M", vec![kernel, (initramfs, String::new())]);
    let machine = Machine::new(&images.tools, boot).cpus(1).memory(Size::mib(1024)).nic(None);
    let mut running = counting(machine).start()?;
    running.wait_for("PROBE, all", PATIENCE)?;
    said::probes(&running.console())
}
