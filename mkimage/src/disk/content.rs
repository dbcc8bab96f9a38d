//! The files that every medium carries, under the same names.

use std::path::PathBuf;

/// Name of the hypervisor on media.
pub const HYPERVISOR: &str = "hypervisor.elf";
/// Name of the control domain's kernel.
pub const KERNEL: &str = "vmlinuz";
/// Name of its initramfs.
pub const INITRAMFS: &str = "initramfs";
/// Name of the boot menu's entries, beside the files that they load.
pub const ENTRIES: &str = "boot.cfg";

/// Where a file's bytes come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// A file.
    Path(PathBuf),
    /// These bytes.
    Bytes(Vec<u8>),
}

impl Source {
    /// The bytes.
    ///
    /// # Errors
    /// When the file can't be read.
    pub fn read(&self) -> crate::fs::Result<Vec<u8>> {
        match self {
            Self::Path(path) => crate::fs::read(path),
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }
}

/// A tree of files: slash-separated paths and sources. Folders come from the paths.
pub type Files = Vec<(String, Source)>;

/// What all media are made of.
#[derive(Debug)]
pub struct Content {
    /// Product name.
    pub product: String,
    /// The appliance's version.
    pub version: String,
    /// Time stamp of everything, in seconds of Unix time.
    pub epoch: u64,
    /// A name for exactly this content: all identifiers on the media follow from it.
    pub id: crate::hash::Sha256,
    /// The hypervisor, the kernel, the initramfs and the boot menu's entries.
    pub files: Files,
    /// What the data partition of a disk has on it from the beginning.
    pub data: Files,
    /// Seconds that the boot menu waits.
    pub timeout: u32,
}

impl Content {
    /// An identifier for one purpose; the same content gives the same identifier.
    pub fn derive(&self, purpose: &str) -> [u8; 16] {
        let mut hasher = crate::hash::Hasher::default();
        hasher.part("xenolith media identifier").part(self.id.bytes()).part(purpose);
        let digest = hasher.finish();
        let (start, _) = digest.bytes().split_at(16);
        let mut bytes = [0; 16];
        bytes.copy_from_slice(start);
        bytes
    }
}
