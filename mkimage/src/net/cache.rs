//! The cache: downloads named by their SHA-256, and things derived from them named by their
//! inputs. It may be deleted at any time, copied to another machine, or shared.
//!
//! Shape: `blobs/sha256/AB/ABCD...` (downloads, and indices unpacked), `partial/` (unfinished
//! downloads), `packages/` and `tools/` (unpacked), `systems/` (configured), `images/`, `stamps/`
//! (what is up to date), `work/` (of builds that run).

use crate::fs;
use crate::hash::Sha256;
use crate::scratch::Scratch;
use std::fs::File;
use std::path::{Path, PathBuf};

/// A cache folder.
#[derive(Debug, Clone)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// Uses a folder, which is created when first written to.
    pub fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The cache's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where the content with a digest is or will be.
    pub fn blob(&self, sha256: Sha256) -> PathBuf {
        let name = sha256.to_string();
        let (start, _) = name.split_at(2);
        self.root.join("blobs/sha256").join(start).join(&name)
    }

    /// The content with a digest, if it is here in the right size. Blobs are hashed when they
    /// arrive; their name is trusted from then on.
    pub fn find(&self, sha256: Sha256, size: u64) -> Option<PathBuf> {
        let path = self.blob(sha256);
        path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() == size).then_some(path)
    }

    /// Keeps content, unless it is here or its digest is another.
    ///
    /// # Errors
    /// When it can't be written.
    pub fn keep(&self, sha256: Sha256, content: &[u8]) -> fs::Result<()> {
        let path = self.blob(sha256);
        if path.is_file() || Sha256::of(content) != sha256 {
            return Ok(());
        }
        if let Some(folder) = path.parent() {
            fs::create_dir(folder)?;
        }
        let scratch = Scratch::new(&path)?;
        fs::write(scratch.path(), content)?;
        scratch.finish()
    }

    /// Where an unfinished download is kept, for the next run to go on with.
    pub fn partial(&self, sha256: Sha256) -> PathBuf {
        self.root.join("partial").join(sha256.to_string())
    }

    /// Takes an exclusive lock on the cache, waiting for another process if need be. It is
    /// released when the returned file is dropped.
    ///
    /// # Errors
    /// When the lock file can't be created.
    pub fn lock(&self) -> fs::Result<File> {
        use fs::Context;
        fs::create_dir(&self.root)?;
        let path = self.root.join("lock");
        let file = fs::create(&path)?;
        if file.try_lock().is_err() {
            crate::progress::note("waiting for another mkimage to leave the cache");
            file.lock().at("lock", &path)?;
        }
        Ok(file)
    }
}
