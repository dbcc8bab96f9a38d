//! Network interfaces, served by the kernel's own backend.
//!
//! What an interface is to be stands in its backend's folder of the store; [`connect`] makes it so
//! from there alone, so that a daemon that starts again can do what the last one left undone.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow, ensure};
use toolstack::config::vif::{Mac, Vif};
use uuid::Uuid;
use xenstore::client::{Client, Tx};

use xenctl::xen_abi::io::xenbus::XenbusState;

use super::{Device, Kind, Nodes, PATIENCE, PAUSE, state};
use crate::host_config::HostConfig;
use crate::net::interfaces;
use crate::net::ports::{self, Port};
use crate::xend::messages;

/// The first three bytes of Xen's own addresses.
const XEN: [u8; 3] = [0x00, 0x16, 0x3e];

/// How long a guest may take to let go of an interface.
const FAREWELL: Duration = Duration::from_secs(10);

/// An interface of a guest.
pub fn device(domain: u16, number: u32) -> Device {
    Device { domain, kind: Kind::Vif, number }
}

/// The hardware address of an interface that isn't given one: the same whenever the guest runs.
pub fn usual_mac(guest: Uuid, number: u32) -> Mac {
    let [a, b, c] = XEN;
    let mixed = crc32c::crc32c_append(crc32c::crc32c(guest.as_bytes()), &number.to_le_bytes());
    let [d, e, f, _] = mixed.to_le_bytes();
    Mac([a, b, c, d & 0x7f, e, f])
}

/// Makes an interface, which nobody uses yet; [`connect`] it next.
///
/// # Errors
/// When the host has no place for it.
pub fn add(
    store: &mut Client,
    device: &Device,
    mac: Mac,
    vif: &Vif,
    host: &HostConfig,
) -> anyhow::Result<()> {
    let place = host.place(vif).map_err(|error| anyhow!(error))?;
    let handle = device.number.to_string();
    let front: Nodes = vec![("handle", handle.clone()), ("mac", mac.to_string())];
    let mut back: Nodes = vec![
        ("online", "1".to_owned()),
        ("type", "vif".to_owned()),
        ("handle", handle),
        ("mac", mac.to_string()),
        // The kernel wants to read one; nothing of that name is started.
        ("script", place.script.name().to_owned()),
        // For when the guest starts again, and for the curious.
        ("config", Vif { mac: Some(mac), ..vif.clone() }.to_string()),
    ];
    back.extend(place.bridge.map(|bridge| ("bridge", bridge)));
    back.extend(vif.name.clone().map(|name| ("vifname", name)));
    back.extend(vif.gateway.map(|gateway| ("gateway", gateway.to_string())));
    back.extend(vif.rate.map(|rate| ("rate", format!("{},{}", rate.bytes, rate.microseconds))));
    if !vif.addresses.is_empty() {
        let addresses: Vec<String> = vif.addresses.iter().map(ToString::to_string).collect();
        back.push(("ip", addresses.join(" ")));
    }
    device.add(store, front, back)
}

/// Waits until the kernel serves an interface, connects it as its nodes say, and shows it to the
/// guest.
///
/// # Errors
/// When the kernel doesn't serve it, or it can't be connected so.
pub fn connect(store: &mut Client, device: &Device) -> anyhow::Result<()> {
    device.wait_until_served(store)?;
    let backend = device.backend();
    let mut node = |name: &str| store.read(Tx::NONE, &format!("{backend}/{name}"));
    let interface = interface(device);
    let config = node("config")?.unwrap_or_default();
    let wanted = Vif::parse(&config).map_err(|error| anyhow!(error))?;
    let port = Port {
        name: wanted.name.unwrap_or_else(|| interface.clone()),
        mac: wanted.mac.context("it has no hardware address")?.0,
        addresses: wanted.addresses,
        bridge: node("bridge")?,
        interface,
    };
    wait_until_there(&port)?;
    ports::connect(&port)?;
    if wanted.rate.is_some() {
        // The kernel limits each queue by itself.
        store.write(Tx::NONE, &format!("{backend}/multi-queue-max-queues"), "1")?;
    }
    device.offer(store)?;
    // Now packets may pass.
    store.write(Tx::NONE, &format!("{backend}/hotplug-status"), "connected")?;
    Ok(())
}

fn wait_until_there(port: &Port) -> anyhow::Result<()> {
    let deadline = Instant::now() + PATIENCE;
    while !interfaces::exists(&port.interface) && !interfaces::exists(&port.name) {
        ensure!(
            Instant::now() < deadline,
            "the kernel makes no interface {} within {PATIENCE:?}: `xm log -k` may say why",
            port.interface
        );
        std::thread::sleep(PAUSE);
    }
    Ok(())
}

