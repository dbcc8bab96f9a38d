//! Guest images: fetched from signed catalogues, kept on the data partition, made into guests.
//!
//! [`catalogue`] asks a catalogue what it has and remembers what was seen; [`download`] fetches a
//! file and goes on where it was interrupted, over [`http`]; [`library`] is the images that are
//! here; [`pull`] brings one from a catalogue into it, [`transfer`] from and to files. [`guest`]
//! makes a guest's disk and config from one, with a small disk of metadata by [`seed`].
//!
//! What is fetched is verified before it is unpacked, and gets its name when it is whole. Whatever
//! is interrupted leaves a partial download, which the next run goes on with, and files with
//! temporary names, which it removes.

pub mod catalogue;
mod download;
pub mod guest;
pub mod http;
pub mod library;
pub mod progress;
pub mod pull;
pub mod seed;
#[cfg(test)]
mod testing;
pub mod transfer;

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;

/// Where things are kept.
#[derive(Debug, Clone)]
pub struct Places {
    /// Images.
    pub images: PathBuf,
    /// Guests' own disks.
    pub disks: PathBuf,
    /// Guests' configs.
    pub configs: PathBuf,
    /// What was seen of catalogues.
    pub seen: PathBuf,
}

impl Places {
    /// Those below the data partition, or a folder that stands for it.
    pub fn below(data: &Path) -> Self {
        Self {
            images: data.join("images"),
            disks: data.join("disks"),
            configs: data.join("config/guests"),
            seen: data.join("state/catalogues"),
        }
    }
}

/// What unfinished files' names begin with.
const UNFINISHED: &str = ".unfinished-";

/// A file that is being made: removed when dropped, unless it was given its name.
struct Unfinished {
    path: PathBuf,
    target: PathBuf,
    file: File,
}

impl Unfinished {
    fn create(target: &Path) -> anyhow::Result<Self> {
        let folder = target.parent().unwrap_or(Path::new("/"));
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.join(format!("{UNFINISHED}{name}"));
        let mut options = File::options();
        options.read(true).write(true).create(true).truncate(true);
        let file = options.open(&path).with_context(|| path.display().to_string())?;
        Ok(Self { path, target: target.to_owned(), file })
    }

    /// Gives the file its name once it is on the disk.
    fn finish(self) -> anyhow::Result<()> {
        let name = || format!("can't write {}", self.target.display());
        self.file.sync_all().with_context(name)?;
        std::fs::rename(&self.path, &self.target).with_context(name)?;
        let folder = self.target.parent().unwrap_or(Path::new("/"));
        File::open(folder).and_then(|folder| folder.sync_all()).with_context(name)
    }
}

impl Drop for Unfinished {
    fn drop(&mut self) {
        // After finishing there is nothing under this name.
        let _gone = std::fs::remove_file(&self.path);
    }
}

/// Replaces a small file at once.
fn replace(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let mut unfinished = Unfinished::create(path)?;
    unfinished.file.write_all(bytes).with_context(|| format!("can't write {}", path.display()))?;
    unfinished.finish()
}

/// Removes what interrupted runs left in a folder.
fn sweep(folder: &Path) {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            // What can't be removed now can be the next time.
            let _left = std::fs::remove_file(entry.path());
        }
    }
}
