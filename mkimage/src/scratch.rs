//! Unfinished output: written beside its target under a temporary name, moved there when it is
//! whole, removed on error and when the program is interrupted.

use crate::fs;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Everything that an interrupt must remove.
static UNFINISHED: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// How often removing is tried.
const ATTEMPTS: u32 = 50;
static COUNTER: AtomicU32 = AtomicU32::new(0);

fn unfinished<T>(change: impl FnOnce(&mut BTreeSet<PathBuf>) -> T) -> T {
    change(&mut UNFINISHED.lock().unwrap_or_else(PoisonError::into_inner))
}

/// A file or folder being made; removed when dropped before [`Scratch::finish`].
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    target: PathBuf,
    done: bool,
}

impl Scratch {
    /// A temporary name beside `target`, whose folder is created when missing. Nothing exists
    /// under the name yet.
    ///
    /// # Errors
    /// When the folder can't be created.
    pub fn new(target: &Path) -> fs::Result<Self> {
        let folder = target.parent().unwrap_or(Path::new("."));
        fs::create_dir(folder)?;
        let name = target.file_name().unwrap_or_default().to_string_lossy();
        let number = COUNTER.fetch_add(1, Ordering::Relaxed);
        let path = folder.join(format!(".{name}.{}-{number}.tmp", std::process::id()));
        unfinished(|all| all.insert(path.clone()));
        Ok(Self { path, target: target.to_owned(), done: false })
    }

    /// As [`Self::new`], and creates the temporary name as a folder.
    ///
    /// # Errors
    /// When the folder can't be created.
    pub fn folder(target: &Path) -> fs::Result<Self> {
        let scratch = Self::new(target)?;
        fs::create_dir(&scratch.path)?;
        Ok(scratch)
    }

    /// Where to write.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Moves the output to its target, replacing what is there.
    ///
    /// # Errors
    /// When it can't be moved; the output is removed then.
    pub fn finish(mut self) -> fs::Result<()> {
        let is_folder = |path: &Path| path.symlink_metadata().is_ok_and(|meta| meta.is_dir());
        if is_folder(&self.target) || is_folder(&self.path) {
            fs::remove(&self.target)?;
        }
        fs::rename(&self.path, &self.target)?;
        self.done = true;
        unfinished(|all| all.remove(&self.path));
        Ok(())
    }
}

/// Removes what killed runs left in a folder that nobody else writes to now.
///
/// # Errors
/// When it can't be removed.
pub fn remove_left(folder: &Path) -> fs::Result<()> {
    let left = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with('.') && name.ends_with(".tmp")
    };
    fs::list(folder)?.into_iter().filter(left).try_for_each(|path| fs::remove(&path))
}

impl Scratch {
    /// As [`Self::finish`], for a folder named after its content: one that is there already is as
    /// good, and perhaps in use, so it stays.
    ///
    /// # Errors
    /// When it can't be moved.
    pub fn finish_unless_there(self) -> fs::Result<()> {
        if self.target.is_dir() { Ok(()) } else { self.finish() }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: the error that led here is the one to report.
            let _ = fs::remove(&self.path);
            unfinished(|all| all.remove(&self.path));
        }
    }
}

/// Removes all unfinished output: called once, by the interrupt handler.
pub fn remove_unfinished() {
    for path in unfinished(std::mem::take) {
        // Other threads may still be at it, until their folder is gone.
        for _ in 0..ATTEMPTS {
            if fs::remove(&path).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finished_output_replaces_and_unfinished_vanishes() {
        let folder = tempfile::tempdir().unwrap();
        let target = folder.path().join("new/out");
        let first = Scratch::folder(&target).unwrap();
        fs::write(&first.path().join("a"), "1").unwrap();
        first.finish().unwrap();
        let second = Scratch::folder(&target).unwrap();
        fs::write(&second.path().join("b"), "2").unwrap();
        second.finish().unwrap();
        let third = Scratch::new(&target).unwrap();
        fs::write(third.path(), "half").unwrap();
        drop(third);
        fs::write(&target.parent().unwrap().join(".out.7-7.tmp"), "killed").unwrap();
        remove_left(target.parent().unwrap()).unwrap();
        assert_eq!(fs::list(&target).unwrap(), [target.join("b")]);
        assert_eq!(fs::list(target.parent().unwrap()).unwrap(), [target]);
    }
}