/// Takes an interface from a guest, which is asked to let go of it first.
///
/// # Errors
/// As the store has it.
pub fn remove(store: &mut Client, device: &Device) -> anyhow::Result<()> {
    let (frontend, backend) = (device.frontend(), device.backend());
    let is_used = state(store, &frontend)?.is_some_and(|state| state != XenbusState::INITIALISING);
    if is_used {
        store.write(Tx::NONE, &format!("{backend}/online"), "0")?;
        store.write(Tx::NONE, &format!("{backend}/state"), &XenbusState::CLOSING.0.to_string())?;
        let deadline = Instant::now() + FAREWELL;
        while Instant::now() < deadline
            && state(store, &backend)?.is_some_and(|state| state != XenbusState::CLOSED)
        {
            std::thread::sleep(PAUSE);
        }
    }
    store.transact(|store, tx| {
        store.remove(tx, &frontend)?;
        store.remove(tx, &backend)
    })?;
    forget(device.domain, &[device.number]);
    Ok(())
}

/// Forgets interfaces whose nodes are gone, once the kernel has let go of them: while it does, it
/// needs the store, which must not go down before.
pub fn forget(domain: u16, numbers: &[u32]) {
    let deadline = Instant::now() + FAREWELL;
    for &number in numbers {
        let place = format!("/sys/bus/xen-backend/devices/vif-{domain}-{number}");
        while Path::new(&place).exists() && Instant::now() < deadline {
            std::thread::sleep(PAUSE);
        }
        ports::forget(&interface(&device(domain, number)));
    }
}

/// The name that the kernel gives to the control domain's end.
fn interface(device: &Device) -> String {
    format!("vif{}.{}", device.domain, device.number)
}

/// What can be seen of a guest's interfaces.
///
/// # Errors
/// As the store has it.
pub fn list(store: &mut Client, domain: u16) -> anyhow::Result<Vec<messages::Vif>> {
    let mut all = Vec::new();
    for number in numbers(store, domain)? {
        let device = device(domain, number);
        let (frontend, backend) = (device.frontend(), device.backend());
        let mut number_at = |names: &[&str]| -> anyhow::Result<Option<u32>> {
            for name in names {
                if let Some(text) = store.read(Tx::NONE, &format!("{frontend}/{name}"))? {
                    return Ok(text.parse().ok());
                }
            }
            Ok(None)
        };
        all.push(messages::Vif {
            number,
            // A guest with several queues has a folder for each.
            event_channel: number_at(&[
                "event-channel",
                "event-channel-tx",
                "queue-0/event-channel",
                "queue-0/event-channel-tx",
            ])?,
            tx_ring: number_at(&["tx-ring-ref", "queue-0/tx-ring-ref"])?,
            rx_ring: number_at(&["rx-ring-ref", "queue-0/rx-ring-ref"])?,
            state: number_at(&["state"])?.unwrap_or_default(),
            mac: store.read(Tx::NONE, &format!("{backend}/mac"))?.unwrap_or_default(),
            config: store.read(Tx::NONE, &format!("{backend}/config"))?.unwrap_or_default(),
            backend,
        });
    }
    Ok(all)
}

/// Connects those interfaces of a guest that an earlier daemon left unconnected, and removes those
/// that it was removing.
///
/// # Errors
/// When the store doesn't say which there are.
pub fn adopt(store: &mut Client, domain: u16) -> anyhow::Result<()> {
    for number in numbers(store, domain)? {
        let device = device(domain, number);
        let node = |name: &str| format!("{}/{name}", device.backend());
        if store.read(Tx::NONE, &node("online"))?.as_deref() == Some("0") {
            remove(store, &device)?;
            continue;
        }
        let status = node("hotplug-status");
        if store.read(Tx::NONE, &status)?.as_deref() != Some("connected")
            && let Err(error) = connect(store, &device)
        {
            log::error!("domain {domain}: vif {number}: {error:#}");
        }
    }
    Ok(())
}

/// The numbers of a guest's interfaces.
///
/// # Errors
/// As the store has it.
pub fn numbers(store: &mut Client, domain: u16) -> anyhow::Result<Vec<u32>> {
    let names = store.list(Tx::NONE, &format!("/local/domain/0/backend/vif/{domain}"))?;
    let mut numbers: Vec<u32> = names.iter().filter_map(|name| name.parse().ok()).collect();
    numbers.sort_unstable();
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_stable_and_differ() {
        let guest = Uuid::from_u128(7);
        let mac = usual_mac(guest, 0);
        assert_eq!(mac, usual_mac(guest, 0));
        assert_ne!(mac, usual_mac(guest, 1));
        assert_ne!(mac, usual_mac(Uuid::from_u128(8), 0));
        assert!(mac.to_string().starts_with("00:16:3e:"));
    }
}
