//! Disks: block devices, and files through loop devices, which the kernel's own backend serves;
//! images in QEMU's format and empty drives, which [`crate::guest_disks`] serves.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use rustix::fs::{major, minor};
use toolstack::config::disk::{Disk, Source};
use xenctl::loopback::LoopDevice;
use xenstore::client::{Client, Tx};

use super::{Device, Kind, LEAVE, Nodes, PATIENCE, PAUSE};
use crate::guest_disks;

/// A disk on its way to a guest. What is open here must stay so until the kernel has opened it.
pub struct Attached {
    /// The two ends.
    pub device: Device,
    _held: Option<LoopDevice>,
}

impl Attached {
    /// Waits until the source is open, which the kernel does some time after it has taken notice
    /// of the disk; it shows that by the file `physical_device`.
    ///
    /// # Errors
    /// When it isn't opened: what the daemon says, or `xm log -k` may say why.
    pub fn wait_until_opened(&self, store: &mut Client) -> anyhow::Result<()> {
        self.device.wait_until_served(store)?;
        if self.device.kind == Kind::Qdisk {
            return Ok(());
        }
        let shown = in_kernel(&self.device).join("physical_device");
        let deadline = Instant::now() + PATIENCE;
        while !shown.exists() {
            ensure!(
                Instant::now() < deadline,
                "the kernel doesn't open it within {PATIENCE:?}: `xm log -k` may say why"
            );
            std::thread::sleep(PAUSE);
        }
        Ok(())
    }
}

/// What the store says of a disk's source, and what is held open for it.
struct Opened {
    kind: Kind,
    /// The block device's number as the kernel's backend takes it.
    physical: Option<String>,
    params: String,
    held: Option<LoopDevice>,
}

/// Makes a disk appear to a guest.
///
/// # Errors
/// What is wrong with its source.
pub fn add(store: &mut Client, domain: u16, disk: &Disk) -> anyhow::Result<Attached> {
    let opened = open(disk)?;
    let device = Device { domain, kind: opened.kind, number: disk.device.number };
    let kind = if disk.cdrom { "cdrom" } else { "disk" };
    let mode = if disk.writable { "w" } else { "r" };
    // PVH guests have no emulated drive to see a CD by, but Linux takes them for such as have, and
    // leaves out what is called a CD here. What it is stands in the backend's node `info`.
    let front: Nodes = vec![
        ("virtual-device", disk.device.number.to_string()),
        ("device-type", "disk".to_owned()),
    ];
    let mut back: Nodes = vec![
        ("online", "1".to_owned()),
        ("bootable", "1".to_owned()),
        ("removable", u8::from(disk.cdrom).to_string()),
        ("dev", disk.device.name.clone()),
        ("type", if opened.physical.is_some() { "phy" } else { guest_disks::KIND }.to_owned()),
        ("mode", mode.to_owned()),
        ("device-type", kind.to_owned()),
        ("params", opened.params),
        ("hotplug-status", "connected".to_owned()),
    ];
    back.extend(opened.physical.map(|number| ("physical-device", number)));
    device.add(store, front, back)?;
    Ok(Attached { device, _held: opened.held })
}

/// The disk of a guest with this number, if it has one. The guest's end isn't asked: the guest
/// can write it.
///
/// # Errors
/// As the store has it.
pub fn find(store: &mut Client, domain: u16, number: u32) -> anyhow::Result<Option<Device>> {
    for kind in [Kind::Vbd, Kind::Qdisk] {
        let device = Device { domain, kind, number };
        if device.exists(store)? {
            return Ok(Some(device));
        }
    }
    Ok(None)
}

/// All disks of a guest.
///
/// # Errors
/// As the store has it.
pub fn all(store: &mut Client, domain: u16) -> anyhow::Result<Vec<Device>> {
    let mut all = Vec::new();
    for kind in [Kind::Vbd, Kind::Qdisk] {
        let folder = format!("/local/domain/0/backend/{}/{domain}", kind.backend());
        let numbers = store.list(Tx::NONE, &folder)?;
        let numbers = numbers.iter().filter_map(|number| number.parse().ok());
        all.extend(numbers.map(|number| Device { domain, kind, number }));
    }
    Ok(all)
}

/// Waits until the source of a disk whose nodes are gone is closed, so that it can be used at
/// once, and until the kernel, which shows the daemon's disks as well, has taken notice.
///
/// # Errors
/// As the store has it.
pub fn forget(store: &mut Client, device: &Device) -> anyhow::Result<()> {
    let places = [in_kernel(device), guest_disks::folder(device.domain, device.number)];
    let deadline = Instant::now() + LEAVE;
    while places.iter().any(|place| place.exists()) {
        // A backend in the kernel that connects at this moment makes some of its nodes again,
        // and keeps the disk for them.
        device.remove_rest(store)?;
        if Instant::now() >= deadline {
            log::warn!("{}: it isn't let go of within {LEAVE:?}", device.backend());
            break;
        }
        std::thread::sleep(PAUSE);
    }
    device.remove_rest(store)
}

/// Where the kernel shows a backend, its own or the daemon's, as long as it knows of it.
fn in_kernel(device: &Device) -> PathBuf {
    let Device { domain, kind, number } = device;
    let name = format!("{}-{domain}-{number}", kind.backend());
    Path::new("/sys/bus/xen-backend/devices").join(name)
}

/// Opens what is behind a disk, as far as that isn't up to the daemon.
fn open(disk: &Disk) -> anyhow::Result<Opened> {
    let block = |path: &str| -> anyhow::Result<Opened> {
        let physical = Some(block_device(path)?);
        Ok(Opened { kind: Kind::Vbd, physical, params: path.to_owned(), held: None })
    };
    match &disk.source {
        Source::Block(path) => block(path),
        Source::File(path) => {
            let file = open_file(path, disk.writable)?;
            if file.metadata()?.file_type().is_block_device() {
                return block(path);
            }
            let held = LoopDevice::of_file(&file, disk.writable)
                .with_context(|| format!("{path}: can't be made a disk"))?;
            let physical = Some(number(held.device().metadata()?.rdev()));
            Ok(Opened { kind: Kind::Vbd, physical, params: path.clone(), held: Some(held) })
        }
        Source::Qcow2(path) => {
            Ok(Opened { kind: Kind::Qdisk, physical: None, params: path.clone(), held: None })
        }
        Source::Empty => {
            Ok(Opened { kind: Kind::Qdisk, physical: None, params: String::new(), held: None })
        }
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
        format!("{:#}", open(&disk(text)).map(|opened| opened.params).unwrap_err())
    }

    #[test]
    fn sources_that_are_none_are_named() {
        assert!(
            problem("phy:nonexistent,xvda,w").starts_with("/dev/nonexistent: there is no such")
        );
        assert!(problem("phy:/dev/null,xvda,w").contains("/dev/null is no block device"));
        assert!(problem("file:/tmp,xvda,r").contains("is a folder"));
        assert!(problem("file:/nonexistent,xvda,w").contains("can't be opened"));
    }

    #[test]
    fn the_daemon_opens_what_the_kernel_cannot() {
        for (text, params) in [("tap:qcow2:/a,xvda,w", "/a"), (",hdc:cdrom,r", "")] {
            let opened = open(&disk(text)).unwrap();
            assert_eq!((opened.kind, opened.params.as_str()), (Kind::Qdisk, params));
            assert!(opened.physical.is_none());
        }
    }

    #[test]
    fn numbers_are_hexadecimal() {
        assert_eq!(number(rustix::fs::makedev(254, 17)), "fe:11");
    }
}
