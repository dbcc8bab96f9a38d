//! The images that are here: each a raw disk, and a record of what it is and where it came from.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ::catalogue::content::Watch;
use ::catalogue::hash::Sha256;
use ::catalogue::manifest::Disk;
use ::catalogue::names;
use anyhow::{Context, anyhow, bail, ensure};
use serde::{Deserialize, Serialize};

use super::progress::{Progress, size};
use super::{Places, Unfinished};

/// Partial downloads, below the folder of images.
const PARTIAL: &str = ".partial";

/// What is known of an image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its name.
    pub name: String,
    /// The catalogue that it came from; none of one that was imported.
    pub catalogue: Option<String>,
    /// The release that it came with; 0 of one that was imported.
    pub version: u64,
    /// The disk's content.
    pub disk: Disk,
    /// The file with it, beside this record.
    pub file: String,
    /// What a guest of it needs, in MiB, where that is known.
    #[serde(default)]
    pub memory_mib: Option<u64>,
    /// The vCPUs that it is meant to have, where that is known.
    #[serde(default)]
    pub vcpus: Option<u32>,
}

/// The images of this machine. Nobody else changes them meanwhile.
#[derive(Debug)]
pub struct Library {
    folder: PathBuf,
    _lock: File,
}

impl Library {
    /// Opens the library, waiting for others that change it, and removes what interrupted runs left.
    ///
    /// # Errors
    /// When the folder can't be used.
    pub fn open(places: &Places) -> anyhow::Result<Self> {
        let folder = places.images.clone();
        let name = || folder.display().to_string();
        std::fs::create_dir_all(folder.join(PARTIAL)).with_context(name)?;
        let lock = File::create(folder.join(".lock")).with_context(name)?;
        if lock.try_lock().is_err() {
            eprintln!("waiting for another `xm image` to end");
            lock.lock().with_context(name)?;
        }
        super::sweep(&folder);
        let library = Self { folder, _lock: lock };
        library.sweep_orphans();
        Ok(library)
    }

    /// The images, by name. For this alone nothing is locked.
    pub fn records(places: &Places) -> Vec<Record> {
        let entries = std::fs::read_dir(&places.images).into_iter().flatten().flatten();
        let paths = entries.map(|entry| entry.path());
        let paths = paths.filter(|path| path.extension().is_some_and(|end| end == "json"));
        let mut all: Vec<Record> = paths
            .filter_map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
            .filter(|record: &Record| names::is_image_name(&record.name))
            .collect();
        all.sort_by(|a, b| a.name.cmp(&b.name));
        all
    }

