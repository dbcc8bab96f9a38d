//! Makes the plan's bridges, and takes those away that are no part of it any more.

use std::collections::{HashMap, HashSet};

use anyhow::Context;

use super::filter::guard;
use super::links::Links;
use super::plan::{Bridge, Plan};
use super::{interfaces, ports};

/// The alias of our bridges: others are left alone.
const OURS: &str = "xenolith";

/// What is done to bridges.
pub struct Bridges {
    links: Links,
    /// The last complaint about each bridge, so that none is repeated at each change of a link.
    complaints: HashMap<String, String>,
    /// Those that the control domain is kept from.
    isolated: HashSet<String>,
}

impl Bridges {
    /// Over a connection.
    pub fn new(links: Links) -> Self {
        Self { links, complaints: HashMap::new(), isolated: HashSet::new() }
    }

    /// Makes it so, as far as it goes.
    pub async fn follow(&mut self, plan: &Plan) {
        for bridge in &plan.bridges {
            let done = self.make(bridge).await;
            self.report(&bridge.name, done);
        }
        for name in interfaces::bridges() {
            let is_planned = plan.bridges.iter().any(|bridge| bridge.name == name);
            if !is_planned && interfaces::alias(&name).as_deref() == Some(OURS) {
                let done = self.take_away(&name).await;
                self.report(&name, done);
            }
        }
    }

    fn report(&mut self, bridge: &str, done: anyhow::Result<()>) {
        match done {
            Ok(()) => {
                self.complaints.remove(bridge);
            }
            Err(error) => {
                let text = format!("{error:#}");
                let earlier = self.complaints.insert(bridge.to_owned(), text.clone());
                if earlier.as_ref() != Some(&text) {
                    log::error!("{bridge}: {text}");
                }
            }
        }
    }

    async fn make(&mut self, bridge: &Bridge) -> anyhow::Result<()> {
        let name = bridge.name.as_str();
        if !interfaces::exists(name) {
            self.links.add_bridge(name, OURS).await.context("can't be made")?;
            log::info!("{name}: there now");
        }
        anyhow::ensure!(
            interfaces::is_bridge(name),
            "there is an interface of that name, which is no bridge: give another one by bridge="
        );
        if bridge.isolated && self.isolated.insert(name.to_owned()) {
            ports::let_ipv6(name, false);
            guard::isolate(name).context("can't be closed to the control domain")?;
        }
        for port in interfaces::ports(name) {
            if bridge.card.as_ref() != Some(&port) && interfaces::is_card(&port) {
                self.release(name, &port).await?;
            }
        }
        match &bridge.card {
            Some(card) if interfaces::master(card).as_deref() != Some(name) => {
                self.take(name, card).await.with_context(|| format!("can't take {card}"))
            }
            _ => Ok(()),
        }
    }

    /// Makes a card part of a bridge, which then is what the card was: it has its hardware
    /// address, and so gets its lease.
    async fn take(&self, bridge: &str, card: &str) -> anyhow::Result<()> {
        let address = interfaces::hardware_address(card).context("it has no hardware address")?;
        self.links.set_hardware_address(bridge, address).await?;
        self.links.bring_up(card).await?;
        self.links.set_bridge(card, Some(bridge)).await?;
        ports::let_ipv6(card, false);
        self.links.clear(card).await?;
        log::info!("{bridge}: {card} is part of it");
        Ok(())
    }

    async fn release(&self, bridge: &str, card: &str) -> anyhow::Result<()> {
        self.links.set_bridge(card, None).await?;
        ports::let_ipv6(card, true);
        self.links.clear(bridge).await?;
        log::info!("{bridge}: {card} is no part of it any more");
        Ok(())
    }

    async fn take_away(&mut self, bridge: &str) -> anyhow::Result<()> {
        let (cards, others): (Vec<_>, Vec<_>) =
            interfaces::ports(bridge).into_iter().partition(|port| interfaces::is_card(port));
        anyhow::ensure!(
            others.is_empty(),
            "isn't wanted any more, but {} is on it: it goes when that has gone",
            others.join(", ")
        );
        for card in cards {
            self.release(bridge, &card).await?;
        }
        self.links.remove(bridge).await?;
        if self.isolated.remove(bridge) {
            guard::remove(bridge)?;
        }
        log::info!("{bridge}: taken away");
        Ok(())
    }
}
