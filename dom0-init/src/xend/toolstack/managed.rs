//! Guests that are known without running: `xm new`, `start` and `delete`, and those that start
//! with the machine.

use std::path::PathBuf;

use anyhow::{anyhow, bail, ensure};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{Toolstack, read};
use crate::xend::definition::{Definition, Stored};
use crate::xend::messages::{Create, Created, Managed, Start};

impl Toolstack {
    /// The guests that are known, whether they run or not.
    ///
    /// # Errors
    /// None: one that can't be read is named in the log.
    pub fn managed(&self) -> Vec<Managed> {
        let facts = |definition: Definition| {
            let uuid = definition.uuid;
            let (guest, _notes) = read(&definition.create)
                .inspect_err(|error| log::warn!("{}: {error:#}", definition.create.file))
                .ok()?;
            let (memory_mib, vcpus) = (guest.memory_mib, guest.vcpus);
            Some(Managed { name: guest.name, uuid, memory_mib, vcpus, autostart: guest.autostart })
        };
        Stored::open().all().into_iter().filter_map(facts).collect()
    }

    /// Keeps a guest's config, to be started by name.
    ///
    /// # Errors
    /// What is wrong with it, or that it can't be kept.
    pub fn define(&mut self, create: Create) -> anyhow::Result<Created> {
        let (guest, notes) = read(&create)?;
        let before = Stored::open().named(&guest.name);
        let known = before.map(|before| before.uuid);
        let uuid = guest.uuid.or(known).unwrap_or_else(Uuid::new_v4);
        if let Some(known) = known.filter(|known| *known != uuid) {
            bail!(
                "{} is known already, with UUID {known}: `xm delete {}` forgets that one",
                guest.name,
                guest.name
            );
        }
        Stored::open().keep(&guest.name, &Definition::new(uuid, create))?;
        log::info!("{} is kept", guest.name);
        Ok(Created { domain: 0, name: guest.name, notes })
    }

    /// Starts a guest whose config is kept.
    ///
    /// # Errors
    /// When there is none, or as for [`Self::create`].
    pub fn start_managed(&mut self, name: &str, start: &Start) -> anyhow::Result<Created> {
        let stored = Stored::open().named(name);
        let definition = stored.ok_or_else(|| {
            anyhow!("no config of {name:?} is kept: `xm new` keeps one, `xm create` needs none")
        })?;
        let mut create = definition.create;
        create.paused = start.paused;
        create.set("uuid", &definition.uuid.to_string());
        self.create(create)
    }

    /// Forgets a guest's config.
    ///
    /// # Errors
    /// When there is none, or the guest runs.
    pub fn delete(&mut self, name: &str) -> anyhow::Result<()> {
        let runs = self.domains()?.iter().any(|domain| domain.name == name);
        ensure!(!runs, "{name} runs: shut it down first");
        Stored::open().forget(name)?;
        log::info!("{name} is forgotten");
        Ok(())
    }

    /// What starts with the machine: kept configs with `on_xend_start = "start"`, and every config
    /// in the folders for that.
    pub fn automatic(&self) -> Vec<Automatic> {
        let managed = self.managed().into_iter().filter(|managed| managed.autostart);
        let managed = managed.map(|managed| Automatic::Managed(managed.name));
        managed.chain(Stored::automatic().into_iter().map(Automatic::File)).collect()
    }

    /// Starts one of them; a problem is told in the log.
    pub fn start_automatic(&mut self, guest: &Automatic) {
        let (name, started) = match guest {
            Automatic::Managed(name) => {
                (name.clone(), self.start_managed(name, &Start { paused: false }))
            }
            Automatic::File(path) => {
                let file = path.display().to_string();
                let started = std::fs::read_to_string(path).map_err(Into::into).and_then(|text| {
                    let overrides = Vec::new();
                    self.create(Create { file: file.clone(), text, overrides, paused: false })
                });
                (file, started)
            }
        };
        if let Err(error) = started {
            log::error!("{name} isn't started with the machine: {error:#}");
        }
    }
}

/// A guest that starts with the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Automatic {
    /// One whose config is kept, by its name.
    Managed(String),
    /// A config.
    File(PathBuf),
}
