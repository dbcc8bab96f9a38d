//! Reads finished images: which files and packages are in them, and where two differ.

use crate::apt::deb822;
use crate::disk::region::Region;
use crate::error::Error;
use crate::fs::{self, Context};
use crate::hash::Sha256;
use ext4_view::{Ext4, Ext4Read};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

/// Where ext4's superblock has its mark, and which.
const MAGIC: (u64, [u8; 2]) = (0x438, [0x53, 0xef]);

/// What a file is, as far as it can differ.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Type and permissions, as stat(2) has them.
    pub mode: u16,
    /// The owner's number.
    pub uid: u32,
    /// The group's number.
    pub gid: u32,
    /// Size in bytes; of a folder, 0.
    pub size: u64,
    /// Time of the last change, in seconds of Unix time.
    pub time: i64,
    /// Digest of what is in it, or of where it leads.
    pub content: Sha256,
}

impl Entry {
    /// What is different in another one, in words.
    pub fn difference(&self, other: &Self) -> Option<String> {
        let mut words = Vec::new();
        if self.mode != other.mode {
            words.push(format!("mode {:o} -> {:o}", self.mode, other.mode));
        }
        if (self.uid, self.gid) != (other.uid, other.gid) {
            let (a, b) =
                (format!("{}:{}", self.uid, self.gid), format!("{}:{}", other.uid, other.gid));
            words.push(format!("owner {a} -> {b}"));
        }
        if self.size != other.size {
            words.push(format!("size {} -> {}", self.size, other.size));
        } else if self.content != other.content {
            words.push("content".to_owned());
        }
        if self.time != other.time {
            words.push(format!("time {} -> {}", self.time, other.time));
        }
        (!words.is_empty()).then(|| words.join(", "))
    }
}

/// An image's system.
pub struct Image {
    system: Ext4,
}

/// A partition, for the file system's reader.
struct Partition(Region<File>);

impl Ext4Read for Partition {
    fn read(
        &mut self,
        start: u64,
        target: &mut [u8],
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync + 'static>> {
        self.0.seek(SeekFrom::Start(start))?;
        Ok(self.0.read_exact(target)?)
    }
}

impl Image {
    /// Opens a raw image of a guest: a disk with partitions, or a bare file system.
    ///
    /// # Errors
    /// When there is no root file system.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Image(format!("{}: {reason}", path.display()));
        let region = root(path)?;
        let system = Ext4::load(Box::new(Partition(region)));
        let system = system.map_err(|error| wrong(format!("its root file system: {error}")))?;
        Ok(Self { system })
    }

    /// All files, by absolute path.
    ///
    /// # Errors
    /// When the file system is damaged.
    pub fn files(&self) -> Result<BTreeMap<String, Entry>, Error> {
        let mut all = BTreeMap::new();
        let mut open = vec!["/".to_owned()];
        while let Some(folder) = open.pop() {
            let wrong = |error: ext4_view::Ext4Error| Error::Image(format!("{folder}: {error}"));
            for found in self.system.read_dir(folder.as_str()).map_err(wrong)? {
                let found = found.map_err(wrong)?;
                let name = found.file_name().display().to_string();
                if name == "." || name == ".." {
                    continue;
                }
                let path = format!("{}/{name}", folder.trim_end_matches('/'));
                let meta = self.system.symlink_metadata(path.as_str()).map_err(wrong)?;
                let content = if meta.is_dir() {
                    open.push(path.clone());
                    Vec::new()
                } else if meta.is_symlink() {
                    let target = self.system.read_link(path.as_str()).map_err(wrong)?;
                    target.display().to_string().into_bytes()
                } else if meta.file_type().is_regular_file() {
                    self.system.read(path.as_str()).map_err(wrong)?
                } else {
                    Vec::new()
                };
                let entry = Entry {
                    mode: meta.mode(),
                    uid: meta.uid(),
                    gid: meta.gid(),
                    size: if meta.is_dir() { 0 } else { meta.len() },
                    time: meta.modified().seconds(),
                    content: Sha256::of(&content),
                };
                all.insert(path, entry);
            }
        }
        Ok(all)
    }

    /// The installed packages' versions, by name and architecture.
    ///
    /// # Errors
    /// When the file system is damaged, or there is no list.
    pub fn packages(&self) -> Result<BTreeMap<String, String>, Error> {
        let list = "/var/lib/dpkg/status";
        let text = self.system.read_to_string(list);
        let text = text.map_err(|error| Error::Image(format!("{list}: {error}")))?;
        let stanzas = deb822::stanzas(&text).filter_map(Result::ok);
        let named = |stanza: deb822::Stanza<'_>| {
            let name = stanza.get("Package")?;
            Some((name.to_owned(), stanza.get("Version")?.to_owned()))
        };
        Ok(stanzas.filter_map(named).collect())
    }
}

