//! What the interfaces have, as the network daemon writes it down for everyone else.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::dhcp::Lease;

const FOLDER: &str = "/run/xenolith/net";

/// One interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// Its name.
    pub interface: String,
    /// Whether it has a carrier.
    pub carrier: bool,
    /// Its address and prefix length.
    pub address: Option<(Ipv4Addr, u8)>,
    /// The default router.
    pub router: Option<Ipv4Addr>,
    /// The name servers, best first.
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain that names are looked up in.
    pub domain: Option<String>,
}

impl Status {
    /// An interface without an address.
    pub fn unconfigured(interface: &str, carrier: bool) -> Self {
        Self {
            interface: interface.to_owned(),
            carrier,
            address: None,
            router: None,
            name_servers: Vec::new(),
            domain: None,
        }
    }

    /// An interface with a lease.
    pub fn leased(interface: &str, lease: &Lease) -> Self {
        Self {
            interface: interface.to_owned(),
            carrier: true,
            address: Some((lease.address, lease.prefix)),
            router: lease.routers.first().copied(),
            name_servers: lease.name_servers.clone(),
            domain: lease.domain.clone(),
        }
    }
}

/// Writes one interface's status.
pub fn publish(status: &Status) {
    let written = serde_json::to_vec(status)
        .map_err(std::io::Error::from)
        .and_then(|text| replace(&file(&status.interface), &text));
    if let Err(error) = written {
        log::warn!("{}: can't write its status: {error}", status.interface);
    }
}

/// Removes the status of an interface that is gone.
pub fn forget(interface: &str) {
    // It may never have had one.
    let _absent = std::fs::remove_file(file(interface));
}

/// The status of every interface, sorted by name.
pub fn all() -> Vec<Status> {
    let Ok(entries) = std::fs::read_dir(FOLDER) else { return Vec::new() };
    let mut all: Vec<Status> = entries
        .flatten()
        .filter_map(|entry| std::fs::read(entry.path()).ok())
        .filter_map(|text| serde_json::from_slice(&text).ok())
        .collect();
    all.sort_by(|a: &Status, b| a.interface.cmp(&b.interface));
    all
}

/// Writes a file so that readers see the old or the new text, never half of one.
pub fn replace(path: &Path, text: &[u8]) -> std::io::Result<()> {
    let new = path.with_extension("new");
    std::fs::write(&new, text)?;
    std::fs::rename(&new, path)
}

fn file(interface: &str) -> PathBuf {
    Path::new(FOLDER).join(format!("{interface}.json"))
}
