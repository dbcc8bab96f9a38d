//! Output folders: whether one holds a content already, and which of the cache's are kept.

use crate::error::Error;
use crate::fs;
use crate::hash::{Hasher, Sha256};
use crate::project::Project;
use crate::scratch::Scratch;
use std::path::{Path, PathBuf};

/// Images that the cache keeps: enough for tests that run at the same time.
const KEPT_IMAGES: usize = 8;

/// Remembers what an output folder holds, so that an unchanged build is not repeated.
#[derive(Debug)]
pub struct Stamp {
    path: PathBuf,
    folder: PathBuf,
    files: Vec<String>,
}

impl Stamp {
    /// The stamp of some files of a folder. `kind` tells several outputs in one folder apart.
    pub fn new(project: &Project, folder: &Path, kind: &str, files: &[String]) -> Self {
        let full = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let mut hasher = Hasher::default();
        hasher.part(full.to_string_lossy().as_bytes()).part(kind);
        let path = project.cache().root().join("stamps").join(hasher.finish().short());
        Self { path, folder: folder.to_owned(), files: files.to_vec() }
    }

    /// One line for the content, one for each file: its size and time.
    fn text(&self, id: Sha256) -> String {
        let mut lines = vec![format!("content {id}")];
        for name in &self.files {
            let meta = self.folder.join(name).metadata();
            let time = meta.as_ref().ok().and_then(|meta| meta.modified().ok());
            lines.push(format!("{name} {} {time:?}", meta.map_or(0, |meta| meta.len())));
        }
        lines.join("\n")
    }

    /// Whether the files are there and of this content.
    pub fn is_current(&self, id: Sha256) -> bool {
        let exist = self.files.iter().all(|name| self.folder.join(name).exists());
        exist && fs::read_text(&self.path).is_ok_and(|old| old == self.text(id))
    }

    /// Remembers that the files are of this content.
    ///
    /// # Errors
    /// When the cache can't be written.
    pub fn write(&self, id: Sha256) -> fs::Result<()> {
        let scratch = Scratch::new(&self.path)?;
        fs::write(scratch.path(), self.text(id))?;
        scratch.finish()
    }
}

/// Marks a folder or file of the cache as used, and removes those beside it that were not for the
/// longest time.
pub fn forget_old(used: &Path) {
    // All of this is best effort: what can't be removed now can be the next time.
    if let Ok(folder) = std::fs::File::open(used) {
        let _ = folder.set_modified(std::time::SystemTime::now());
    }
    let images = used.parent().map(fs::list).and_then(Result::ok).unwrap_or_default();
    let time = |path: &PathBuf| path.metadata().and_then(|meta| meta.modified()).ok();
    let mut by_age: Vec<_> = images.into_iter().map(|path| (time(&path), path)).collect();
    by_age.sort();
    let surplus = by_age.len().saturating_sub(KEPT_IMAGES);
    for (_, path) in by_age.into_iter().take(surplus) {
        let _ = fs::remove(&path);
    }
}

/// Time stamps of the content: `SOURCE_DATE_EPOCH`, else the recipe's.
///
/// # Errors
/// When the variable is no number.
pub fn epoch(recipe: u64) -> Result<u64, Error> {
    match std::env::var("SOURCE_DATE_EPOCH") {
        Ok(text) => text.trim().parse().map_err(|_| {
            Error::Image(format!("SOURCE_DATE_EPOCH=`{text}` is no number of seconds; unset it"))
        }),
        Err(_) => Ok(recipe),
    }
}