    /// The image of that name.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(places: &Places, name: &str) -> anyhow::Result<Record> {
        let all = Self::records(places);
        let known: Vec<&str> = all.iter().map(|record| record.name.as_str()).collect();
        let known = if known.is_empty() { "none is".to_owned() } else { known.join(", ") };
        all.iter().find(|record| record.name == name).cloned().ok_or_else(|| {
            anyhow!("there is no image {name:?} here ({known}): `xm image pull {name}` fetches it")
        })
    }

    /// Where an image's disk is.
    pub fn disk(places: &Places, record: &Record) -> PathBuf {
        places.images.join(&record.file)
    }

    /// Where the download of a file is kept until it is whole.
    pub fn partial(&self, file: Sha256) -> PathBuf {
        self.folder.join(PARTIAL).join(file.to_string())
    }

    /// A file for a disk that is being brought in.
    ///
    /// # Errors
    /// When it can't be made.
    pub(super) fn unfinished(&self, name: &str, disk: Sha256) -> anyhow::Result<Unfinished> {
        Unfinished::create(&self.folder.join(format!("{name}.{}.img", disk.short())))
    }

    /// Enters an image whose disk is complete, in place of an earlier one of that name.
    ///
    /// # Errors
    /// When it can't be written; the earlier one is there as before then.
    pub(super) fn enter(&self, disk: Unfinished, record: &Record) -> anyhow::Result<()> {
        // Guests have copies: nobody is to write to this.
        let read_only = std::fs::Permissions::from_mode(0o444);
        disk.file.set_permissions(read_only).with_context(|| disk.path.display().to_string())?;
        disk.finish()?;
        super::replace(&self.record_file(&record.name), &serde_json::to_vec_pretty(record)?)?;
        self.sweep_orphans();
        Ok(())
    }

    /// Removes an image.
    ///
    /// # Errors
    /// When it can't be removed.
    pub fn remove(&self, record: &Record) -> anyhow::Result<()> {
        let path = self.record_file(&record.name);
        std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        self.sweep_orphans();
        Ok(())
    }

    /// Removes partial downloads; returns how many bytes they took.
    ///
    /// # Errors
    /// When one can't be removed.
    pub fn remove_partial(&self) -> anyhow::Result<u64> {
        let folder = self.folder.join(PARTIAL);
        let mut bytes = 0;
        for entry in std::fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let path = entry?.path();
            bytes += path.metadata().map_or(0, |facts| facts.len());
            std::fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
        Ok(bytes)
    }

    fn record_file(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }

    /// Removes disks of this library that no record names: replaced or removed ones.
    fn sweep_orphans(&self) {
        let places = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        let all: Vec<PathBuf> = places.map(|entry| entry.path()).collect();
        let records: Option<Vec<Record>> = all
            .iter()
            .filter(|path| path.extension().is_some_and(|end| end == "json"))
            .map(|path| serde_json::from_slice(&std::fs::read(path).ok()?).ok())
            .collect();
        // With a record that can't be read nobody knows what belongs to it.
        let Some(records) = records else { return };
        for path in all {
            let file = path.file_name().unwrap_or_default().to_string_lossy();
            if is_ours(&file) && !records.iter().any(|record| record.file == file) {
                let _left = std::fs::remove_file(&path);
            }
        }
    }
}

/// Whether a file's name is one that this library gives: `NAME.0123456789abcdef.img`.
fn is_ours(file: &str) -> bool {
    let digest = file.strip_suffix(".img").and_then(|rest| rest.rsplit_once('.'));
    digest.is_some_and(|(_, digest)| {
        digest.len() == 16 && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

/// Reads an image again and compares it with its record.
///
/// # Errors
/// When it isn't what it was.
pub fn verify(places: &Places, record: &Record) -> anyhow::Result<()> {
    let path = Library::disk(places, record);
    let name = || path.display().to_string();
    let mut file = File::open(&path).with_context(name)?;
    let mut watch = Watch::new(record.disk.size, record.disk.sha256);
    let mut progress = Progress::new(&record.name, record.disk.size, 0);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = file.read(&mut buffer).with_context(name)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else { break };
        watch.add(chunk).map_err(|wrong| damaged(record, &wrong))?;
        progress.at(watch.seen());
    }
    watch.finish().map_err(|wrong| damaged(record, &wrong))
}

fn damaged(record: &Record, wrong: &dyn std::fmt::Display) -> anyhow::Error {
    let name = &record.name;
    anyhow!("{name} is damaged: {wrong}; `xm image rm {name}`, and fetch or import it again")
}

/// Makes sure that a file system has room.
///
/// # Errors
/// When it hasn't.
pub fn check_room(folder: &Path, bytes: u64, what: &str) -> anyhow::Result<()> {
    let facts = rustix::fs::statvfs(folder).with_context(|| folder.display().to_string())?;
    let free = facts.f_bavail.saturating_mul(facts.f_frsize);
    if free < bytes {
        bail!(
            "{what} takes {}, and {} has {} left: `xm image rm` makes room",
            size(bytes),
            folder.display(),
            size(free)
        );
    }
    Ok(())
}

/// Makes sure that a folder is on a partition of its own, not in memory.
///
/// # Errors
/// When it isn't.
pub fn check_partition(data: &Path) -> anyhow::Result<()> {
    let device = |path: &Path| std::fs::metadata(path).map(|facts| facts.dev());
    let own = device(data).ok().zip(device(Path::new("/")).ok());
    ensure!(
        own.is_some_and(|(data, root)| data != root),
        "this machine has no data partition, so images would lie in its memory and be lost at \
         shutdown; `xm log` says why there is none"
    );
    Ok(())
}
