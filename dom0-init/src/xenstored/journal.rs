//! The store's journal, in memory: what a process that is started again goes on from.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use xenstore::{RingState, Store};

/// Where it is: it doesn't outlive the machine, and neither do the domains.
const PLACE: &str = "/run/xenstored/journal";
/// It is written anew when it is this long, and several times as long as it began.
const LONG: u64 = 4 << 20;
const GROWTH: u64 = 8;

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    file: File,
    began: u64,
    length: u64,
    /// It can't be written, and that was said.
    broken: bool,
}

/// What an earlier process left; nothing if there was none.
///
/// # Errors
/// When it is there and can't be read.
pub fn left() -> anyhow::Result<Vec<u8>> {
    match fs::read(PLACE) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        other => other.context(PLACE),
    }
}

impl Journal {
    /// Begins one with all that is in a store.
    ///
    /// # Errors
    /// As the system has it.
    pub fn begin(store: &mut Store, rings: &[RingState]) -> anyhow::Result<Self> {
        let (file, length) = anew(&store.whole_journal(rings)).context(PLACE)?;
        Ok(Self { file, began: length, length, broken: false })
    }

    /// Adds what changed since. `rings` tells how far the rings are, if the journal begins anew.
    pub fn add(&mut self, store: &mut Store, rings: impl FnOnce() -> Vec<RingState>) {
        let new = store.take_journal();
        if new.is_empty() {
            return;
        }
        let added = self.file.write_all(&new);
        self.length = self.length.saturating_add(new.len() as u64);
        // One that lacks something is of no use: it is written anew then too.
        let long = self.length > LONG.max(self.began.saturating_mul(GROWTH));
        if added.is_ok() && !long && !self.broken {
            return;
        }
        match anew(&store.whole_journal(&rings())) {
            Ok((file, length)) => {
                *self = Self { file, began: length, length, broken: false };
            }
            Err(error) => {
                if !std::mem::replace(&mut self.broken, true) {
                    log::error!("{PLACE}: {error}: guests won't survive the end of this daemon");
                }
            }
        }
    }
}

fn anew(content: &[u8]) -> io::Result<(File, u64)> {
    let place = Path::new(PLACE);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder)?;
    }
    let unfinished = place.with_extension("part");
    let _none = fs::remove_file(&unfinished);
    let mut file = OpenOptions::new().create_new(true).append(true).open(&unfinished)?;
    file.write_all(content)?;
    fs::rename(&unfinished, place)?;
    Ok((file, content.len() as u64))
}
