//! What there is to be: bridges, cards in them, and interfaces that ask for an address.
//!
//! [`plan`] decides from the host's configuration and what there is; it touches nothing.

use super::interfaces;
use crate::host_config::networks::{Card, Network};

/// What there is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// The network cards, sorted by name.
    pub cards: Vec<interfaces::Card>,
    /// The bridges that have a carrier.
    pub live_bridges: Vec<String>,
}

impl Facts {
    /// What there is now.
    pub fn gather() -> Self {
        let mut live_bridges = interfaces::bridges();
        live_bridges.retain(|name| interfaces::has_carrier(name));
        Self { cards: interfaces::cards(), live_bridges }
    }
}

/// What there is to be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// The bridges.
    pub bridges: Vec<Bridge>,
    /// Where to ask for an address.
    pub clients: Vec<Asked>,
}

/// A bridge that there is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Its name.
    pub name: String,
    /// The card that is part of it, once there is one.
    pub card: Option<String>,
    /// Whether it is closed to the control domain too.
    pub isolated: bool,
}

/// An interface that asks for an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Its name.
    pub interface: String,
    /// Whether it has a carrier.
    pub carrier: bool,
}

/// Decides. Cards that are in no bridge ask for themselves; bridges ask for their cards.
pub fn plan(networks: &[Network], facts: &Facts) -> Plan {
    let mut free: Vec<&interfaces::Card> = facts.cards.iter().collect();
    // Cards that are named aren't for those networks that take the first one.
    let named: Vec<&str> = networks.iter().filter_map(named_card).collect();
    let mut plan = Plan::default();
    for network in networks {
        let (bridge, card) = match network {
            Network::Bridge { bridge, card } => (bridge, card),
            // No card is part of it.
            Network::Nat { bridge, .. } => (bridge, &Card::None),
            Network::Route { .. } => continue,
        };
        let is_meant = |found: &&interfaces::Card| match card {
            Card::Named(name) => found.name == *name,
            Card::First => !named.contains(&found.name.as_str()),
            Card::None => false,
        };
        let is_in = |found: &&interfaces::Card| found.master.as_deref() == Some(bridge);
        let chosen = free
            .iter()
            .find(|found| is_meant(found) && is_in(found))
            .or_else(|| free.iter().find(|found| is_meant(found) && is_free(found, card)))
            .copied();
        if let Some(chosen) = chosen {
            free.retain(|card| card.name != chosen.name);
            let carrier = chosen.carrier && facts.live_bridges.contains(bridge);
            plan.clients.push(Asked { interface: bridge.clone(), carrier });
        }
        let card = chosen.map(|card| card.name.clone());
        let isolated = matches!(network, Network::Bridge { card: Card::None, .. });
        plan.bridges.push(Bridge { name: bridge.clone(), card, isolated });
    }
    let lone = free.iter().filter(|card| card.master.is_none());
    plan.clients
        .extend(lone.map(|card| Asked { interface: card.name.clone(), carrier: card.carrier }));
    plan
}

/// A card without a cable is taken only where it is named: another may have one.
fn is_free(found: &interfaces::Card, wanted: &Card) -> bool {
    found.master.is_none() && (found.carrier || matches!(wanted, Card::Named(_)))
}

fn named_card(network: &Network) -> Option<&str> {
    match network {
        Network::Bridge { card: Card::Named(name), .. } => Some(name),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_config::networks::Range;

    fn card(name: &str, carrier: bool, master: Option<&str>) -> interfaces::Card {
        interfaces::Card { name: name.into(), carrier, master: master.map(Into::into) }
    }

    fn bridge(name: &str, card: Card) -> Network {
        Network::Bridge { bridge: name.into(), card }
    }

    /// The plan in words: `bridge<card`, then where DHCP asks, with `!` for a carrier.
    fn words(networks: &[Network], cards: Vec<interfaces::Card>, live: &[&str]) -> String {
        let live_bridges = live.iter().map(|&name| name.to_owned()).collect();
        let plan = plan(networks, &Facts { cards, live_bridges });
        let bridges = plan
            .bridges
            .iter()
            .map(|bridge| format!("{}<{}", bridge.name, bridge.card.as_deref().unwrap_or("")));
        let clients = plan
            .clients
            .iter()
            .map(|asked| format!("{}{}", asked.interface, if asked.carrier { "!" } else { "" }));
        bridges.chain(clients).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_first_card_with_a_cable_is_bridged_and_stays_so() {
        let default = [Network::default()];
        assert_eq!(words(&default, vec![], &[]), "xenbr0<");
        let cards = vec![card("eth0", false, None), card("eth1", false, None)];
        assert_eq!(words(&default, cards, &[]), "xenbr0< eth0 eth1");
        let cards = vec![card("eth0", false, None), card("eth1", true, None)];
        assert_eq!(words(&default, cards, &[]), "xenbr0<eth1 xenbr0 eth0");
        let cards = vec![card("eth0", true, None), card("eth1", true, Some("xenbr0"))];
        assert_eq!(words(&default, cards, &["xenbr0"]), "xenbr0<eth1 xenbr0! eth0!");
        let cards = vec![card("eth0", true, None), card("eth1", false, Some("xenbr0"))];
        assert_eq!(words(&default, cards, &["xenbr0"]), "xenbr0<eth1 xenbr0 eth0!");
    }

    #[test]
    fn named_cards_are_kept_for_their_networks() {
        let networks = [
            bridge("xenbr0", Card::First),
            bridge("xenbr1", Card::Named("eth0".into())),
            bridge("dummybr0", Card::None),
        ];
        let cards = || vec![card("eth0", false, None), card("eth1", true, None)];
        assert_eq!(
            words(&networks, cards(), &[]),
            "xenbr0<eth1 xenbr1<eth0 dummybr0< xenbr0 xenbr1"
        );
        assert_eq!(words(&networks[1..], cards(), &[]), "xenbr1<eth0 dummybr0< xenbr1 eth1!");
    }

    #[test]
    fn relayed_networks_leave_the_cards_alone() {
        let range = Range { base: [10, 0, 0, 0].into(), prefix: 24 };
        let card = |name| card(name, true, None);
        let nat = Network::Nat { bridge: "natbr0".into(), card: Card::First, range };
        let route = Network::Route { card: Card::First };
        assert_eq!(words(&[nat, route], vec![card("eth0")], &[]), "natbr0< eth0!");
    }

    #[test]
    fn cards_of_other_bridges_and_bonds_are_left_alone() {
        let cards = vec![card("eth0", true, Some("bond0")), card("eth1", true, None)];
        assert_eq!(words(&[Network::default()], cards, &[]), "xenbr0<eth1 xenbr0");
    }
}
