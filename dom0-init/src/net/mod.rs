//! The network daemon: keeps the networks that guests can be on, and keeps the control domain
//! configured by DHCP.
//!
//! [`plan`] says which bridges there are to be, which network card is part of which, and where
//! DHCP asks; [`bridges`] makes it so, [`clients`] asks, [`relay`] serves networks that the control
//! domain relays for. IPv6 addresses come from router
//! advertisements, which the kernel handles itself once an interface is up. What an interface has
//! is written to [`status`] for the dashboard, and the name servers to `/etc/resolv.conf`
//! ([`resolver`]). [`ports`] are guests' interfaces, which the toolstack connects.

mod bridges;
mod client;
mod clients;
mod dhcp;
mod dhcp_server;
mod dns;
mod filter;
pub mod interfaces;
mod links;
mod plan;
pub mod ports;
mod relay;
mod resolver;
pub mod status;

use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;

use crate::host_config::{HostConfig, Version};
use bridges::Bridges;
use clients::Clients;
use links::Links;
use plan::Facts;

/// Runs until the kernel's link events can't be received any more.
///
/// # Errors
/// When netlink fails.
pub fn run(_arguments: &[String]) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(serve())
}

/// How often the host's configuration is looked at.
const LOOK: Duration = Duration::from_secs(5);

async fn serve() -> anyhow::Result<()> {
    let (links, mut changes) = Links::open()?;
    links.bring_up("lo").await.context("can't bring up the loopback interface")?;
    let mut version = Version::now();
    let mut config = load(&version);
    let mut bridges = Bridges::new(links.clone());
    let (tell, told) = watch::channel((Vec::new(), Facts::default()));
    tokio::spawn(relay::run(links.clone(), told));
    let mut clients = Clients::new(links);
    loop {
        let facts = Facts::gather();
        let plan = plan::plan(&config.networks, &facts);
        clients.end_others(&plan.clients);
        bridges.follow(&plan).await;
        clients.follow(&plan.clients).await;
        tell.send_replace((config.networks.clone(), facts));
        tokio::select! {
            more = changes.next() => {
                anyhow::ensure!(more, "the kernel's link events ended");
            }
            () = tokio::time::sleep(LOOK) => {}
        }
        let newest = Version::now();
        if newest != version {
            version = newest;
            config = load(&version);
        }
    }
}

fn load(version: &Version) -> HostConfig {
    let (config, notes) = HostConfig::load(version);
    if let Some(file) = version.file() {
        log::info!("the host's configuration is {file}");
    }
    for note in notes {
        log::warn!("{note}");
    }
    config
}
