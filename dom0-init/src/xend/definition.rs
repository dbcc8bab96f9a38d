//! What a running guest was started from, kept where a daemon that starts again finds it.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde::{Deserialize, Serialize};
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
}

impl Definition {
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
        let place = place(folder, self.uuid);
        let unfinished = place.with_extension("part");
        fs::write(&unfinished, serde_json::to_vec(self)?)
            .and_then(|()| fs::rename(&unfinished, &place))
            .with_context(|| place.display().to_string())
    }

    fn in_folder(folder: &Path, uuid: Uuid) -> Option<Self> {
        serde_json::from_slice(&fs::read(place(folder, uuid)).ok()?).ok()
    }
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
        let definition = Definition { uuid: Uuid::from_u128(7), create };
        definition.keep_in(&folder).unwrap();
        assert_eq!(Definition::in_folder(&folder, definition.uuid), Some(definition));
        assert_eq!(Definition::in_folder(&folder, Uuid::from_u128(8)), None);
        fs::remove_dir_all(folder).unwrap();
    }
}
