//! The manifest: one release of a product on a channel, and everything in it.

use crate::hash::Sha256;
use crate::keys::KeySet;
use crate::names::{is_file_name, is_image_name};
use serde::{Deserialize, Serialize};

/// The version of this format.
pub const FORMAT: u32 = 1;
/// A manifest's text is at most so long, in bytes.
pub const LONGEST: usize = 1 << 20;
const MOST_IMAGES: usize = 1000;
const MOST_ARTIFACTS: usize = 16;
/// Larger disks aren't published, in bytes.
const LARGEST_DISK: u64 = 64 << 40;

/// One release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// [`FORMAT`].
    pub format: u32,
    /// What is released, such as `xenolith-guests`.
    pub product: String,
    /// For whom: `stable`, `testing`.
    pub channel: String,
    /// The architecture, as Debian has it.
    pub arch: String,
    /// Grows with each release of the product on the channel.
    pub version: u64,
    /// Images of releases before this one are withdrawn.
    pub minimum_version: u64,
    /// When it was made, in seconds of Unix time.
    pub created: u64,
    /// When it is to be believed no more, in seconds of Unix time.
    pub expires: u64,
    /// Who signs the next release.
    pub keys: KeySet,
    /// The images.
    pub images: Vec<Image>,
}

/// An image, in all the forms that it is offered in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// Its name: `debian-13`.
    pub name: String,
    /// One line for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub title: String,
    /// The disk that all forms hold.
    pub disk: Disk,
    /// The forms, and what is said of all of them.
    pub artifacts: Vec<Artifact>,
}

/// A disk's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Its size in bytes.
    pub size: u64,
    /// The digest of all of it.
    pub sha256: Sha256,
}

/// A file of the release.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// The form of the image in it: `raw.zst`, `qcow2`; or what is said of it: `spdx` (a bill of
    /// materials), `licences`.
    pub format: String,
    /// Its name beside the manifest.
    pub file: String,
    /// Its exact size in bytes.
    pub size: u64,
    /// Its digest.
    pub sha256: Sha256,
}

impl Manifest {
    /// Reads a manifest, which must have been verified by then, and checks that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Self, String> {
        /// What is known of every format.
        #[derive(Deserialize)]
        struct Header {
            format: u32,
        }
        let header: Header = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if header.format != FORMAT {
            return Err(format!(
                "its format is {}, and this program knows {FORMAT}: update it",
                header.format
            ));
        }
        let manifest: Self = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        manifest.check()?;
        Ok(manifest)
    }

    /// Checks that it makes sense.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), String> {
        for text in [&self.product, &self.channel, &self.arch] {
            if !is_image_name(text) {
                return Err(format!("`{text}` is no name of a product, channel or architecture"));
            }
        }
        if self.version == 0 || self.minimum_version > self.version {
            return Err("its versions contradict each other".to_owned());
        }
        if self.created >= self.expires {
            return Err("it expires before it was made".to_owned());
        }
        self.keys.check()?;
        if self.images.len() > MOST_IMAGES {
            return Err("it has too many images".to_owned());
        }
        for (index, image) in self.images.iter().enumerate() {
            image.check()?;
            if self.images.iter().take(index).any(|other| other.name == image.name) {
                return Err(format!("the image {} is there twice", image.name));
            }
        }
        Ok(())
    }

    /// The text that is signed.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The image of that name.
    pub fn image(&self, name: &str) -> Option<&Image> {
        self.images.iter().find(|image| image.name == name)
    }
}

impl Image {
    fn check(&self) -> Result<(), String> {
        let name = &self.name;
        if !is_image_name(name) {
            return Err(format!("`{name}` is no name of an image"));
        }
        if self.disk.size == 0 || self.disk.size > LARGEST_DISK {
            return Err(format!("{name}: a disk can't have {} bytes", self.disk.size));
        }
        if self.artifacts.is_empty() || self.artifacts.len() > MOST_ARTIFACTS {
            return Err(format!("{name}: it is offered in no form, or too many"));
        }
        for artifact in &self.artifacts {
            if !is_file_name(&artifact.file) || artifact.size > LARGEST_DISK {
                return Err(format!("{name}: `{}` is no file of a release", artifact.file));
            }
        }
        Ok(())
    }

    /// The form of that name.
    pub fn artifact(&self, format: &str) -> Option<&Artifact> {
        self.artifacts.iter().find(|artifact| artifact.format == format)
    }
}
