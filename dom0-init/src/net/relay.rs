//! Networks that the control domain relays for: routed ones, and those behind address
//! translation, with the services that guests find there.

use std::collections::HashMap;

use anyhow::Context;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::filter::nat;
use super::links::Links;
use super::plan::Facts;
use super::{dhcp_server, dns, interfaces, ports, status};
use crate::host_config::networks::{Card, Network, Range};

const FORWARDING: &str = "/proc/sys/net/ipv4/ip_forward";

/// A network behind address translation that is served.
struct Served {
    range: Range,
    tasks: Vec<JoinHandle<()>>,
}

impl Drop for Served {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// What there is to be, and what there is.
pub type Told = (Vec<Network>, Facts);

/// Relays and serves what it is told, for as long as it is told. The kernel may take long to load
/// what its filter needs, so this is no part of what gives the control domain its address.
pub async fn run(links: Links, mut told: watch::Receiver<Told>) {
    let mut relay = Relay::new(links);
    loop {
        let (networks, facts) = told.borrow_and_update().clone();
        relay.follow(&networks, &facts).await;
        if told.changed().await.is_err() {
            return;
        }
    }
}

/// What is relayed and served.
struct Relay {
    links: Links,
    /// The networks that the filter knows.
    filtered: Option<Vec<Network>>,
    served: HashMap<String, Served>,
    complaint: Option<String>,
}

impl Relay {
    /// Nothing yet.
    fn new(links: Links) -> Self {
        Self { links, filtered: None, served: HashMap::new(), complaint: None }
    }

    /// Makes it so, as far as it goes.
    async fn follow(&mut self, networks: &[Network], facts: &Facts) {
        let done = self.try_follow(networks, facts).await;
        let complaint = done.err().map(|error| format!("{error:#}"));
        if let Some(text) = &complaint
            && self.complaint != complaint
        {
            log::error!("{text}");
        }
        self.complaint = complaint;
    }

    async fn try_follow(&mut self, networks: &[Network], facts: &Facts) -> anyhow::Result<()> {
        self.filter(networks).await?;
        for network in networks {
            if let Network::Route { card } = network {
                answer_for_guests(card, facts);
            }
        }
        let wanted: HashMap<&str, Range> = networks.iter().filter_map(translated).collect();
        let others = status::all();
        self.served.retain(|bridge, served| {
            wanted.get(bridge.as_str()) == Some(&served.range)
                && overlapping(served.range, &others).is_none()
                && !served.tasks.iter().any(JoinHandle::is_finished)
        });
        for (bridge, range) in wanted {
            if let Some(other) = overlapping(range, &others) {
                anyhow::bail!(
                    "{bridge}: its addresses, {}/{}, are those of {}'s network too: give it \
                     others by range=",
                    range.base,
                    range.prefix,
                    other.interface
                );
            }
            if !self.served.contains_key(bridge) && interfaces::is_bridge(bridge) {
                let served = self.serve(bridge, range).await.with_context(|| bridge.to_owned())?;
                self.served.insert(bridge.to_owned(), served);
            }
        }
        Ok(())
    }

    /// Filters before it forwards.
    async fn filter(&mut self, networks: &[Network]) -> anyhow::Result<()> {
        if self.filtered.as_deref() == Some(networks) {
            return Ok(());
        }
        let relays = networks.iter().any(|network| !matches!(network, Network::Bridge { .. }));
        let forwards = std::fs::read_to_string(FORWARDING).is_ok_and(|text| text.trim() == "1");
        if relays {
            let networks = networks.to_vec();
            tokio::task::spawn_blocking(move || nat::set(&networks)).await??;
        }
        if relays != forwards {
            let value = if relays { "1" } else { "0" };
            std::fs::write(FORWARDING, value).context(FORWARDING)?;
        }
        if !relays && forwards {
            nat::remove()?;
        }
        self.filtered = Some(networks.to_vec());
        Ok(())
    }

    async fn serve(&self, bridge: &str, range: Range) -> anyhow::Result<Served> {
        self.links.set_address(bridge, range.gateway(), range.prefix).await?;
        let dhcp = dhcp_server::Server::open(bridge, range).context("DHCP")?;
        let dns = dns::Forwarder::open(bridge, range.gateway()).context("DNS")?;
        log::info!(
            "{bridge}: guests get addresses of {}/{}, and out with the host's",
            range.base,
            range.prefix
        );
        Ok(Served { range, tasks: vec![tokio::spawn(dhcp.run()), tokio::spawn(dns.run())] })
    }
}

fn translated(network: &Network) -> Option<(&str, Range)> {
    match network {
        Network::Nat { bridge, range, .. } => Some((bridge, *range)),
        _ => None,
    }
}

/// The interface of the control domain whose network has addresses of a range.
fn overlapping(range: Range, others: &[status::Status]) -> Option<&status::Status> {
    others.iter().find(|other| {
        other.address.is_some_and(|(address, prefix)| {
            let own = Range { base: address, prefix };
            let base = address.to_bits() & own.mask().to_bits();
            range.contains(address) || Range { base: base.into(), prefix }.contains(range.base)
        })
    })
}

/// Has the control domain answer on cards for guests' addresses that lie in their networks.
fn answer_for_guests(wanted: &Card, facts: &Facts) {
    for card in &facts.cards {
        let is_meant = match wanted {
            Card::First => true,
            Card::Named(name) => card.name == *name,
            Card::None => false,
        };
        if is_meant {
            ports::set_ipv4(&card.name, "proxy_arp", true);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_that_overlap_are_found() {
        let mut other = status::Status::unconfigured("eth0", true);
        other.address = Some(([10, 0, 2, 15].into(), 24));
        let others = [other];
        let overlaps = |base: [u8; 4], prefix| {
            overlapping(Range { base: base.into(), prefix }, &others).is_some()
        };
        assert!(overlaps([10, 0, 2, 0], 24) && overlaps([10, 0, 0, 0], 16));
        assert!(overlaps([10, 0, 2, 128], 25), "a part of it");
        assert!(!overlaps([10, 0, 0, 0], 24) && !overlaps([192, 168, 0, 0], 16));
        assert!(overlapping(Range { base: [10, 0, 2, 0].into(), prefix: 24 }, &[]).is_none());
    }
}
