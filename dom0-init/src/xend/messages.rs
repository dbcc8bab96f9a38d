//! What goes over the socket, as JSON. Version 1: fields are added, never changed or removed.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/domains` | | `[Domain]` |
//! | `POST /v1/domains` | [`Create`] | [`Created`] |
//! | `POST /v1/domains/NAME/ACTION` | as the action has it | `{}`, once it is done or asked for |
//! | `GET /v1/domains/NAME/vifs` | | `[Vif]` |
//! | `POST /v1/domains/NAME/vifs` | [`AttachVif`] | [`Attached`] |
//! | `DELETE /v1/domains/NAME/vifs/WHICH` | | `{}` |
//! | `GET /v1/managed` | | `[Managed]` |
//! | `POST /v1/managed` | [`Create`] | [`Created`], of domain 0: nothing runs yet |
//! | `POST /v1/managed/NAME/start` | [`Start`] | [`Created`] |
//! | `DELETE /v1/managed/NAME` | | `{}` |
//!
//! `NAME` is a domain's name or number, `ACTION` one of `pause unpause shutdown reboot destroy`,
//! or `rename/NEW`, without a body, or one with: `memory` and `max-memory` ([`Memory`]), `vcpus`
//! ([`Vcpus`]), `pin` ([`Pin`]), `share` ([`Share`]), `sysrq` ([`Press`]), `trigger`
//! ([`Trigger`]), `dump` ([`Dump`]), `attach-disk` ([`Attach`]), `detach-disk` ([`Detach`]).
//! `WHICH` is an interface's number or hardware address. What goes wrong is a [`Refusal`] with a status of 400 or above.

use serde::{Deserialize, Serialize};

/// A guest to start.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Create {
    /// The config's name, for messages and as the guest's default name.
    pub file: String,
    /// The config.
    pub text: String,
    /// `key=value` texts that win over it.
    #[serde(default)]
    pub overrides: Vec<String>,
    /// Whether it is left paused.
    #[serde(default)]
    pub paused: bool,
}

impl Create {
    /// Makes a key of the config have this value, whatever it had.
    pub fn set(&mut self, key: &str, value: &str) {
        let start = format!("{key}=");
        self.overrides.retain(|known| !known.starts_with(&start));
        self.overrides.push(format!("{start}\"{value}\""));
    }
}

/// A guest that was started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Created {
    /// Its number.
    pub domain: u16,
    /// Its name.
    pub name: String,
    /// What its config has that isn't what the user may think.
    pub notes: Vec<String>,
}

/// A domain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Domain {
    /// Its number.
    pub domain: u16,
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: uuid::Uuid,
}

/// A network interface to give to a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttachVif {
    /// As in the list `vif` of a config.
    pub vif: String,
}

/// A device that a guest was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attached {
    /// Its number among those of its kind.
    pub number: u32,
}

/// A network interface of a guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vif {
    /// Its number.
    pub number: u32,
    /// Its hardware address.
    pub mac: String,
    /// The frontend's state, as the store has it.
    pub state: u32,
    /// The frontend's event channel, once it has one.
    pub event_channel: Option<u32>,
    /// The grant of its ring for what it sends.
    pub tx_ring: Option<u32>,
    /// The grant of its ring for what it receives.
    pub rx_ring: Option<u32>,
    /// The backend's folder in the store.
    pub backend: String,
    /// As in the list `vif` of a config.
    pub config: String,
}

/// Why a request isn't done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For the user.
    pub error: String,
}

/// A guest that is known, whether it runs or not.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Managed {
    /// Its name.
    pub name: String,
    /// Its UUID.
    pub uuid: uuid::Uuid,
    /// The memory that it starts with, in MiB.
    pub memory_mib: u64,
    /// The vCPUs that it starts with.
    pub vcpus: u32,
    /// Whether it starts with the machine.
    pub autostart: bool,
}

/// How a guest that is known is started.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Start {
    /// Whether it is left paused.
    #[serde(default)]
    pub paused: bool,
}

/// An amount of memory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// In MiB.
    pub mebibytes: u64,
}

/// How many vCPUs are used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vcpus {
    /// That many, from the first.
    pub count: u32,
}

/// Where vCPUs may run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pin {
    /// Which one; all if it isn't given.
    #[serde(default)]
    pub vcpu: Option<u32>,
    /// As configs have it: `0-3,^1`, `all`.
    pub cpus: String,
}

/// A domain's share of the CPUs. What isn't given stays.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// Against others.
    #[serde(default)]
    pub weight: Option<u16>,
    /// The most, in percent of a CPU; 0 is no limit.
    #[serde(default)]
    pub cap: Option<u16>,
}

/// A magic key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Press {
    /// Which.
    pub key: char,
}

/// An interrupt or a button.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trigger {
    /// `nmi`, `reset`, `init`, `power` or `sleep`.
    pub trigger: String,
    /// For which vCPU, where that matters.
    #[serde(default)]
    pub vcpu: u32,
}

/// Where a guest's memory is written to, and what becomes of the guest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dump {
    /// A file of the control domain.
    pub file: String,
    /// It runs on meanwhile.
    #[serde(default)]
    pub live: bool,
}

/// A device to be attached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Attach {
    /// As configs have it.
    pub device: String,
}

/// A device to be detached.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Detach {
    /// Its name or number.
    pub device: String,
    /// Even if the guest doesn't let go of it.
    #[serde(default)]
    pub force: bool,
}
