//! The network daemon: brings every wired interface up and keeps it configured by DHCP.
//!
//! IPv6 addresses come from router advertisements, which the kernel handles itself once an
//! interface is up. What an interface has is written to [`status`] for the dashboard, and the
//! name servers to `/etc/resolv.conf` ([`resolver`]).

mod client;
mod dhcp;
pub mod interfaces;
mod links;
mod resolver;
pub mod status;

use std::collections::HashMap;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use links::Links;

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

async fn serve() -> anyhow::Result<()> {
    let (links, mut changes) = Links::open()?;
    links.bring_up("lo").await.context("can't bring up the loopback interface")?;
    let mut clients = Clients { links, running: HashMap::new() };
    clients.follow().await;
    while changes.next().await {
        clients.follow().await;
    }
    anyhow::bail!("the kernel's link events ended")
}

struct Client {
    task: JoinHandle<()>,
    carrier: watch::Sender<bool>,
}

/// One DHCP client for each wired interface.
struct Clients {
    links: Links,
    running: HashMap<String, Client>,
}

impl Clients {
    /// Starts clients for new interfaces, ends those of lost ones, passes carrier changes on.
    async fn follow(&mut self) {
        let present = interfaces::wired();
        self.running.retain(|name, client| {
            let keep = present.contains(name) && !client.task.is_finished();
            if !keep {
                client.task.abort();
                status::forget(name);
            }
            keep
        });
        for name in present {
            let carrier = interfaces::has_carrier(&name);
            match self.running.get(&name) {
                Some(client) => {
                    client
                        .carrier
                        .send_if_modified(|old| std::mem::replace(old, carrier) != carrier);
                }
                None => self.start(name, carrier).await,
            }
        }
    }

    async fn start(&mut self, name: String, carrier: bool) {
        if let Err(error) = self.links.bring_up(&name).await {
            log::error!("{name}: can't bring it up: {error:#}");
            return;
        }
        let (sender, receiver) = watch::channel(carrier);
        let client = client::run(self.links.clone(), name.clone(), receiver);
        self.running.insert(name, Client { task: tokio::spawn(client), carrier: sender });
    }
}
