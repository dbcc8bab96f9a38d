//! `xm block-attach`, `block-detach` and `block-list`: disks of guests that run.

use std::fmt::Write;

use serde::Serialize;
use xenstore::client::{Client, Tx};

use super::domains;
use super::output::{self, Format};
use crate::xend::client;
use crate::xend::messages::{Attach, Detach};

/// Arguments of `xm block-attach`.
#[derive(Debug, clap::Args)]
pub struct AttachArguments {
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// As configs have it, 'file:/data/a.img,xvdb,w', or its parts: file:/data/a.img xvdb w
    #[arg(required = true)]
    disk: Vec<String>,
}

/// Arguments of `xm block-detach`.
#[derive(Debug, clap::Args)]
pub struct DetachArguments {
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// The disk as the guest has it: xvdb, or its number
    device: String,
    /// Even if the guest uses it
    #[arg(short, long)]
    force: bool,
}

/// Arguments of `xm block-list`.
#[derive(Debug, clap::Args)]
pub struct ListArguments {
    /// The guests, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT, required = true)]
    domains: Vec<String>,
}

/// A disk in the list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
struct Row {
    vdev: u32,
    backend_id: u32,
    handle: u16,
    state: u32,
    event_channel: i64,
    ring_ref: i64,
    backend: String,
}

/// Gives a guest a disk.
pub fn attach(arguments: &AttachArguments) -> anyhow::Result<()> {
    client::change(&arguments.domain, "attach-disk", &Attach { device: arguments.disk.join(",") })
}

/// Takes a disk from a guest.
pub fn detach(arguments: &DetachArguments) -> anyhow::Result<()> {
    let detach = Detach { device: arguments.device.clone(), force: arguments.force };
    client::change(&arguments.domain, "detach-disk", &detach)
}

/// Lists guests' disks.
pub fn list(arguments: &ListArguments, format: Format) -> anyhow::Result<()> {
    let mut store = Client::connect()?;
    let mut rows = Vec::new();
    for info in domains::pick(domains::open()?.domains()?, &arguments.domains)? {
        let folder = format!("/local/domain/{}/device/vbd", info.domain);
        for device in store.list(Tx::NONE, &folder)? {
            rows.push(row(&mut store, info.domain, &format!("{folder}/{device}"), &device)?);
        }
    }
    output::print(format, &rows, || table(&rows))
}

fn row(store: &mut Client, handle: u16, frontend: &str, device: &str) -> anyhow::Result<Row> {
    let mut node = |name: &str| store.read(Tx::NONE, &format!("{frontend}/{name}"));
    let backend = node("backend")?.unwrap_or_default();
    let number = |text: Option<String>| text.and_then(|text| text.trim().parse::<i64>().ok());
    Ok(Row {
        vdev: device.parse().unwrap_or_default(),
        backend_id: number(node("backend-id")?).and_then(|id| u32::try_from(id).ok()).unwrap_or(0),
        handle,
        state: number(node("state")?).and_then(|state| u32::try_from(state).ok()).unwrap_or(0),
        // As xl shows what a frontend hasn't told yet.
        event_channel: number(node("event-channel")?).unwrap_or(-1),
        ring_ref: number(node("ring-ref")?).unwrap_or(-1),
        backend,
    })
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}\n",
        "Vdev", "BE", "handle", "state", "evt-ch", "ring-ref", "BE-path"
    );
    for row in rows {
        // Writing to a string can't fail.
        let _infallible = writeln!(
            text,
            "{:<5} {:<3} {:<6} {:<5} {:<6} {:<8} {:<30}",
            row.vdev,
            row.backend_id,
            row.handle,
            row.state,
            row.event_channel,
            row.ring_ref,
            row.backend
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_xen() {
        let row = Row {
            vdev: 51712,
            handle: 3,
            state: 4,
            event_channel: 9,
            ring_ref: 8,
            backend: "/local/domain/0/backend/vbd/3/51712".into(),
            ..Row::default()
        };
        assert_eq!(
            table(&[row]),
            "Vdev  BE  handle state evt-ch ring-ref BE-path                       \n\
             51712 0   3      4     9      8        /local/domain/0/backend/vbd/3/51712\n"
        );
    }
}
