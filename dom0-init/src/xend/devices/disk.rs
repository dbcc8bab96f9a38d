//! Disks: block devices, and files through loop devices, served by the kernel's own backend.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use rustix::fs::{major, minor};
use toolstack::config::disk::{Disk, Source};
use xenctl::loopback::LoopDevice;
use xenstore::client::Client;

use super::{Device, Nodes, PATIENCE, PAUSE};

/// A disk on its way to a guest. What is open here must stay so until the kernel has opened it.
pub struct Attached {
    /// The two ends.
    pub device: Device,
    _held: Option<LoopDevice>,
}

impl Attached {
    /// Waits until the kernel has opened the source, which it does some time after it has taken
    /// notice of the disk; it shows that by the file `physical_device`.
    ///
    /// # Errors
    /// When it doesn't: `xm log -k` may say why.
    pub fn wait_until_opened(&self, store: &mut Client) -> anyhow::Result<()> {
        self.device.wait_until_served(store)?;
        let Device { domain, kind, number } = self.device;
        let shown =
            format!("/sys/bus/xen-backend/devices/{kind}-{domain}-{number}/physical_device");
        let deadline = Instant::now() + PATIENCE;
        while !Path::new(&shown).exists() {
            ensure!(
                Instant::now() < deadline,
                "the kernel doesn't open it within {PATIENCE:?}: `xm log -k` may say why"
            );
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// Makes a disk appear to a guest.
///
/// # Errors
/// What is wrong with its source.
pub fn add(store: &mut Client, domain: u16, disk: &Disk) -> anyhow::Result<Attached> {
    let device = Device { domain, kind: "vbd", number: disk.device.number };
    let (physical, path, held) = open(disk)?;
    let kind = if disk.cdrom { "cdrom" } else { "disk" };
    let mode = if disk.writable { "w" } else { "r" };
    let front: Nodes =
        vec![("virtual-device", disk.device.number.to_string()), ("device-type", kind.to_owned())];
    let back: Nodes = vec![
        ("online", "1".to_owned()),
        ("bootable", "1".to_owned()),
        ("removable", u8::from(disk.cdrom).to_string()),
        ("dev", disk.device.name.clone()),
        ("type", "phy".to_owned()),
        ("mode", mode.to_owned()),
        ("device-type", kind.to_owned()),
        ("params", path),
        ("physical-device", physical),
        ("hotplug-status", "connected".to_owned()),
    ];
    device.add(store, front, back)?;
    Ok(Attached { device, _held: held })
}

/// The block device behind a disk: its number as the backend takes it, and the source's path.
fn open(disk: &Disk) -> anyhow::Result<(String, String, Option<LoopDevice>)> {
    match &disk.source {
        Source::Block(path) => Ok((block_device(path)?, path.clone(), None)),
        Source::File(path) => {
            let file = open_file(path, disk.writable)?;
            if file.metadata()?.file_type().is_block_device() {
                return Ok((block_device(path)?, path.clone(), None));
            }
            let held = LoopDevice::of_file(&file, disk.writable)
                .with_context(|| format!("{path}: can't be made a disk"))?;
            let number = number(held.device().metadata()?.rdev());
            Ok((number, path.clone(), Some(held)))
        }
        Source::Qcow2(path) => bail!(
            "{path}: qcow2 files aren't served yet: convert it to a raw one and use file:{path}"
        ),
        Source::Empty => bail!("an empty CD drive isn't served yet: take it out of the config"),
    }
}

fn open_file(path: &str, writable: bool) -> anyhow::Result<File> {
    let file = OpenOptions::new()
        .read(true)
        .write(writable)
        .open(path)
        .with_context(|| format!("{path}: can't be opened in the control domain"))?;
    ensure!(!file.metadata()?.is_dir(), "{path} is a folder, not a disk's image");
    Ok(file)
}

fn block_device(path: &str) -> anyhow::Result<String> {
    let facts = std::fs::metadata(Path::new(path))
        .with_context(|| format!("{path}: there is no such device in the control domain"))?;
    ensure!(
        facts.file_type().is_block_device(),
        "{path} is no block device: for a file write file:{path}"
    );
    Ok(number(facts.rdev()))
}

/// Major and minor number, in hexadecimal.
fn number(device: u64) -> String {
    format!("{:x}:{:x}", major(device), minor(device))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> Disk {
        Disk::parse(text).unwrap()
    }

    fn problem(text: &str) -> String {
        format!("{:#}", open(&disk(text)).map(|(number, ..)| number).unwrap_err())
    }

    #[test]
    fn sources_that_are_none_are_named() {
        assert!(
            problem("phy:nonexistent,xvda,w").starts_with("/dev/nonexistent: there is no such")
        );
        assert!(problem("phy:/dev/null,xvda,w").contains("/dev/null is no block device"));
        assert!(problem("file:/tmp,xvda,r").contains("is a folder"));
        assert!(problem("file:/nonexistent,xvda,w").contains("can't be opened"));
        assert!(problem("tap:qcow2:/a,xvda,w").contains("convert it"));
    }

    #[test]
    fn numbers_are_hexadecimal() {
        assert_eq!(number(rustix::fs::makedev(254, 17)), "fe:11");
    }
}
