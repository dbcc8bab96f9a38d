//! The store's daemon: serves [`xenstore::Store`] to programs over a socket, to guests and to
//! this domain's own kernel over rings.
//!
//! One thread waits for everything ([`serve`]); nothing here blocks. [`ring`] is the protocol of
//! a shared page, [`rings`] the pages and event channels of the domains, [`sockets`] the
//! programs' connections. What it knows is in a [`journal`], so that it may be killed and started
//! again at any moment: domains go on.

mod journal;
mod ring;
mod rings;
mod server;
mod sockets;

use anyhow::Context;
use xenstore::Store;
use xenstore::path::Path;
use xenstore::permission::DomId;
use xenstore::quota::Quota;

use server::Server;

/// What is in the store from the beginning.
const FIRST_NODES: &[(&str, &str)] = &[
    ("/tool/xenstored", ""),
    ("/local/domain/0/domid", "0"),
    ("/local/domain/0/name", "Domain-0"),
    ("/vm", ""),
];

/// Runs until the system fails it.
///
/// # Errors
/// When the socket or the way to the hypervisor can't be opened.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    let (mut store, left) = Store::of_journal(Quota::default(), &journal::left()?);
    for (path, value) in FIRST_NODES {
        let path = Path::parse(path, DomId::CONTROL).context("a first node")?;
        if store.tree().get(&path).is_none() {
            store.write(&path, value.as_bytes());
        }
    }
    Server::new(store, &left)?.serve()
}
