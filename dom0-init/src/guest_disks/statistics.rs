//! What a disk did, for whoever looks (`xm top`): in files of the disk's folder that are called as
//! the kernel calls those of its own backends.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// So often is told what changed.
const PAUSE: Duration = Duration::from_secs(1);

/// What was counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Sectors read.
    pub read_sectors: u64,
    /// Sectors written.
    pub written_sectors: u64,
}

impl Counts {
    /// By the files' names.
    fn named(&mut self) -> [(&'static str, &mut u64); 4] {
        [
            ("rd_req", &mut self.reads),
            ("wr_req", &mut self.writes),
            ("rd_sect", &mut self.read_sectors),
            ("wr_sect", &mut self.written_sectors),
        ]
    }
}

/// A disk's counts in their files.
#[derive(Debug)]
pub struct Statistics {
    folder: PathBuf,
    /// What earlier daemons counted.
    before: Counts,
    told: Counts,
    /// When it may be told again.
    due: Instant,
}

impl Statistics {
    /// Goes on with what an earlier daemon counted. What can't be read counts as nothing.
    pub fn of(disk: &Path) -> Self {
        let folder = disk.join("statistics");
        let mut before = Counts::default();
        for (name, count) in before.named() {
            let text = std::fs::read_to_string(folder.join(name)).unwrap_or_default();
            *count = text.trim().parse().unwrap_or(0);
        }
        Self { folder, before, told: Counts::default(), due: Instant::now() }
    }

    /// Tells what was counted, unless it was told a moment ago; gives how long to wait then.
    ///
    /// # Errors
    /// As the system has it.
    pub fn tell(&mut self, now: &Counts) -> std::io::Result<Option<Duration>> {
        if *now == self.told {
            return Ok(None);
        }
        let wait = self.due.saturating_duration_since(Instant::now());
        if !wait.is_zero() {
            return Ok(Some(wait));
        }
        std::fs::create_dir_all(&self.folder)?;
        let (mut now_by_name, mut before) = (*now, self.before);
        for ((name, count), (_, before)) in now_by_name.named().into_iter().zip(before.named()) {
            std::fs::write(self.folder.join(name), format!("{}\n", before.saturating_add(*count)))?;
        }
        (self.told, self.due) = (*now, Instant::now() + PAUSE);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_go_on_where_an_earlier_daemon_stopped() {
        let folder = std::env::temp_dir().join(format!("statistics-{}", std::process::id()));
        let counts = Counts { reads: 3, written_sectors: 8, ..Counts::default() };
        let read = |name: &str| std::fs::read_to_string(folder.join("statistics").join(name));
        for total in ["3\n", "6\n"] {
            let mut statistics = Statistics::of(&folder);
            assert_eq!(statistics.tell(&Counts::default()).unwrap(), None);
            assert_eq!(statistics.tell(&counts).unwrap(), None);
            assert_eq!(read("rd_req").unwrap(), total);
            // Not again at once.
            let more = Counts { reads: 4, ..counts };
            assert!(statistics.tell(&more).unwrap().is_some());
            assert_eq!(read("rd_req").unwrap(), total);
        }
        assert_eq!(read("wr_sect").unwrap(), "16\n");
        std::fs::remove_dir_all(folder).unwrap();
    }
}
