//! Waits for guests to end.

use std::thread;

use anyhow::Context;
use xenstore::client::Client;
use xenstore::path::RELEASE_DOMAIN;

use super::{Shared, lock};

/// Starts to wait, in a thread of its own, with a connection of its own.
///
/// # Errors
/// When it can't be started.
pub fn start(shared: Shared, mut store: Client) -> anyhow::Result<()> {
    store.watch(RELEASE_DOMAIN, "ended").context("can't watch for guests that end")?;
    let wait = move || {
        // The watch's first event comes at once, for what ended before this daemon started.
        while let Ok(Some(_event)) = store.event(None) {
            if let Err(error) = lock(&shared).settle() {
                log::error!("{error:#}");
            }
        }
        // Without the store nothing goes on: PID 1 starts this daemon again, which waits for it.
        log::error!("the connection to the store broke");
        std::process::exit(1);
    };
    thread::Builder::new().name("lifecycle".into()).spawn(wait).context("can't start a thread")?;
    Ok(())
}
