//! The data partition: found on our own disk by its label, grown to its disk's end, given a file system when it
//! is empty, mounted at `/data`.
//!
//! The decisions ([`choose`], [`table`], [`contents`]) are made from bytes and tables, and tested
//! so; this module reads the disks and carries them out. The rule above all others: a partition
//! that holds anything is never formatted.

mod choose;
mod contents;
mod disks;
mod ext4;
pub mod table;

use std::fs::{File, OpenOptions};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::mount::MountFlags;

use crate::init::Host;
use crate::init::mounts::mount_at;
use choose::{Candidate, Choice, Wish};
use contents::Contents;

/// Where it is mounted.
pub const MOUNT_POINT: &str = "/data";
/// The label of the file system on it.
const LABEL: &str = "xenolith-data";

/// How long a disk may take to appear when the machine was booted from one.
const PATIENCE_WITH_BOOT_DISK: Duration = Duration::from_secs(15);
/// How long USB disks may take, when the machine may have none.
const PATIENCE_WITH_USB: Duration = Duration::from_secs(3);

/// Whether there is a data partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Not yet: state lives in memory and is lost at shutdown. The last problem with it, if
    /// there was one.
    NotMounted(Option<String>),
    /// This device is mounted at [`MOUNT_POINT`].
    Mounted(PathBuf),
}

/// Finds the data partition and mounts it, waiting for slow disks.
///
/// # Errors
/// When there is one that can't be used, or more than one, or none although the machine was
/// booted from a disk.
pub fn find_and_mount(host: &mut Host) -> anyhow::Result<String> {
    let wish = Wish::from_command_line(&host.command_line);
    let begin = Instant::now();
    let patience = if wish.booted_from_disk {
        PATIENCE_WITH_BOOT_DISK
    } else if std::fs::read_dir("/sys/bus/usb/devices").is_ok_and(|d| d.count() > 0) {
        PATIENCE_WITH_USB
    } else {
        Duration::ZERO
    };
    loop {
        match choose::choose(&disks::all(), &wish) {
            Choice::Use(candidate) => {
                let summary = mount_data(&candidate).inspect_err(|error| {
                    host.data = Data::NotMounted(Some(format!("{error:#}")));
                })?;
                host.data = Data::Mounted(candidate.partition_device());
                return Ok(summary);
            }
            Choice::Ambiguous(why) => bail!(why),
            Choice::None if begin.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(100));
            }
            Choice::None if wish.booted_from_disk => bail!(
                "the disk that this machine was booted from has no partition labelled `data` \
                 (waited {} s for one): state is kept in memory and lost at shutdown. Write the \
                 image to the disk again, or name a partition with xenolith.data=PARTUUID on the \
                 kernel's command line",
                patience.as_secs()
            ),
            Choice::None => {
                return Ok("no disk has one: state is kept in memory".to_owned());
            }
        }
    }
}

/// A disk came: tries again, if there is no data partition yet.
pub fn retry(host: &mut Host) {
    let Data::NotMounted(before) = &host.data else { return };
    let wish = Wish::from_command_line(&host.command_line);
    let Choice::Use(candidate) = choose::choose(&disks::all(), &wish) else { return };
    match mount_data(&candidate) {
        Ok(summary) => {
            log::info!("data partition: {summary}");
            host.data = Data::Mounted(candidate.partition_device());
        }
        Err(error) => {
            let problem = format!("{error:#}");
            // Every disk that comes asks again; the answer is new only once.
            if before.as_ref() != Some(&problem) {
                log::error!("data partition: {problem}");
            }
            host.data = Data::NotMounted(Some(problem));
        }
    }
}

fn mount_data(candidate: &Candidate) -> anyhow::Result<String> {
    let device = candidate.partition_device();
    let mut done = Vec::new();
    let contents = inspect(candidate)?;
    if let Contents::Other(what) = &contents {
        bail!(
            "{} holds {what}: it is left as it is, and state is kept in memory. If nothing on it \
             is needed, clear the partition's first MiB and boot again",
            device.display()
        );
    }
    if let Some(grown) = grow_partition(candidate)? {
        done.push(grown);
    }
    if contents != Contents::Ext4 {
        format(candidate)?;
        done.push("created its file system".to_owned());
    }
    let path = device.display().to_string();
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC | MountFlags::NOATIME;
    mount_at("ext4", &path, MOUNT_POINT, flags, "errors=remount-ro")?;
    if let Some(grown) = grow_file_system(candidate)? {
        done.push(grown);
    }
    done.insert(0, format!("{path} at {MOUNT_POINT}"));
    Ok(done.join(", "))
}

/// Looks at what the partition holds, in the size that it has had so far.
fn inspect(candidate: &Candidate) -> anyhow::Result<Contents> {
    let device = candidate.partition_device();
    let name = || device.display().to_string();
    let mut file = File::open(&device).with_context(name)?;
    contents::inspect(&mut file, candidate.bytes()).with_context(name)
}

/// Grows the partition to its disk's end, if it is the last one there.
fn grow_partition(candidate: &Candidate) -> anyhow::Result<Option<String>> {
    let device = candidate.disk_device();
    let name = || format!("can't grow partition {} of {}", candidate.number, device.display());
    let Some(growth) = candidate.growth else { return Ok(None) };
    let file = OpenOptions::new().read(true).write(true).open(&device).with_context(name)?;
    let file = table::grow(file, candidate.sector_size, candidate.number).with_context(name)?;
    let bytes = growth.sectors * candidate.sector_size.as_u64();
    let first_byte = growth.first_sector * candidate.sector_size.as_u64();
    xenctl::linux::resize_partition(&file, candidate.number, first_byte, bytes)
        .with_context(name)?;
    Ok(Some(format!("grown to {}", size(bytes))))
}

fn format(candidate: &Candidate) -> anyhow::Result<()> {
    let device = candidate.partition_device();
    let name = || format!("can't create a file system on {}", device.display());
    let bytes = disks::size_of(&candidate.partition).with_context(name)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Realtime).tv_sec;
    let identity = ext4::Identity {
        uuid: random_uuid().with_context(name)?,
        label: LABEL,
        created: u32::try_from(now).unwrap_or(0),
    };
    let mut file = OpenOptions::new().read(true).write(true).open(&device).with_context(name)?;
    ext4::format(&mut file, bytes, &identity).with_context(name)
}

fn random_uuid() -> std::io::Result<uuid::Uuid> {
    let mut bytes = [0; 16];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(uuid::Builder::from_random_bytes(bytes).into_uuid())
}

/// Grows the mounted file system to its partition's size.
fn grow_file_system(candidate: &Candidate) -> anyhow::Result<Option<String>> {
    let device = candidate.partition_device();
    let name = || format!("can't grow the file system on {}", device.display());
    let partition = disks::size_of(&candidate.partition).with_context(name)?;
    let mut file = File::open(&device).with_context(name)?;
    let Some(blocks) = ext4::blocks_to_grow_to(&mut file, partition).with_context(name)? else {
        return Ok(None);
    };
    let root = File::open(MOUNT_POINT).with_context(name)?;
    xenctl::linux::resize_ext4(&root, blocks).with_context(name)?;
    Ok(Some(format!("file system grown to {}", size(partition))))
}

/// A size for people.
fn size(bytes: u64) -> String {
    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;
    match bytes {
        b if b >= 10 * GIB => format!("{} GiB", b / GIB),
        b => format!("{} MiB", b / MIB),
    }
}
