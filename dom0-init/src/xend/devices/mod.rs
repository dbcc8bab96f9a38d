//! Guests' devices: the two ends of each in the store, between which the kernels connect.
//!
//! A device is a folder of the guest ([`Device::frontend`]) and one of the control domain
//! ([`Device::backend`]), which name each other and hold each end's state. The control domain's
//! kernel, or the daemon of disks, serves the backend as soon as it appears.

pub mod disk;
pub mod vif;

use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use uuid::Uuid;
use xenctl::xen_abi::io::xenbus::XenbusState;
use xenstore::DomId;
use xenstore::client::{Client, Tx};
use xenstore::permission::{Access, Permission};

use super::store_nodes;
use crate::guest_disks;
use crate::host_config::HostConfig;

/// How long a backend may take to be ready.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long both ends may take to let go of a device.
const LEAVE: Duration = Duration::from_secs(10);
/// How long between two looks at its state.
const PAUSE: Duration = Duration::from_millis(5);

/// Who serves a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A disk, served by the kernel.
    Vbd,
    /// A disk, served by [`crate::guest_disks`].
    Qdisk,
    /// A network interface, served by the kernel.
    Vif,
}

impl Kind {
    /// What the guest's end is called.
    fn frontend(self) -> &'static str {
        match self {
            Self::Vbd | Self::Qdisk => "vbd",
            Self::Vif => "vif",
        }
    }

    /// What the control domain's end is called.
    fn backend(self) -> &'static str {
        match self {
            Self::Vbd => "vbd",
            Self::Qdisk => guest_disks::KIND,
            Self::Vif => "vif",
        }
    }
}

/// A device of a guest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    /// The guest.
    pub domain: u16,
    /// What it is, and who serves it.
    pub kind: Kind,
    /// Its number among those of its kind.
    pub number: u32,
}

