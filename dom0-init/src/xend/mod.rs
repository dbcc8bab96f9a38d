//! The toolstack's daemon: owns the guests from their creation to their end.
//!
//! [`toolstack`] is what it can do, [`lifecycle`] what it does by itself when guests end, [`api`]
//! how it is asked, [`devices`] what guests have, [`client`] the other end of that. What it must not forget is on disk
//! ([`definition`]), so that it may be killed and started again at any moment: it finds the guests
//! that run and looks after them as before.

mod api;
mod autostart;
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
use crate::init::hypervisor::is_present as hypervisor_is_present;
use toolstack::Toolstack;

/// Where it listens.
pub const SOCKET: &str = "/run/xenolith/xend.sock";

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
    autostart::start(&shared)?;
    api::serve(&shared)
}

/// Connects to the store, which may just be starting.
///
/// # Errors
/// When it does not come up.
pub fn connect() -> anyhow::Result<Client> {
    connect_within(PATIENCE)
}

/// The same, with other patience.
///
/// # Errors
/// When it does not come up.
pub fn connect_within(patience: Duration) -> anyhow::Result<Client> {
    let deadline = Instant::now() + patience;
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
