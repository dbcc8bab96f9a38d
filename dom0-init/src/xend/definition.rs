//! What guests were started from, kept where a daemon that starts again finds it: of those that
//! run, in memory ([`Definition`]); of those that are known by name, on the data partition
//! ([`Stored`]).

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
use toolstack::config::disk::Disk;
use uuid::Uuid;

use super::messages::Create;

/// In memory: what runs doesn't outlive the machine.
const FOLDER: &str = "/run/xenolith/domains";

/// A guest's definition.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Definition {
    /// The UUID that it has, chosen or given.
    pub uuid: Uuid,
    /// What it was started from.
    pub create: Create,
    /// Whether it is whole: one that isn't was being built when the daemon ended.
    #[serde(default)]
    pub whole: bool,
    /// Whether it ended and is to start again: one that is gone was about to.
    #[serde(default)]
    pub restarting: bool,
    /// How often in a row it ended early.
    #[serde(default)]
    pub early_ends: u32,
    /// The disk that it is being given, as configs have it.
    #[serde(default)]
    pub attaching: Option<String>,
    /// Disks that it got since, as configs have them.
    #[serde(default)]
    pub attached: Vec<String>,
    /// The numbers of its config's disks that were taken from it.
    #[serde(default)]
    pub detached: Vec<u32>,
}

impl Definition {
    /// A guest as its config has it.
    pub fn new(uuid: Uuid, create: Create) -> Self {
        let (attached, detached) = Default::default();
        Self {
            uuid,
            create,
            whole: false,
            restarting: false,
            early_ends: 0,
            attaching: None,
            attached,
            detached,
        }
    }

    /// Notes that a disk was taken from it.
    pub fn detach(&mut self, number: u32) {
        let is_it =
            |text: &String| Disk::parse(text).is_ok_and(|disk| disk.device.number == number);
        self.attached.retain(|text| !is_it(text));
        if !self.detached.contains(&number) {
            self.detached.push(number);
        }
    }

    /// Keeps it.
    ///
    /// # Errors
    /// As the system has it.
    pub fn keep(&self) -> anyhow::Result<()> {
        self.keep_in(Path::new(FOLDER))
    }

    /// The definition of a UUID, if there is one.
    pub fn of(uuid: Uuid) -> Option<Self> {
        Self::in_folder(Path::new(FOLDER), uuid)
    }

    /// All that are kept.
    pub fn all() -> Vec<Self> {
        let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
        files(Path::new(FOLDER)).into_iter().filter_map(read).collect()
    }

    /// Forgets it.
    pub fn forget(uuid: Uuid) {
        if let Err(error) = fs::remove_file(place(Path::new(FOLDER), uuid))
            && error.kind() != std::io::ErrorKind::NotFound
        {
            log::warn!("{FOLDER}: {error}");
        }
    }

    fn keep_in(&self, folder: &Path) -> anyhow::Result<()> {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        replace(&place(folder, self.uuid), &serde_json::to_vec(self)?)
    }

    fn in_folder(folder: &Path, uuid: Uuid) -> Option<Self> {
        serde_json::from_slice(&fs::read(place(folder, uuid)).ok()?).ok()
    }
}

/// Where the configs of guests that are known are kept; in memory while there is no data partition.
const STORED: &str = "/data/config/managed";
/// Folders of configs that start with the machine.
const AUTOMATIC: [&str; 2] = ["/data/config/auto", "/etc/xen/auto"];

/// The guests that are known by name.
#[derive(Debug, Clone)]
pub struct Stored {
    folder: PathBuf,
}

impl Stored {
    /// Those of this machine.
    pub fn open() -> Self {
        Self { folder: STORED.into() }
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<Definition> {
        let files = files(&self.folder).into_iter();
        let read = |path: PathBuf| serde_json::from_slice(&fs::read(path).ok()?).ok();
        files
            .filter(|path| path.extension().is_some_and(|e| e == "json"))
            .filter_map(read)
            .collect()
    }

    /// The one of a name.
    pub fn named(&self, name: &str) -> Option<Definition> {
        serde_json::from_slice(&fs::read(self.place(name)).ok()?).ok()
    }

    /// Keeps one.
    ///
    /// # Errors
    /// As the system has it; what was kept before stays then.
    pub fn keep(&self, name: &str, definition: &Definition) -> anyhow::Result<()> {
        fs::create_dir_all(&self.folder).with_context(|| self.folder.display().to_string())?;
        replace(&self.place(name), &serde_json::to_vec_pretty(definition)?)
    }

    /// Forgets one.
    ///
    /// # Errors
    /// When there is none of this name.
    pub fn forget(&self, name: &str) -> anyhow::Result<()> {
        fs::remove_file(self.place(name)).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => anyhow::anyhow!("no config of {name:?} is kept"),
            _ => anyhow::Error::new(error).context(format!("{name} can't be forgotten")),
        })
    }

    /// The configs in the folders of those that start with the machine.
    pub fn automatic() -> Vec<PathBuf> {
        AUTOMATIC.iter().flat_map(|folder| files(Path::new(folder))).collect()
    }

    fn place(&self, name: &str) -> PathBuf {
        // Names of guests have no slash; what isn't one has no file either.
        self.folder.join(format!("{}.json", name.replace('/', "_")))
    }
}

/// A folder's files in order; none if there is no such folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    files.retain(|path| path.is_file());
    files.sort();
    files
}

/// Writes a file so that it is there whole or as before, whatever happens.
///
/// # Errors
/// As the system has it.
pub fn replace(place: &Path, content: &[u8]) -> anyhow::Result<()> {
    let unfinished = place.with_extension("part");
    let write = || {
        let mut file = File::create(&unfinished)?;
        file.write_all(content)?;
        file.sync_all()?;
        fs::rename(&unfinished, place)
    };
    write().map_err(|error| {
        // What is there of it is of no use.
        let _gone = fs::remove_file(&unfinished);
        anyhow::Error::new(error).context(format!("{} can't be written", place.display()))
    })
}

fn place(folder: &Path, uuid: Uuid) -> PathBuf {
    folder.join(format!("{uuid}.json"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found() {
        let folder = std::env::temp_dir().join(format!("definitions-{}", std::process::id()));
        let create = Create {
            file: "web.cfg".into(),
            text: "memory = 64".into(),
            overrides: vec!["vcpus=2".into()],
            paused: false,
        };
        let definition = Definition::new(Uuid::from_u128(7), create);
        definition.keep_in(&folder).unwrap();
        assert_eq!(Definition::in_folder(&folder, definition.uuid), Some(definition));
        assert_eq!(Definition::in_folder(&folder, Uuid::from_u128(8)), None);
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn stored_ones_are_listed_and_forgotten() {
        let folder = std::env::temp_dir().join(format!("stored-{}", std::process::id()));
        let stored = Stored { folder: folder.clone() };
        assert_eq!(stored.all(), []);
        let create = Create {
            file: "web.cfg".into(),
            text: "memory = 64".into(),
            overrides: Vec::new(),
            paused: false,
        };
        let definition = Definition::new(Uuid::from_u128(7), create);
        stored.keep("web", &definition).unwrap();
        stored.keep("web", &definition).unwrap();
        assert_eq!((stored.all().len(), stored.named("web")), (1, Some(definition)));
        assert_eq!(stored.named("other"), None);
        stored.forget("web").unwrap();
        assert!(stored.forget("web").unwrap_err().to_string().contains("\"web\""));
        fs::remove_dir_all(folder).unwrap();
    }
}
