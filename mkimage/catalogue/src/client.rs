//! What a host accepts, and what it remembers.
//!
//! | attack or accident | refused because |
//! |---|---|
//! | another's files | enough of the trusted keys must have signed |
//! | rollback: an old release | its version is below the highest that was seen |
//! | freeze: the same release for ever | it expires |
//! | mix and match: files of several releases | one manifest has the digests of all |
//! | another product, channel, architecture | each is in the manifest, and expected |
//! | endless or larger files | every size is announced, and the manifest's is bounded |
//! | a stolen key | the keys change with a manifest that old and new ones sign |
//! | a clock that is wrong | it is told apart from an expired manifest where that is possible |

use crate::hash::Sha256;
use crate::keys::KeySet;
use crate::manifest::{self, Manifest};
use crate::time;
use serde::{Deserialize, Serialize};

/// Clocks differ by so much, in seconds.
const TOLERANCE: u64 = 24 * 3600;

/// What a host expects of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expected {
    /// The product.
    pub product: String,
    /// The channel.
    pub channel: String,
    /// The architecture.
    pub arch: String,
}

/// What a host remembers of a catalogue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memory {
    /// What it is about.
    pub expected: Expected,
    /// Who may sign by now.
    pub keys: KeySet,
    /// The highest version that was seen.
    pub version: u64,
    /// The manifest of that version.
    pub manifest: Sha256,
    /// When that was made: it isn't earlier now.
    pub created: u64,
    /// Images of releases before this one are withdrawn.
    pub minimum_version: u64,
}

/// Why a manifest isn't accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It is too long to be one.
    #[error("the manifest is larger than {} bytes: this is no catalogue", manifest::LONGEST)]
    TooLarge,
    /// Too few of the trusted keys have signed it.
    #[error(
        "{found} of the trusted keys have signed the manifest, and {needed} must: the server has \
         another's files, or the catalogue's keys were changed; if its publisher says so, put the \
         new key into the host's configuration"
    )]
    NotSigned {
        /// How many have.
        found: u32,
        /// How many must.
        needed: u32,
    },
    /// New keys are named that have not signed.
    #[error("the manifest names new keys that have not signed it: tell its publisher")]
    KeysNotProven,
    /// A generation of keys was left out.
    #[error("the manifest of key generation {found} was found where {expected} was expected")]
    Generation {
        /// The next one.
        expected: u64,
        /// The one there is.
        found: u64,
    },
    /// It is signed, but not a manifest that makes sense.
    #[error("the manifest is signed, but can't be used: {0}")]
    Malformed(String),
    /// It is another catalogue's.
    #[error("the manifest is of the {what} `{found}`, and `{expected}` is configured")]
    Other {
        /// `product`, `channel` or `architecture`.
        what: &'static str,
        /// What is configured.
        expected: String,
        /// What it says.
        found: String,
    },
    /// An older release.
    #[error(
        "the server offers version {found}, and version {seen} was seen before: it is out of date, \
         or somebody wants the old one to be used"
    )]
    Rollback {
        /// The highest version seen.
        seen: u64,
        /// The version that is offered.
        found: u64,
    },
    /// Another release under the same number.
    #[error("version {version} was seen with other content before: tell its publisher")]
    Replaced {
        /// The version.
        version: u64,
    },
    /// It is to be believed no more.
    #[error(
        "the manifest expired at {}, and it is {} now: the server's files are out of date, or this \
         clock is wrong", time::of(*.expires), time::of(*.now)
    )]
    Expired {
        /// When it did.
        expires: u64,
        /// The host's clock.
        now: u64,
    },
    /// The clock is wrong.
    #[error(
        "the manifest was made at {}, and this clock says {}: set the clock", time::of(*.created),
        time::of(*.now)
    )]
    Clock {
        /// When the newest known manifest was made.
        created: u64,
        /// The host's clock.
        now: u64,
    },
}

/// Decides about manifests of one catalogue.
#[derive(Debug, Clone)]
pub struct Client {
    expected: Expected,
    trusted: KeySet,
    /// Whether the generation of the trusted keys is known: it isn't of keys from a configuration.
    anchored: bool,
    memory: Option<Memory>,
}

/// A manifest that was accepted, and what to remember once its files were.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The manifest.
    pub manifest: Manifest,
    /// What to remember.
    pub memory: Memory,
}

