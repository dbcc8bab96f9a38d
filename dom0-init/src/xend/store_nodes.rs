//! What stands in the store about a guest.

use toolstack::build::{Built, CONSOLE_FRAME, STORE_FRAME};
use toolstack::config::guest::Guest;
use uuid::Uuid;
use xenstore::DomId;
use xenstore::client::{Client, Result, Tx};
use xenstore::permission::{Access, Permission};

/// A guest's home.
pub fn home(domain: u16) -> String {
    format!("/local/domain/{domain}")
}

/// What a guest's kernel and tools write themselves.
const WRITABLE: &[&str] = &[
    "control/feature-poweroff",
    "control/feature-reboot",
    "control/feature-suspend",
    "control/shutdown",
    "control/sysrq",
    "data",
    "drivers",
    "attr",
    "error",
    "feature",
    "device/suspend/event-channel",
];

/// Writes all that a new guest, its frontends and other tools look for.
///
/// # Errors
/// As the store has it; nothing is written then.
pub fn write(store: &mut Client, built: &Built, guest: &Guest, uuid: Uuid) -> Result<()> {
    let home = home(built.domain);
    let vm = format!("/vm/{uuid}");
    let own = |access| Permission { domain: DomId(built.domain), access };
    let control = Permission { domain: DomId::CONTROL, access: Access::NONE };
    let read_only = [control, own(Access::READ)];
    let writable = [own(Access::NONE)];
    let nodes = nodes(built, guest, &vm);
    store.transact(|store, tx| {
        store.remove(tx, &home)?;
        store.remove(tx, &vm)?;
        for (place, text) in [(&home, String::new()), (&vm, uuid.to_string())] {
            store.make(tx, place)?;
            store.set_permissions(tx, place, &read_only)?;
            if !text.is_empty() {
                store.write(tx, &format!("{place}/uuid"), &text)?;
            }
        }
        store.write(tx, &format!("{vm}/name"), &guest.name)?;
        for (node, value) in &nodes {
            store.write(tx, &format!("{home}/{node}"), value)?;
        }
        for node in ["device", "control", "backend"] {
            store.make(tx, &format!("{home}/{node}"))?;
        }
        for node in WRITABLE {
            store.write(tx, &format!("{home}/{node}"), "")?;
            store.set_permissions(tx, &format!("{home}/{node}"), &writable)?;
        }
        Ok(())
    })
}

fn nodes(built: &Built, guest: &Guest, vm: &str) -> Vec<(String, String)> {
    let mut nodes: Vec<(String, String)> = [
        ("name", guest.name.clone()),
        ("domid", built.domain.to_string()),
        ("vm", vm.to_owned()),
        ("memory/static-max", (guest.max_memory_mib * 1024).to_string()),
        ("memory/target", (guest.memory_mib * 1024).to_string()),
        ("memory/videoram", "0".to_owned()),
        ("store/ring-ref", STORE_FRAME.to_string()),
        ("store/port", built.store_port.to_string()),
        ("console/ring-ref", CONSOLE_FRAME.to_string()),
        ("console/port", built.console_port.to_string()),
        ("console/type", "xenconsoled".to_owned()),
        ("console/output", "pty".to_owned()),
        ("console/limit", "1048576".to_owned()),
        ("control/platform-feature-multiprocessor-suspend", "1".to_owned()),
        ("control/platform-feature-xs_reset_watches", "1".to_owned()),
    ]
    .map(|(node, value)| (node.to_owned(), value))
    .into();
    for vcpu in 0..guest.max_vcpus {
        let state = if vcpu < guest.vcpus { "online" } else { "offline" };
        nodes.push((format!("cpu/{vcpu}/availability"), state.to_owned()));
    }
    nodes
}

/// Removes what stood there about a guest that is gone.
///
/// # Errors
/// As the store has it.
pub fn remove(store: &mut Client, domain: u16, uuid: Uuid) -> Result<()> {
    store.transact(|store, tx| {
        store.remove(tx, &home(domain))?;
        remove_backends(store, tx, domain)?;
        // A guest that starts again may have taken its place already.
        let vm = format!("/vm/{uuid}");
        let heirs = store.list(tx, "/local/domain")?;
        let mut inherited = false;
        for heir in heirs {
            inherited |= store.read(tx, &format!("/local/domain/{heir}/vm"))? == Some(vm.clone());
        }
        if inherited { Ok(()) } else { store.remove(tx, &vm) }
    })
}

/// Removes the control domain's ends of a guest's devices.
///
/// # Errors
/// As the store has it.
pub fn remove_backends(store: &mut Client, tx: Tx, domain: u16) -> Result<()> {
    for kind in store.list(tx, "/local/domain/0/backend")? {
        store.remove(tx, &format!("/local/domain/0/backend/{kind}/{domain}"))?;
    }
    Ok(())
}

/// Removes what stands there about domains that are gone without anybody having noticed.
///
/// # Errors
/// As the store has it.
pub fn sweep(store: &mut Client, present: &[u16]) -> Result<()> {
    for name in store.list(Tx::NONE, "/local/domain")? {
        let Ok(domain) = name.parse::<u16>() else { continue };
        if domain == 0 || present.contains(&domain) {
            continue;
        }
        let vm = store.read(Tx::NONE, &format!("{}/vm", home(domain)))?.unwrap_or_default();
        let uuid = vm.rsplit('/').next().and_then(|uuid| Uuid::parse_str(uuid).ok());
        remove(store, domain, uuid.unwrap_or_default())?;
    }
    for kind in store.list(Tx::NONE, "/local/domain/0/backend")? {
        for name in store.list(Tx::NONE, &format!("/local/domain/0/backend/{kind}"))? {
            if name.parse().is_ok_and(|domain: u16| !present.contains(&domain)) {
                store.remove(Tx::NONE, &format!("/local/domain/0/backend/{kind}/{name}"))?;
            }
        }
    }
    Ok(())
}

/// A domain's name, if it has one.
pub fn name(store: &mut Client, domain: u16) -> Option<String> {
    store.read(Tx::NONE, &format!("{}/name", home(domain))).ok().flatten()
}
