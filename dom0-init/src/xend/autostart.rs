//! Starts what is to run from the beginning, once since the machine started: a daemon that is
//! started again goes on with what the last one hadn't got to.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;

use super::toolstack::Automatic;
use super::{Shared, lock};

/// What is still to be started; empty once all were.
const PENDING: &str = "/run/xenolith/autostart";

/// Starts to start them, in a thread of its own.
///
/// # Errors
/// When it can't be noted which there are.
pub fn start(shared: &Shared) -> anyhow::Result<()> {
    let pending = match fs::read(PENDING) {
        Ok(noted) => serde_json::from_slice(&noted).context(PENDING)?,
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let all = lock(shared).automatic();
            note(&all)?;
            all
        }
        Err(error) => return Err(error).context(PENDING),
    };
    let shared = Arc::clone(shared);
    // Meanwhile requests are answered, between one guest and the next.
    std::thread::Builder::new()
        .name("autostart".into())
        .spawn(move || start_each(&shared, &pending))
        .context("can't start a thread")?;
    Ok(())
}

fn start_each(shared: &Shared, mut pending: &[Automatic]) {
    while let Some((guest, rest)) = pending.split_first() {
        lock(shared).start_automatic(guest);
        pending = rest;
        if let Err(error) = note(pending) {
            log::error!("{error:#}");
        }
    }
}

/// Keeps what is still to be started, whole or as before.
fn note(pending: &[Automatic]) -> anyhow::Result<()> {
    let place = Path::new(PENDING);
    if let Some(folder) = place.parent() {
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    super::definition::replace(place, &serde_json::to_vec(pending)?)
}