impl Client {
    /// For a catalogue that nothing is remembered of, or something. The configured keys count until
    /// the first manifest was accepted.
    pub fn new(expected: Expected, configured: KeySet, memory: Option<Memory>) -> Self {
        let memory = memory.filter(|memory| memory.expected == expected);
        let trusted = memory.as_ref().map_or(configured, |memory| memory.keys.clone());
        Self { expected, trusted, anchored: memory.is_some(), memory }
    }

    /// The keys that must sign now.
    pub fn trusted(&self) -> &KeySet {
        &self.trusted
    }

    /// The generation of keys to look for when the manifest isn't signed by the trusted ones.
    pub fn next_generation(&self) -> u64 {
        if self.anchored { self.trusted.generation.saturating_add(1) } else { 2 }
    }

    /// Whether it isn't known which generation the trusted keys are of, so that one that they
    /// haven't signed may be passed over.
    pub fn may_pass_over(&self) -> bool {
        !self.anchored
    }

    /// Follows a change of keys: the manifest that introduced the next generation, which may be old.
    ///
    /// # Errors
    /// When it doesn't lead from the trusted keys to the next ones.
    pub fn follow(&mut self, bytes: &[u8], signatures: &[&str]) -> Result<(), Refusal> {
        let manifest = self.verified(bytes, signatures)?;
        self.is_expected(&manifest)?;
        let expected = self.next_generation();
        let found = manifest.keys.generation;
        if found != expected && (self.anchored || found < expected) {
            return Err(Refusal::Generation { expected, found });
        }
        self.trusted = manifest.keys;
        self.anchored = true;
        Ok(())
    }

    /// Decides about the current manifest, at a time in seconds of Unix time.
    ///
    /// # Errors
    /// Why it isn't accepted.
    pub fn accept(&self, bytes: &[u8], signatures: &[&str], now: u64) -> Result<Accepted, Refusal> {
        let manifest = self.verified(bytes, signatures)?;
        self.is_expected(&manifest)?;
        let digest = Sha256::of(bytes);
        let (generation, trusted) = (manifest.keys.generation, self.trusted.generation);
        if self.anchored && generation != trusted && generation != trusted.saturating_add(1) {
            return Err(Refusal::Generation { expected: trusted, found: generation });
        }
        if let Some(memory) = &self.memory {
            let (seen, found) = (memory.version, manifest.version);
            if found < seen.max(memory.minimum_version) {
                return Err(Refusal::Rollback { seen: seen.max(memory.minimum_version), found });
            }
            if found == seen && digest != memory.manifest {
                return Err(Refusal::Replaced { version: found });
            }
        }
        let known = self.memory.as_ref().map_or(0, |memory| memory.created);
        let created = manifest.created.max(known);
        if now.saturating_add(TOLERANCE) < created {
            return Err(Refusal::Clock { created, now });
        }
        if now >= manifest.expires {
            return Err(Refusal::Expired { expires: manifest.expires, now });
        }
        let memory = Memory {
            expected: self.expected.clone(),
            keys: manifest.keys.clone(),
            version: manifest.version,
            manifest: digest,
            created,
            minimum_version: manifest.minimum_version,
        };
        Ok(Accepted { manifest, memory })
    }

    /// Signatures first: nothing is parsed that the trusted keys haven't signed.
    fn verified(&self, bytes: &[u8], signatures: &[&str]) -> Result<Manifest, Refusal> {
        if bytes.len() > manifest::LONGEST {
            return Err(Refusal::TooLarge);
        }
        let (found, needed) =
            (self.trusted.signers(bytes, signatures), self.trusted.threshold.max(1));
        if found < needed {
            return Err(Refusal::NotSigned { found, needed });
        }
        let manifest = Manifest::parse(bytes).map_err(Refusal::Malformed)?;
        if !manifest.keys.has_signed(bytes, signatures) {
            return Err(Refusal::KeysNotProven);
        }
        Ok(manifest)
    }

    fn is_expected(&self, manifest: &Manifest) -> Result<(), Refusal> {
        let Expected { product, channel, arch } = &self.expected;
        for (what, expected, found) in [
            ("product", product, &manifest.product),
            ("channel", channel, &manifest.channel),
            ("architecture", arch, &manifest.arch),
        ] {
            if expected != found {
                let (expected, found) = (expected.clone(), found.clone());
                return Err(Refusal::Other { what, expected, found });
            }
        }
        Ok(())
    }
}