/// Where an image's root file system is: in its partition of that name, or everywhere.
fn root(path: &Path) -> Result<Region<File>, Error> {
    let no_guest = |what: &str| {
        Error::Image(format!("{}: it is no guest's raw image: it has no {what}", path.display()))
    };
    let mut file = fs::open(path)?;
    let length = file.metadata().at("read", path)?.len();
    let mut magic = [0; 2];
    let read = file.seek(SeekFrom::Start(MAGIC.0)).and_then(|_| file.read_exact(&mut magic));
    if read.is_ok() && magic == MAGIC.1 {
        return Ok(Region::new(file, 0, length));
    }
    let table = gpt::GptConfig::new().open_from_device(fs::open(path)?);
    let table = table.map_err(|_| no_guest("file system (ext4) and no partition table (GPT)"))?;
    let root = table.partitions().values().find(|partition| partition.name == "root");
    let root = root.ok_or_else(|| no_guest("partition named root"))?;
    let start = root.first_lba * crate::disk::gpt::SECTOR;
    Ok(Region::new(file, start, (root.last_lba + 1 - root.first_lba) * crate::disk::gpt::SECTOR))
}

/// What changed between two sets of named things, one line each: `+` is new, `-` is gone.
pub fn changes<T>(
    old: &BTreeMap<String, T>,
    new: &BTreeMap<String, T>,
    show: impl Fn(&T) -> String,
    difference: impl Fn(&T, &T) -> Option<String>,
) -> Vec<String> {
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let line = |name: &String| match (old.get(name), new.get(name)) {
        (None, Some(new)) => Some(format!("+ {name} {}", show(new))),
        (Some(old), None) => Some(format!("- {name} {}", show(old))),
        (Some(old), Some(new)) => difference(old, new).map(|words| format!("~ {name}: {words}")),
        (None, None) => None,
    };
    names.into_iter().filter_map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_name_what_is_different() {
        let entry = |mode, content: &str| Entry {
            mode,
            uid: 0,
            gid: 0,
            size: content.len() as u64,
            time: 0,
            content: Sha256::of(content.as_bytes()),
        };
        let old = BTreeMap::from([
            ("/a".to_owned(), entry(0o644, "a")),
            ("/b".to_owned(), entry(0o644, "b")),
            ("/c".to_owned(), entry(0o644, "c")),
        ]);
        let new = BTreeMap::from([
            ("/a".to_owned(), entry(0o600, "x")),
            ("/c".to_owned(), entry(0o644, "c")),
            ("/d".to_owned(), entry(0o644, "ddd")),
        ]);
        let lines = changes(&old, &new, |entry| entry.size.to_string(), Entry::difference);
        assert_eq!(lines, ["~ /a: mode 644 -> 600, content", "- /b 1", "+ /d 3"]);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), vec![0; 1 << 20]).unwrap();
        let error = Image::open(file.path()).err().unwrap().to_string();
        assert!(
            error.contains("it has no file system (ext4) and no partition table (GPT)"),
            "{error}"
        );
    }
}
