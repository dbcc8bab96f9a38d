//! Which files are in use: one that is written is nobody else's, one that is read may be read by
//! others.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// A disk of a guest that is gone lets go of its files within this time.
const PATIENCE: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(20);

/// A guest's disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DiskId {
    /// The guest.
    pub domain: u16,
    /// The disk's number.
    pub number: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Use {
    disk: DiskId,
    writes: bool,
}

/// A file, by its file system and number in it.
type FileId = (u64, u64);

/// The files in use. Clones are the same.
#[derive(Debug, Clone, Default)]
pub struct InUse(Arc<Mutex<HashMap<FileId, Vec<Use>>>>);

/// A file is in use until this is dropped.
#[derive(Debug)]
pub struct Claim {
    all: InUse,
    file: FileId,
    claimed: Use,
}

impl InUse {
    /// Claims a file for a disk. One whose disk is gone, as `is_there` has it, is waited for.
    ///
    /// # Errors
    /// The disk that uses it.
    pub fn claim(
        &self,
        file: &File,
        disk: DiskId,
        writes: bool,
        mut is_there: impl FnMut(DiskId) -> anyhow::Result<bool>,
    ) -> anyhow::Result<Result<Claim, DiskId>> {
        let facts = file.metadata()?;
        let file = (facts.dev(), facts.ino());
        let claimed = Use { disk, writes };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let Some(other) = self.try_claim(file, claimed) else {
                return Ok(Ok(Claim { all: self.clone(), file, claimed }));
            };
            if Instant::now() >= deadline || is_there(other)? {
                return Ok(Err(other));
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Claims a file, unless another disk has it.
    fn try_claim(&self, file: FileId, claimed: Use) -> Option<DiskId> {
        let mut all = self.lock();
        let uses = all.entry(file).or_default();
        let other =
            uses.iter().find(|other| other.writes || claimed.writes).map(|other| other.disk);
        if other.is_none() {
            uses.push(claimed);
        }
        other
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<FileId, Vec<Use>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut all = self.all.lock();
        if let Some(uses) = all.get_mut(&self.file) {
            if let Some(at) = uses.iter().position(|other| *other == self.claimed) {
                uses.swap_remove(at);
            }
            if uses.is_empty() {
                all.remove(&self.file);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_writer_or_any_readers() {
        let file = File::open("/dev/null").unwrap();
        let all = InUse::default();
        let disk = |domain| DiskId { domain, number: 51712 };
        let claim = |domain, writes| all.claim(&file, disk(domain), writes, |_| Ok(true)).unwrap();
        let first = claim(1, false).unwrap();
        let second = claim(2, false).unwrap();
        assert_eq!(claim(3, true).unwrap_err(), disk(1));
        drop((first, second));
        let writer = claim(3, true).unwrap();
        assert_eq!(claim(1, false).unwrap_err(), disk(3));
        // Its guest is gone; it lets go while the next one waits.
        let waits = std::thread::spawn(move || {
            std::thread::sleep(Duration::from_millis(60));
            drop(writer);
        });
        let next = all.claim(&file, disk(4), true, |_| Ok(false)).unwrap();
        waits.join().unwrap();
        drop(next.unwrap());
        assert!(all.lock().is_empty());
    }
}
