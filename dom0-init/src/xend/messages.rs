//! What goes over the socket, as JSON. Version 1: fields are added, never changed or removed.
//!
//! | request | body | answer |
//! |---|---|---|
//! | `GET /v1/domains` | | `[Domain]` |
//! | `POST /v1/domains` | [`Create`] | [`Created`] |
//! | `POST /v1/domains/NAME/ACTION` | | `{}`, once it is done or asked for |
//!
//! `NAME` is a domain's name or number, `ACTION` one of `pause unpause shutdown reboot destroy`,
//! or `rename/NEW`. What goes wrong is a [`Refusal`] with a status of 400 or above.

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

/// Why a request isn't done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// For the user.
    pub error: String,
}
