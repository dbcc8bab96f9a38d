//! A guest's console on the data partition, in two files of bounded size.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// Where they are: `NAME.log`, and `NAME.log.1` from before.
const FOLDER: &str = "/data/log/guests";
/// How long a file gets.
const LONGEST: u64 = 1 << 20;

/// Where the log of a guest's console is.
pub fn log_of(name: &str) -> PathBuf {
    Path::new(FOLDER).join(file_of(name))
}

fn file_of(name: &str) -> String {
    // A name from the store may hold anything.
    let plain = |c: char| if c.is_ascii_alphanumeric() || "-_.+@".contains(c) { c } else { '_' };
    format!("{}.log", name.chars().map(plain).collect::<String>())
}

/// The log of one guest.
#[derive(Debug)]
pub struct Logfile {
    place: PathBuf,
    file: Option<File>,
    length: u64,
    /// Whether it was said that it can't be written: once is enough.
    complained: bool,
}

impl Logfile {
    /// Of a guest; nothing is written yet.
    pub fn of(name: &str) -> Self {
        Self::at(Path::new(FOLDER), name)
    }

    fn at(folder: &Path, name: &str) -> Self {
        let place = folder.join(file_of(name));
        Self { place, file: None, length: 0, complained: false }
    }

    /// Adds what was written. What can't be logged is lost; the guest goes on.
    pub fn add(&mut self, written: &[u8]) {
        match self.try_add(written) {
            Ok(()) => self.complained = false,
            Err(error) => {
                self.file = None;
                if !std::mem::replace(&mut self.complained, true) {
                    log::warn!(
                        "{}: {error}; the console isn't logged until it can be written again",
                        self.place.display()
                    );
                }
            }
        }
    }

    fn try_add(&mut self, written: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            if let Some(folder) = self.place.parent() {
                fs::create_dir_all(folder)?;
            }
            let file = OpenOptions::new().create(true).append(true).open(&self.place)?;
            self.length = file.metadata()?.len();
            self.file = Some(file);
        }
        if let Some(file) = &mut self.file {
            file.write_all(written)?;
        }
        self.length = self.length.saturating_add(written.len() as u64);
        if self.length >= LONGEST {
            self.file = None;
            fs::rename(&self.place, self.place.with_extension("log.1"))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_files_are_all_there_ever_is() {
        let folder = std::env::temp_dir().join(format!("consoles-{}", std::process::id()));
        let mut log = Logfile::at(&folder, "web/1");
        let line = [b'x'; 1000];
        for _ in 0..3000 {
            log.add(&line);
        }
        let sizes: Vec<u64> =
            fs::read_dir(&folder).unwrap().map(|e| e.unwrap().metadata().unwrap().len()).collect();
        assert_eq!(sizes.len(), 2);
        assert!(sizes.iter().all(|size| *size < LONGEST + 1000));
        assert!(folder.join("web_1.log.1").exists());
        fs::remove_dir_all(folder).unwrap();
    }
}
