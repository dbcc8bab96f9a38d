//! The host's configuration, `xend-config.sxp`: which networks guests are on, and what the
//! toolstack's daemon does.
//!
//! [`sxp`] knows the format, [`read`] the entries, [`script`] those about networks; [`networks`]
//! is what they mean, [`place`] what they mean for an interface; [`catalogues`] is where guest
//! images come from.

pub mod catalogues;
pub mod networks;
mod place;
mod read;
mod script;
mod sxp;

use std::path::Path;
use std::time::SystemTime;

use catalogues::Catalogue;
use networks::{Network, VifScript};
use toolstack::config::problem::{Note, Problem};

/// Where the file is looked for: on the data partition, then in the image.
const FILES: [&str; 2] = ["/data/config/xend-config.sxp", "/etc/xen/xend-config.sxp"];

/// What the file says, or would say if there were one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostConfig {
    /// The networks; the first is the default.
    pub networks: Vec<Network>,
    /// How guests' interfaces are connected that don't say it themselves; as the first network
    /// wants it if `None`.
    pub vif_script: Option<VifScript>,
    /// The bridge that they are on then.
    pub vif_bridge: Option<String>,
    /// How many CPUs the control domain uses; all if `None`.
    pub dom0_cpus: Option<u32>,
    /// Where guest images come from.
    pub catalogues: Vec<Catalogue>,
}

impl Default for HostConfig {
    fn default() -> Self {
        Self {
            networks: vec![Network::default()],
            vif_script: None,
            vif_bridge: None,
            dom0_cpus: None,
            catalogues: Vec::new(),
        }
    }
}

/// Which state of which file was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Version(Option<(&'static str, Option<SystemTime>)>);

impl Version {
    /// The one that there is now.
    pub fn now() -> Self {
        let found = FILES.into_iter().find(|file| Path::new(file).is_file());
        let changed = |file| std::fs::metadata(file).and_then(|facts| facts.modified()).ok();
        Self(found.map(|file| (file, changed(file))))
    }

    /// Its file, if there is one.
    pub fn file(&self) -> Option<&'static str> {
        self.0.map(|(file, _)| file)
    }
}

impl HostConfig {
    /// Reads the file, or has the default if there is none. What can't be used is told, and left
    /// out: the host must have a network even so.
    pub fn load(version: &Version) -> (Self, Vec<Note>) {
        let Some(file) = version.file() else { return (Self::default(), Vec::new()) };
        match std::fs::read_to_string(file) {
            Ok(text) => Self::read(file, &text),
            Err(error) => {
                let what = format!("can't be read, so defaults are used: {error}");
                (Self::default(), vec![Note::new(file, Problem::new(None, "", what))])
            }
        }
    }

    /// What the file says now, for those who don't tell what is wrong with it.
    pub fn current() -> Self {
        Self::load(&Version::now()).0
    }
}
