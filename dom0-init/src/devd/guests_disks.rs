//! Tells the log whose disk it is when something behind it fails: the kernel, which serves it, names
//! only its own devices. The guest gets the errors in any case.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context;
use rustix::fs::{major, makedev, minor};
use xenstore::client::{Client, Tx};

use super::uevent::Uevent;
use crate::kernel_log::{Record, Records};

/// The kernel's backends, each with what it serves.
const BACKENDS: &str = "/sys/bus/xen-backend/devices";
/// Block devices by their numbers.
const BY_NUMBER: &str = "/sys/dev/block";
/// A disk that goes on failing is told of so often.
const REPEAT: Duration = Duration::from_secs(60);
/// Devices may lie on devices so deep.
const DEEPEST: u32 = 8;

/// A disk of a guest that the kernel serves.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Disk {
    domain: u16,
    number: u32,
    /// The block device behind it.
    device: u64,
}

/// Starts to wait for what the kernel says of devices that fail.
///
/// # Errors
/// When a thread can't be started.
pub fn watch() -> anyhow::Result<()> {
    let wait = || {
        if let Err(error) = follow() {
            log::warn!("errors of guests' disks aren't told any more: {error:#}");
        }
    };
    std::thread::Builder::new()
        .name("disks".into())
        .spawn(wait)
        .context("can't start a thread")
        .map(|_thread| ())
}

fn follow() -> anyhow::Result<()> {
    let mut records = Records::open(true)?;
    // What an earlier daemon told isn't told again.
    records.skip_to_end()?;
    let mut told: HashMap<Disk, Instant> = HashMap::new();
    while let Some(record) = records.next()? {
        let Some((error, device)) = failure(&record) else { continue };
        let uses = |disk: &Disk| lies_on(&by_number(disk.device), &device, DEEPEST);
        for disk in all().into_iter().filter(uses) {
            let now = Instant::now();
            if told.get(&disk).is_none_or(|last| now.duration_since(*last) >= REPEAT) {
                tell(&disk, &reason(&error, &device));
                told.insert(disk, now);
            }
        }
        told.retain(|_, last| last.elapsed() < REPEAT);
    }
    Ok(())
}

/// A block device is gone; guests that use it are named.
pub fn removed(event: &Uevent) {
    let number = |name| event.get(name).and_then(|text| text.parse().ok());
    let (Some(major), Some(minor)) = (number("MAJOR"), number("MINOR")) else { return };
    let device = makedev(major, minor);
    for disk in all().into_iter().filter(|disk| disk.device == device) {
        let name = event.get("DEVNAME").unwrap_or("its device");
        tell(&disk, &format!("{name} is gone; `xm block-detach --force` takes the disk away"));
    }
}

/// What failed, and the block device, if a record of the kernel says so.
fn failure(record: &Record) -> Option<(String, String)> {
    if !record.is_kernels() {
        return None;
    }
    let (error, rest) = record.message.split_once(" error, dev ")?;
    let (device, _where) = rest.split_once(',')?;
    // A driver's prefix may come before it.
    let error = error.rsplit(": ").next().unwrap_or(error);
    Some((error.to_owned(), device.to_owned()))
}

/// The kernel's words as an operator needs them.
fn reason(error: &str, device: &str) -> String {
    match error {
        "critical space allocation" => {
            "there is no room left where it lies; make some, for example with `xm image rm`"
                .to_owned()
        }
        error => format!("{error} error of {device}"),
    }
}

fn tell(disk: &Disk, reason: &str) {
    let Disk { domain, number, .. } = disk;
    let mut store = Client::connect().ok();
    let mut node =
        |path: String| store.as_mut().and_then(|s| s.read(Tx::NONE, &path).ok().flatten());
    let backend = format!("/local/domain/0/backend/vbd/{domain}/{number}");
    let guest = node(format!("/local/domain/{domain}/name"));
    let guest = guest.unwrap_or_else(|| format!("domain {domain}"));
    let name = node(format!("{backend}/dev")).unwrap_or_else(|| number.to_string());
    let source = node(format!("{backend}/params")).unwrap_or_else(|| "it".to_owned());
    log::error!("{guest}: disk {name}, {source}: {reason}. The guest sees I/O errors");
}

/// The disks that the kernel serves.
fn all() -> Vec<Disk> {
    let entries = fs::read_dir(BACKENDS).into_iter().flatten().flatten();
    entries.filter_map(|entry| disk(&entry.path())).collect()
}

fn disk(folder: &Path) -> Option<Disk> {
    let (domain, number) = folder.file_name()?.to_str()?.strip_prefix("vbd-")?.split_once('-')?;
    let device = fs::read_to_string(folder.join("physical_device")).ok()?;
    let (major, minor) = device.trim().split_once(':')?;
    let hexadecimal = |text| u32::from_str_radix(text, 16).ok();
    let device = makedev(hexadecimal(major)?, hexadecimal(minor)?);
    Some(Disk { domain: domain.parse().ok()?, number: number.parse().ok()?, device })
}

fn by_number(device: u64) -> PathBuf {
    Path::new(BY_NUMBER).join(format!("{}:{}", major(device), minor(device)))
}

/// Whether a block device is one of this name, a part of it, or made of it.
fn lies_on(folder: &Path, name: &str, depth: u32) -> bool {
    let Ok(place) = fs::canonicalize(folder) else { return false };
    if place.components().any(|part| part.as_os_str() == name) {
        return true;
    }
    let below = fs::read_dir(place.join("slaves")).into_iter().flatten().flatten();
    depth > 0 && below.into_iter().any(|slave| lies_on(&slave.path(), name, depth - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(facility: u32, message: &str) -> Record {
        Record { microseconds: 0, level: 3, facility, message: message.into() }
    }

    #[test]
    fn what_failed_is_found_in_the_kernels_words() {
        let said =
            "critical space allocation error, dev loop3, sector 8 op 0x1:(WRITE) flags 0x800";
        let (error, device) = failure(&record(0, said)).unwrap();
        assert_eq!(device, "loop3");
        assert!(reason(&error, &device).contains("no room left"));
        let said = "blk_update_request: I/O error, dev sda, sector 0";
        let (error, device) = failure(&record(0, said)).unwrap();
        assert_eq!(reason(&error, &device), "I/O error of sda");
        assert_eq!(failure(&record(3, said)), None, "only the kernel's own words count");
        assert_eq!(failure(&record(0, "an error, device sda")), None);
    }

    #[test]
    fn devices_lie_on_devices() {
        let folder = std::env::temp_dir().join(format!("devices-{}", std::process::id()));
        let part = folder.join("sda/sda1");
        let mapped = folder.join("dm-0");
        fs::create_dir_all(mapped.join("slaves")).unwrap();
        fs::create_dir_all(&part).unwrap();
        std::os::unix::fs::symlink(&part, mapped.join("slaves/sda1")).unwrap();
        for (device, name, lies) in [
            (&part, "sda", true),
            (&part, "sda1", true),
            (&mapped, "sda", true),
            (&part, "sd", false),
        ] {
            assert_eq!(lies_on(device, name, DEEPEST), lies, "{name}");
        }
        assert!(!lies_on(&folder.join("none"), "sda", DEEPEST));
        fs::remove_dir_all(folder).unwrap();
    }
}
