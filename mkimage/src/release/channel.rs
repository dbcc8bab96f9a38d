//! Channel definitions: what is published for whom, and who signs it.

use super::{Error, keys};
use crate::formats::Format;
use crate::fs;
use catalogue::client::Expected;
use catalogue::keys::KeySet;
use serde::Deserialize;
use std::path::{Path, PathBuf};

/// A channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its definition.
    pub path: PathBuf,
    /// Product, channel and architecture.
    pub expected: Expected,
    /// How long a release is believed, in days.
    pub expires_days: u64,
    /// Images of releases before this one are withdrawn.
    pub minimum_version: u64,
    /// The forms that images are offered in.
    pub formats: Vec<Format>,
    /// Who signs.
    pub keys: KeySet,
}

/// A definition as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct Definition {
    product: String,
    channel: String,
    arch: String,
    expires_days: u64,
    #[serde(default)]
    minimum_version: u64,
    formats: Vec<String>,
    keys: Keys,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    generation: u64,
    threshold: u32,
    /// Public key files beside the definition.
    files: Vec<String>,
}

impl Channel {
    /// Reads a channel by the name of its definition in a folder, or by path.
    ///
    /// # Errors
    /// When it is missing or wrong, or a key of it is.
    pub fn find(folder: &Path, name: &str) -> Result<Self, Error> {
        let given = Path::new(name);
        let named = given.extension().is_some_and(|end| end == "toml");
        let path = if named { given.to_owned() } else { folder.join(format!("{name}.toml")) };
        let text = fs::read_text(&path)?;
        Self::parse(&path, &text)
    }

    fn parse(path: &Path, text: &str) -> Result<Self, Error> {
        let wrong = |reason: String| Error::Wrong { path: path.to_owned(), reason };
        let read: Definition = toml::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let format = |name: &String| {
            Format::named(name).ok_or_else(|| wrong(format!("`{name}` is no format of images")))
        };
        let mut keys = Vec::new();
        for file in &read.keys.files {
            let file = path.with_file_name(file);
            if !file.exists() {
                return Err(wrong(format!(
                    "its key {} is missing: `mkimage key new` makes one; put the .pub file here, \
                     and keep the .key file elsewhere",
                    file.display()
                )));
            }
            keys.push(keys::read_public(&file)?);
        }
        let Keys { generation, threshold, .. } = read.keys;
        let keys = KeySet { generation, threshold, keys };
        keys.check().map_err(&wrong)?;
        Ok(Self {
            path: path.to_owned(),
            expected: Expected { product: read.product, channel: read.channel, arch: read.arch },
            expires_days: read.expires_days,
            minimum_version: read.minimum_version,
            formats: read.formats.iter().map(format).collect::<Result<_, _>>()?,
            keys,
        })
    }
}
