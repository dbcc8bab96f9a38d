//! What is relayed between guests' networks and others, and with which address.

use netlink_packet_netfilter::NetfilterProtoFamily;

use super::batch::{Batch, Place};
use super::rule::{Match, Rule, Verdict};
use crate::host_config::networks::{Card, Network};

const TABLE: &str = "xenolith";
/// `NF_INET_FORWARD` and `NF_INET_POST_ROUTING`.
const FORWARD: u32 = 2;
const POST_ROUTING: u32 = 4;
/// `NF_IP_PRI_NAT_SRC`
const SOURCE_NAT: u32 = 100;
/// The source address in an IPv4 header.
const SOURCE: u32 = 12;

/// Relays for these networks, and nothing else.
///
/// # Errors
/// When the kernel refuses.
pub fn set(networks: &[Network]) -> anyhow::Result<()> {
    let place = |kind, hook, priority| Place { kind, hook, device: None, priority };
    let (hide, relay) = rules(networks);
    let mut batch = Batch::anew(NetfilterProtoFamily::IPv4, TABLE);
    batch.chain("hide", &place("nat", POST_ROUTING, SOURCE_NAT), &hide, Verdict::Accept);
    batch.chain("relay", &place("filter", FORWARD, 0), &relay, otherwise(networks));
    batch.commit()
}

/// Relays as the kernel does by itself.
///
/// # Errors
/// When the kernel refuses.
pub fn remove() -> anyhow::Result<()> {
    Batch::without(NetfilterProtoFamily::IPv4, TABLE).commit()
}

/// Who routes relays everything.
fn otherwise(networks: &[Network]) -> Verdict {
    let routes = networks.iter().any(|network| matches!(network, Network::Route { .. }));
    if routes { Verdict::Accept } else { Verdict::Drop }
}

fn rules(networks: &[Network]) -> (Vec<Rule>, Vec<Rule>) {
    let (mut hide, mut relay) = (Vec::new(), Vec::new());
    for network in networks {
        let Network::Nat { bridge, card, range } = network else { continue };
        let out = match card {
            Card::Named(card) => Match::To(card.clone()),
            Card::First | Card::None => Match::NotTo(bridge.clone()),
        };
        let from = Match::Range(SOURCE, range.base.octets(), range.mask().octets());
        hide.push(Rule(vec![from, out.clone()], Verdict::Masquerade));
        let leaving = vec![Match::From(bridge.clone()), out];
        let coming = vec![Match::To(bridge.clone()), Match::Established];
        if *card != Card::None {
            relay.push(Rule(leaving, Verdict::Accept));
        }
        relay.push(Rule(coming, Verdict::Accept));
        relay.push(Rule(vec![Match::To(bridge.clone())], Verdict::Drop));
        relay.push(Rule(vec![Match::From(bridge.clone())], Verdict::Drop));
    }
    (hide, relay)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host_config::networks::Range;

    #[test]
    fn guests_get_out_and_nobody_gets_in() {
        let range = Range { base: [10, 0, 0, 0].into(), prefix: 24 };
        let nat = |card| Network::Nat { bridge: "natbr0".into(), card, range };
        let (hide, relay) = rules(&[nat(Card::First), Network::default()]);
        let from = Match::Range(12, [10, 0, 0, 0], [255, 255, 255, 0]);
        let others = Match::NotTo("natbr0".into());
        assert_eq!(hide, [Rule(vec![from, others.clone()], Verdict::Masquerade)]);
        let leaving = Rule(vec![Match::From("natbr0".into()), others], Verdict::Accept);
        assert_eq!(relay[0], leaving);
        assert_eq!(relay[2], Rule(vec![Match::To("natbr0".into())], Verdict::Drop));
        let (hide, _) = rules(&[nat(Card::Named("eth1".into()))]);
        assert!(hide[0].0.contains(&Match::To("eth1".into())));
        let (_, relay) = rules(&[nat(Card::None)]);
        assert!(!relay.contains(&leaving), "an isolated range stays inside");
        assert_eq!(otherwise(&[nat(Card::First)]), Verdict::Drop);
        assert_eq!(otherwise(&[Network::Route { card: Card::First }]), Verdict::Accept);
    }
}
