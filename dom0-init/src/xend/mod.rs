//! The toolstack's daemon: owns the guests from their creation to their end.
//!
//! [`toolstack`] is what it can do, [`lifecycle`] what it does by itself when guests end, [`api`]
//! how it is asked, [`devices`] what guests have, [`client`] the other end of that. What it must not forget is on disk
//! ([`definition`]), so that it may be killed and started again at any moment: it finds the guests
//! that run and looks after them as before.

mod api;
mod changes;
pub mod client;
mod cpus;
mod definition;
pub mod devices;
mod lifecycle;
pub mod messages;
mod store_nodes;
mod toolstack;
mod vifs;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use anyhow::Context;
use xenstore::client::Client;

use crate::host_config::HostConfig;
use toolstack::Toolstack;

/// Where it listens.
pub const SOCKET: &str = "/run/xenolith/xend.sock";

/// Is there once the guests that start with the machine were started.
const AUTOSTARTED: &str = "/run/xenolith/autostarted";

/// How long the store may take to come up.
const PATIENCE: Duration = Duration::from_secs(60);

/// The toolstack, for those who wait for requests and for those who wait for guests.
type Shared = Arc<Mutex<Toolstack>>;

/// Runs until the system fails it.
///
/// # Errors
/// When hypervisor, store or socket can't be opened.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    let mut toolstack = Toolstack::open(connect()?)?;
    toolstack.adopt()?;
    cpus::limit(HostConfig::current().dom0_cpus);
    let shared = Arc::new(Mutex::new(toolstack));
    lifecycle::start(Arc::clone(&shared), connect()?)?;
    start_with_the_machine(&shared)?;
    api::serve(&shared)
}

/// Starts what is to run from the beginning, if nobody has done that since the machine started.
fn start_with_the_machine(shared: &Shared) -> anyhow::Result<()> {
    if let Some(folder) = std::path::Path::new(AUTOSTARTED).parent() {
        std::fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
    }
    if let Err(error) = std::fs::File::create_new(AUTOSTARTED) {
        let done = error.kind() == std::io::ErrorKind::AlreadyExists;
        return if done { Ok(()) } else { Err(error).context(AUTOSTARTED) };
    }
    let shared = Arc::clone(shared);
    // Meanwhile requests are answered, between one guest and the next.
    std::thread::Builder::new()
        .name("autostart".into())
        .spawn(move || {
            let all = lock(&shared).automatic();
            all.iter().for_each(|guest| lock(&shared).start_automatic(guest));
        })
        .context("can't start a thread")?;
    Ok(())
}

/// Connects to the store, which may just be starting.
///
/// # Errors
/// When it does not come up.
pub fn connect() -> anyhow::Result<Client> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match Client::connect() {
            Ok(client) => return Ok(client),
            Err(error) if Instant::now() >= deadline => return Err(error).context("no store"),
            Err(_) => std::thread::sleep(Duration::from_millis(50)),
        }
    }
}

/// The toolstack; that an earlier request panicked is no reason to refuse the next.
fn lock(shared: &Shared) -> MutexGuard<'_, Toolstack> {
    shared.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
