//! Devices, and which of them must not be written: those that are in use in any way, are part of
//! something larger, or are too small.

use super::Error;
use crate::fs::Context;
use crate::progress::human;
use disk_formats::Input;
use rustix::fs::{FileType, OFlags, Stat, major, minor};
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// Where the kernel tells about devices and their use.
#[derive(Debug, Clone)]
pub struct System {
    /// `/proc`.
    pub proc: PathBuf,
    /// `/sys`.
    pub sys: PathBuf,
}

impl Default for System {
    fn default() -> Self {
        Self { proc: "/proc".into(), sys: "/sys".into() }
    }
}

/// A device or a file that an image can be written to.
#[derive(Debug)]
pub struct Target {
    path: PathBuf,
    size: u64,
    is_device: bool,
    /// For people: model, size, what is on it.
    description: String,
}

impl Target {
    /// Looks at a device, or a file that stands for one.
    ///
    /// # Errors
    /// [`Error::Refused`] when it must not be written.
    pub fn look(path: &Path, system: &System) -> Result<Self, Error> {
        let refused = |reason: String| Error::Refused { device: path.to_owned(), reason };
        let real = path.canonicalize().map_err(|error| {
            refused(format!("{error}; `lsblk` shows the devices that there are"))
        })?;
        let file = File::open(&real).at("open", &real)?;
        let facts = rustix::fs::fstat(&file).map_err(std::io::Error::from).at("look at", &real)?;
        let size = file.length().at("look at", &real)?;
        let is_device = match FileType::from_raw_mode(facts.st_mode) {
            FileType::BlockDevice => true,
            FileType::RegularFile => false,
            _ => return Err(refused("it is neither a block device nor a file".to_owned())),
        };
        let mut description = format!("a file of {}", human(size));
        if is_device {
            let block = Block::new(system, &facts).map_err(&refused)?;
            block.check(system).map_err(&refused)?;
            description = block.describe(size);
        }
        if size == 0 {
            return Err(refused("it has no medium, or is an empty file".to_owned()));
        }
        Ok(Self { path: real, size, is_device, description })
    }

    /// The device.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Its size in bytes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// What it is, for people.
    pub fn description(&self) -> &str {
        &self.description
    }

    /// Whether an image of so many bytes fits.
    ///
    /// # Errors
    /// [`Error::Refused`] when it doesn't.
    pub fn has_room(&self, bytes: u64) -> Result<(), Error> {
        if bytes <= self.size {
            return Ok(());
        }
        let (size, bytes) = (human(self.size), human(bytes));
        let reason = format!("it has {size}, and the image takes {bytes}: use a larger one");
        Err(Error::Refused { device: self.path.clone(), reason })
    }

    /// Opens it for writing; a device exclusively, so that nothing can be mounted from it meanwhile.
    ///
    /// # Errors
    /// When that isn't allowed, or somebody uses it.
    pub fn open_for_writing(&self) -> Result<File, Error> {
        let mut options = File::options();
        options.read(true).write(true);
        if self.is_device {
            options.custom_flags(OFlags::EXCL.bits().cast_signed());
        }
        options.open(&self.path).map_err(|error| {
            let hint = match error.kind() {
                std::io::ErrorKind::PermissionDenied => "; run this as root, or as its owner",
                std::io::ErrorKind::ResourceBusy => "; something uses it: unmount it first",
                _ => "",
            };
            Error::Refused { device: self.path.clone(), reason: format!("{error}{hint}") }
        })
    }
}

/// A block device as the kernel tells of it.
struct Block {
    /// Its folder in sysfs.
    folder: PathBuf,
    /// Its number and those of its partitions, as `8:0`, with their names.
    numbers: Vec<(String, String)>,
}

impl Block {
    fn new(system: &System, facts: &Stat) -> Result<Self, String> {
        let number = format!("{}:{}", major(facts.st_rdev), minor(facts.st_rdev));
        let link = system.sys.join("dev/block").join(&number);
        let folder = link.canonicalize().map_err(|_| {
            format!("nothing is known about block device {number}: there is no {}", link.display())
        })?;
        let name = file_name(&folder);
        if folder.join("partition").exists() {
            let disk = folder.parent().map(file_name).unwrap_or_default();
            return Err(format!("{name} is a partition: give the whole disk, /dev/{disk}"));
        }
        let mut numbers = vec![(number, name)];
        for entry in entries(&folder).into_iter().filter(|entry| entry.join("partition").exists()) {
            numbers.push((text(&entry.join("dev")), file_name(&entry)));
        }
        Ok(Self { folder, numbers })
    }