/// The nodes of one end, by name.
pub type Nodes = Vec<(&'static str, String)>;

impl Device {
    /// The guest's end.
    pub fn frontend(&self) -> String {
        format!("/local/domain/{}/device/{}/{}", self.domain, self.kind.frontend(), self.number)
    }

    /// The control domain's end.
    pub fn backend(&self) -> String {
        format!("/local/domain/0/backend/{}/{}/{}", self.kind.backend(), self.domain, self.number)
    }

    /// Where backends say what went wrong, as Linux has it.
    pub fn error_node(backend: &str) -> String {
        format!("/local/domain/0/error/{}/error", backend.trim_start_matches("/local/domain/0/"))
    }

    /// Makes both ends appear at once; a guest doesn't see its end of an interface before
    /// [`Self::offer`].
    ///
    /// # Errors
    /// As the store has it; neither is there then.
    pub fn add(&self, store: &mut Client, front: Nodes, back: Nodes) -> anyhow::Result<()> {
        let (frontend, backend) = (self.frontend(), self.backend());
        let initialising = XenbusState::INITIALISING.0.to_string();
        let front = common(front, "backend", &backend, "backend-id", 0, &initialising);
        let back = common(back, "frontend", &frontend, "frontend-id", self.domain, &initialising);
        let (guest, control) = (DomId(self.domain), DomId::CONTROL);
        let owner = if self.kind == Kind::Vif { control } else { guest };
        let ends =
            [(&frontend, front, shared(owner, control)), (&backend, back, shared(control, guest))];
        store.transact(|store, tx| {
            for (folder, nodes, permissions) in &ends {
                store.remove(tx, folder)?;
                store.make(tx, folder)?;
                store.set_permissions(tx, folder, permissions)?;
                for (name, value) in nodes {
                    store.write(tx, &format!("{folder}/{name}"), value)?;
                }
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Gives a guest its end. It hears of that, for it watches its devices.
    ///
    /// # Errors
    /// As the store has it.
    pub fn offer(&self, store: &mut Client) -> anyhow::Result<()> {
        let frontend = self.frontend();
        let permissions = shared(DomId(self.domain), DomId::CONTROL);
        store.transact(|store, tx| {
            for name in store.list(tx, &frontend)? {
                store.set_permissions(tx, &format!("{frontend}/{name}"), &permissions)?;
            }
            store.set_permissions(tx, &frontend, &permissions)
        })?;
        Ok(())
    }

    /// Whether it is there.
    ///
    /// # Errors
    /// As the store has it.
    pub fn exists(&self, store: &mut Client) -> anyhow::Result<bool> {
        Ok(store.read(Tx::NONE, &format!("{}/state", self.backend()))?.is_some())
    }

    /// Makes both ends vanish.
    ///
    /// # Errors
    /// As the store has it.
    pub fn remove(&self, store: &mut Client) -> anyhow::Result<()> {
        let (frontend, backend) = (self.frontend(), self.backend());
        store.transact(|store, tx| {
            store.remove(tx, &frontend)?;
            store.remove(tx, &backend)
        })?;
        Ok(())
    }

    /// Removes what came back of the control domain's end after that.
    ///
    /// # Errors
    /// As the store has it.
    pub fn remove_rest(&self, store: &mut Client) -> anyhow::Result<()> {
        Ok(store.remove(Tx::NONE, &self.backend())?)
    }

    /// Waits until it is served.
    ///
    /// # Errors
    /// What the kernel or the daemon says is wrong, or that it says nothing for too long.
    pub fn wait_until_served(&self, store: &mut Client) -> anyhow::Result<()> {
        let backend = self.backend();
        let deadline = Instant::now() + PATIENCE;
        loop {
            match state(store, &backend)? {
                Some(
                    XenbusState::INIT_WAIT | XenbusState::INITIALISED | XenbusState::CONNECTED,
                ) => {
                    return Ok(());
                }
                Some(XenbusState::CLOSING | XenbusState::CLOSED) => {
                    let said = store.read(Tx::NONE, &Self::error_node(&backend))?;
                    if let (Kind::Qdisk, Some(said)) = (self.kind, &said) {
                        bail!("{said}");
                    }
                    bail!(
                        "the kernel refuses it: {}",
                        said.as_deref().unwrap_or("it doesn't say why")
                    );
                }
                _ if Instant::now() >= deadline && self.kind == Kind::Qdisk => {
                    bail!("nobody serves it within {PATIENCE:?}: `xm log` may say why");
                }
                _ if Instant::now() >= deadline => {
                    bail!(
                        "the kernel doesn't serve it within {PATIENCE:?}: `xm log -k` may say why"
                    );
                }
                _ => std::thread::sleep(PAUSE),
            }
        }
    }
}

/// The state of a device's end; `None` when its folder is gone.
///
/// # Errors
/// As the store has it.
pub fn state(store: &mut Client, end: &str) -> anyhow::Result<Option<XenbusState>> {
    let state = store.read(Tx::NONE, &format!("{end}/state"))?;
    Ok(state.and_then(|state| state.parse().ok()).map(XenbusState))
}

/// Asks both ends of a device to let go of it, and waits until they have.
///
/// # Errors
/// When they don't.
pub fn close(store: &mut Client, device: &Device) -> anyhow::Result<()> {
    let backend = device.backend();
    store.transact(|store, tx| {
        let online = format!("{backend}/online");
        // Who asked before may have been killed before it was done.
        if store.read(tx, &online)?.as_deref() == Some("0") {
            return Ok(());
        }
        store.write(tx, &online, "0")?;
        store.write(tx, &format!("{backend}/state"), &XenbusState::CLOSING.0.to_string())
    })?;
    let deadline = Instant::now() + LEAVE;
    loop {
        if matches!(state(store, &backend)?, None | Some(XenbusState::CLOSED)) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "the guest doesn't let go of it within {LEAVE:?}");
        std::thread::sleep(PAUSE);
    }
}

/// The devices of a guest.
#[derive(Debug)]
pub struct All {
    vifs: Vec<u32>,
    disks: Vec<Device>,
}

/// All devices of a guest.
///
/// # Errors
/// As the store has it.
pub fn all(store: &mut Client, domain: u16) -> anyhow::Result<All> {
    Ok(All { vifs: vif::numbers(store, domain)?, disks: disk::all(store, domain)? })
}

/// Waits until nobody serves devices whose nodes are gone, and forgets them.
///
/// # Errors
/// As the store has it.
pub fn forget(store: &mut Client, domain: u16, all: &All) -> anyhow::Result<()> {
    vif::forget(domain, &all.vifs);
    for device in &all.disks {
        disk::forget(store, device)?;
    }
    Ok(store_nodes::remove_backends(store, Tx::NONE, domain)?)
}

/// Takes all devices from a guest that doesn't run any more.
///
/// # Errors
/// As the store has it.
pub fn remove_all(store: &mut Client, domain: u16) -> anyhow::Result<()> {
    let devices = all(store, domain)?;
    store.transact(|store, tx| {
        store.remove(tx, &format!("{}/device", store_nodes::home(domain)))?;
        store_nodes::remove_backends(store, tx, domain)
    })?;
    forget(store, domain, &devices)
}

/// The permissions of what one writes and another may read.
fn shared(writer: DomId, reader: DomId) -> [Permission; 2] {
    let entry = |domain, access| Permission { domain, access };
    [entry(writer, Access::NONE), entry(reader, Access::READ)]
}

fn common(
    mut nodes: Nodes,
    other: &'static str,
    path: &str,
    other_id: &'static str,
    id: u16,
    state: &str,
) -> Nodes {
    nodes.extend([
        (other, path.to_owned()),
        (other_id, id.to_string()),
        ("state", state.to_owned()),
    ]);
    nodes
}

/// Makes a guest's devices, and waits until all are served.
///
/// # Errors
/// Which one isn't, and why.
pub fn add_all(
    store: &mut Client,
    domain: u16,
    guest: &toolstack::config::guest::Guest,
    uuid: Uuid,
) -> anyhow::Result<()> {
    // The backends come up side by side.
    let mut waiting = Vec::new();
    for disk in &guest.disks {
        let added = disk::add(store, domain, disk);
        waiting.push((disk, added.with_context(|| format!("disk {}", disk.device))?));
    }
    let host = HostConfig::current();
    let mut vifs = Vec::new();
    for (number, vif) in (0..).zip(&guest.vifs) {
        let mac = vif.mac.unwrap_or_else(|| vif::usual_mac(uuid, number));
        let device = vif::device(domain, number);
        let added = vif::add(store, &device, mac, vif, &host);
        added.with_context(|| format!("vif {number}"))?;
        vifs.push(device);
    }
    for device in &vifs {
        vif::connect(store, device).with_context(|| format!("vif {}", device.number))?;
    }
    for (disk, attached) in &waiting {
        attached.wait_until_opened(store).with_context(|| format!("disk {}", disk.device))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_where_kernels_look() {
        let device = Device { domain: 7, kind: Kind::Vbd, number: 51712 };
        assert_eq!(device.frontend(), "/local/domain/7/device/vbd/51712");
        assert_eq!(device.backend(), "/local/domain/0/backend/vbd/7/51712");
        let device = Device { kind: Kind::Qdisk, ..device };
        assert_eq!(device.frontend(), "/local/domain/7/device/vbd/51712");
        assert_eq!(device.backend(), "/local/domain/0/backend/qdisk/7/51712");
        let nodes = common(vec![("mode", "w".into())], "backend", "/x", "backend-id", 0, "1");
        let names: Vec<_> = nodes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, ["mode", "backend", "backend-id", "state"]);
    }
}