    fn check(&self, system: &System) -> Result<(), String> {
        if text(&self.folder.join("ro")) == "1" {
            return Err("it can't be written: look for a switch on it".to_owned());
        }
        let mounts =
            std::fs::read_to_string(system.proc.join("self/mountinfo")).unwrap_or_default();
        for line in mounts.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let (Some(number), Some(place)) = (words.get(2), words.get(4)) else { continue };
            // Some file systems (btrfs) have numbers of their own: their source tells.
            let source =
                words.iter().position(|word| *word == "-").and_then(|at| words.get(at + 2));
            let source = source.and_then(|source| source.strip_prefix("/dev/")).unwrap_or_default();
            let ours = self.numbers.iter().find(|(n, name)| n == number || name == source);
            if let Some((_, name)) = ours {
                let system_disk = matches!(*place, "/" | "/usr" | "/boot" | "/boot/efi");
                let why = if system_disk { "this system runs from it" } else { "unmount it first" };
                return Err(format!("{name} is mounted at {place}: {why}"));
            }
        }
        let swaps = std::fs::read_to_string(system.proc.join("swaps")).unwrap_or_default();
        for line in swaps.lines().skip(1) {
            let device = line.split_whitespace().next().unwrap_or_default();
            let device = Path::new(device).canonicalize().unwrap_or_else(|_| device.into());
            if let Some((_, name)) = self.numbers.iter().find(|(_, n)| *n == file_name(&device)) {
                return Err(format!("{name} is swap space: `swapoff /dev/{name}` first"));
            }
        }
        for (_, name) in &self.numbers {
            let folder = if *name == file_name(&self.folder) {
                self.folder.clone()
            } else {
                self.folder.join(name)
            };
            if let Some(holder) = entries(&folder.join("holders")).first() {
                return Err(format!(
                    "{name} is part of {}: take that (RAID, LVM, encryption) apart first",
                    file_name(holder)
                ));
            }
        }
        Ok(())
    }

    /// `SanDisk Ultra, 15.4 GB, removable, 2 partitions`.
    fn describe(&self, size: u64) -> String {
        let device = self.folder.join("device");
        let maker = [text(&device.join("vendor")), text(&device.join("model"))].join(" ");
        let mut parts = vec![maker.trim().to_owned(), human(size)];
        if text(&self.folder.join("removable")) == "1" {
            parts.push("removable".to_owned());
        }
        if self.numbers.len() > 1 {
            parts.push(format!("{} partitions", self.numbers.len() - 1));
        }
        parts.retain(|part| !part.is_empty());
        parts.join(", ")
    }
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    crate::fs::list(folder).unwrap_or_default()
}

fn file_name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::symlink;

    /// A machine with the disk `sdb` (8:16) with partition `sdb1` (8:17).
    fn machine() -> (tempfile::TempDir, System) {
        let folder = tempfile::tempdir().unwrap();
        let system = System { proc: folder.path().join("proc"), sys: folder.path().join("sys") };
        let disk = system.sys.join("block/sdb");
        for path in ["holders", "device", "sdb1/holders"] {
            fs::create_dir_all(disk.join(path)).unwrap();
        }
        fs::create_dir_all(system.proc.join("self")).unwrap();
        fs::create_dir_all(system.sys.join("dev/block")).unwrap();
        symlink(&disk, system.sys.join("dev/block/8:16")).unwrap();
        symlink(disk.join("sdb1"), system.sys.join("dev/block/8:17")).unwrap();
        for (path, content) in [
            ("ro", "0"),
            ("removable", "1"),
            ("device/vendor", "SanDisk "),
            ("device/model", "Ultra"),
            ("sdb1/partition", "1"),
            ("sdb1/dev", "8:17"),
        ] {
            fs::write(disk.join(path), format!("{content}\n")).unwrap();
        }
        fs::write(system.proc.join("self/mountinfo"), "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n")
            .unwrap();
        fs::write(system.proc.join("swaps"), "Filename Type Size Used Priority\n").unwrap();
        (folder, system)
    }

    fn look(system: &System, minor: u32) -> Result<String, String> {
        let file = tempfile::tempfile().unwrap();
        let mut facts = rustix::fs::fstat(&file).unwrap();
        facts.st_rdev = rustix::fs::makedev(8, minor);
        let block = Block::new(system, &facts)?;
        block.check(system)?;
        Ok(block.describe(15_400_000_000))
    }

    #[test]
    fn a_free_stick_is_described() {
        let (_folder, system) = machine();
        let described = look(&system, 16).unwrap();
        assert_eq!(described, "SanDisk Ultra, 15.40 GB, removable, 1 partitions");
    }

    #[test]
    fn what_is_in_use_is_refused() {
        let refused = |change: &dyn Fn(&System), minor: u32, words: &str| {
            let (_folder, system) = machine();
            change(&system);
            let reason = look(&system, minor).unwrap_err();
            assert!(reason.contains(words), "{words}: {reason}");
        };
        let mount = |line: &'static str| {
            move |system: &System| fs::write(system.proc.join("self/mountinfo"), line).unwrap()
        };
        refused(&|_| (), 17, "the whole disk, /dev/sdb");
        refused(&|_| (), 99, "nothing is known");
        refused(&mount("9 1 8:17 / /mnt/x rw - vfat /dev/sdb1 rw\n"), 16, "mounted at /mnt/x");
        refused(&mount("9 1 8:16 / / rw - ext4 /dev/root rw\n"), 16, "runs from it");
        refused(&mount("9 1 0:33 / /b rw shared:1 - btrfs /dev/sdb1 rw\n"), 16, "sdb1 is mounted");
        let swap = |system: &System| {
            fs::write(system.proc.join("swaps"), "Filename\n/dev/sdb1 partition 1 0 -2\n").unwrap();
        };
        refused(&swap, 16, "swapoff /dev/sdb1");
        let holder = |path: &'static str| {
            move |system: &System| {
                fs::create_dir_all(system.sys.join("block/sdb").join(path)).unwrap()
            }
        };
        refused(&holder("sdb1/holders/dm-0"), 16, "sdb1 is part of dm-0");
        refused(&holder("holders/md127"), 16, "sdb is part of md127");
        refused(&|s| fs::write(s.sys.join("block/sdb/ro"), "1\n").unwrap(), 16, "switch");
    }
}
