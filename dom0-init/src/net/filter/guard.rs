//! What may come from a guest: frames with its own hardware address, and, where it was given
//! addresses, with those alone.
//!
//! The rules hang on the guest's interface itself, so they hold on bridges and with routes, and
//! cost other guests nothing. They go with the interface.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use netlink_packet_netfilter::NetfilterProtoFamily;

use super::batch::{Batch, Place};
use super::rule::{Base, Match, Rule, Verdict};

const ARP: u16 = 0x0806;
const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;
const UDP: u8 = 17;
const ICMPV6: u8 = 58;
/// Messages of neighbour discovery (RFC 4861) and of listeners (RFC 3810).
const ROUTER_SOLICITATION: u8 = 133;
const NEIGHBOUR_SOLICITATION: u8 = 135;
const NEIGHBOUR_ADVERTISEMENT: u8 = 136;
const LISTENER_REPORT: u8 = 143;
/// ARP about IPv4 on Ethernet.
const ARP_KIND: [u8; 6] = [0, 1, 8, 0, 6, 4];
const DHCP_SERVER: [u8; 2] = [0, 67];

/// `NF_NETDEV_INGRESS`
const INGRESS: u32 = 0;

/// Guards an interface; earlier guards of that table are gone then.
///
/// # Errors
/// When the kernel refuses.
pub fn set(table: &str, device: &str, mac: [u8; 6], addresses: &[IpAddr]) -> anyhow::Result<()> {
    let mut batch = Batch::anew(NetfilterProtoFamily::NetDev, table);
    let otherwise = if addresses.is_empty() { Verdict::Accept } else { Verdict::Drop };
    batch.chain("from-guest", &place(device), &rules(mac, addresses), otherwise);
    batch.commit()
}

/// Lets nothing in that comes to the control domain itself by a bridge.
///
/// # Errors
/// When the kernel refuses.
pub fn isolate(bridge: &str) -> anyhow::Result<()> {
    let mut batch = Batch::anew(NetfilterProtoFamily::NetDev, bridge);
    batch.chain("to-host", &place(bridge), &[], Verdict::Drop);
    batch.commit()
}

/// Removes a guard, if there is one.
///
/// # Errors
/// When the kernel refuses.
pub fn remove(table: &str) -> anyhow::Result<()> {
    Batch::without(NetfilterProtoFamily::NetDev, table).commit()
}

fn place(device: &str) -> Place {
    Place { kind: "filter", hook: INGRESS, device: Some(device.to_owned()), priority: 0 }
}

fn rules(mac: [u8; 6], addresses: &[IpAddr]) -> Vec<Rule> {
    let foreign = Match::NotField(Base::Link, 6, mac.to_vec());
    let mut rules = vec![Rule(vec![foreign], Verdict::Drop)];
    let (mut v4, mut v6) = (Vec::new(), Vec::new());
    for address in addresses {
        match address {
            IpAddr::V4(address) => v4.push(*address),
            IpAddr::V6(address) => v6.push(*address),
        }
    }
    if !v4.is_empty() {
        rules.extend(v4_rules(mac, &v4));
    }
    if !v6.is_empty() {
        v6.push(link_local(mac));
        rules.extend(v6_rules(&v6));
    }
    rules
}

fn v4_rules(mac: [u8; 6], own: &[Ipv4Addr]) -> Vec<Rule> {
    let arp = |sender: Ipv4Addr| {
        let whose = [mac.as_slice(), &sender.octets()].concat();
        let kind = Match::Field(Base::Network, 0, ARP_KIND.to_vec());
        let matches = vec![Match::EtherType(ARP), kind, Match::Field(Base::Network, 8, whose)];
        Rule(matches, Verdict::Accept)
    };
    let source = |address: Ipv4Addr| Match::Field(Base::Network, 12, address.octets().to_vec());
    let mut rules = Vec::new();
    for &address in own {
        rules.push(Rule(vec![Match::EtherType(IPV4), source(address)], Verdict::Accept));
        rules.push(arp(address));
    }
    // Asking whether an address is taken, and for an address, is done without one.
    rules.push(arp(Ipv4Addr::UNSPECIFIED));
    let dhcp = vec![
        Match::EtherType(IPV4),
        source(Ipv4Addr::UNSPECIFIED),
        Match::Protocol(UDP),
        Match::Field(Base::Transport, 2, DHCP_SERVER.to_vec()),
    ];
    rules.push(Rule(dhcp, Verdict::Accept));
    rules
}

fn v6_rules(own: &[Ipv6Addr]) -> Vec<Rule> {
    let source = |address: Ipv6Addr| Match::Field(Base::Network, 8, address.octets().to_vec());
    let icmp = |kind: u8, source: Match| {
        let kind = Match::Field(Base::Transport, 0, vec![kind]);
        vec![Match::EtherType(IPV6), source, Match::Protocol(ICMPV6), kind]
    };
    let mut rules = Vec::new();
    for &address in own {
        for &target in own {
            let mut matches = icmp(NEIGHBOUR_ADVERTISEMENT, source(address));
            matches.push(Match::Field(Base::Transport, 8, target.octets().to_vec()));
            rules.push(Rule(matches, Verdict::Accept));
        }
        // To advertise anything else would take others' packets. 134 makes a router.
        for kind in [NEIGHBOUR_ADVERTISEMENT, 134, 137] {
            rules.push(Rule(icmp(kind, source(address)), Verdict::Drop));
        }
        rules.push(Rule(vec![Match::EtherType(IPV6), source(address)], Verdict::Accept));
    }
    for kind in [ROUTER_SOLICITATION, NEIGHBOUR_SOLICITATION, LISTENER_REPORT] {
        rules.push(Rule(icmp(kind, source(Ipv6Addr::UNSPECIFIED)), Verdict::Accept));
    }
    rules
}

/// The address that an interface makes of its hardware address (RFC 4291, appendix A).
fn link_local(mac: [u8; 6]) -> Ipv6Addr {
    let [a, b, c, d, e, f] = mac;
    let pair = |high, low| u16::from_be_bytes([high, low]);
    Ipv6Addr::new(0xfe80, 0, 0, 0, pair(a ^ 2, b), pair(c, 0xff), pair(0xfe, d), pair(e, f))
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 1];
    const OTHER: [u8; 6] = [0, 0x16, 0x3e, 0, 0, 2];

    /// What the kernel would do with a frame, by the book.
    fn verdict(addresses: &[IpAddr], frame: &[u8]) -> Verdict {
        let network = 14;
        let ether_type = u16::from_be_bytes([frame[12], frame[13]]);
        let (protocol, transport) = match ether_type {
            IPV4 => (frame.get(network + 9).copied(), network + 20),
            IPV6 => (frame.get(network + 6).copied(), network + 40),
            _ => (None, usize::MAX),
        };
        let field = |base: Base, offset: u32, length: usize| {
            let start = match base {
                Base::Link => 0,
                Base::Network => network,
                Base::Transport => transport,
            };
            let start = start.checked_add(usize::try_from(offset).unwrap())?;
            frame.get(start..start.checked_add(length)?)
        };
        let holds = |wanted: &Match| match wanted {
            Match::Field(base, offset, value) => {
                field(*base, *offset, value.len()) == Some(value.as_slice())
            }
            Match::NotField(base, offset, value) => {
                field(*base, *offset, value.len()).is_some_and(|found| found != value.as_slice())
            }
            Match::EtherType(value) => ether_type == *value,
            Match::Protocol(value) => protocol == Some(*value),
            other => panic!("{other:?} is for other hooks"),
        };
        let rules = rules(MAC, addresses);
        let found = rules.iter().find(|Rule(matches, _)| matches.iter().all(holds));
        let otherwise = if addresses.is_empty() { Verdict::Accept } else { Verdict::Drop };
        found.map_or(otherwise, |Rule(_, verdict)| *verdict)
    }

    fn frame(source: [u8; 6], ether_type: u16, rest: &[u8]) -> Vec<u8> {
        [&[0xff; 6], source.as_slice(), &ether_type.to_be_bytes(), rest].concat()
    }

    fn arp(mac: [u8; 6], address: [u8; 4]) -> Vec<u8> {
        let whose = [mac.as_slice(), &address].concat();
        frame(MAC, ARP, &[ARP_KIND.as_slice(), &[0, 1], &whose, &[0; 10]].concat())
    }

    fn ipv4(source: [u8; 4], protocol: u8, port: [u8; 2]) -> Vec<u8> {
        let mut header = vec![0; 20];
        (header[0], header[9]) = (0x45, protocol);
        header[12..16].copy_from_slice(&source);
        frame(MAC, IPV4, &[&header, [0, 68].as_slice(), &port, &[0; 4]].concat())
    }

    fn ipv6(source: &str, next: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = vec![0; 40];
        (header[0], header[6]) = (0x60, next);
        header[8..24].copy_from_slice(&source.parse::<Ipv6Addr>().unwrap().octets());
        frame(MAC, IPV6, &[header.as_slice(), rest].concat())
    }

    fn advertisement(target: &str) -> Vec<u8> {
        let target = target.parse::<Ipv6Addr>().unwrap().octets();
        [&[NEIGHBOUR_ADVERTISEMENT, 0, 0, 0, 0, 0, 0, 0], target.as_slice()].concat()
    }

    #[test]
    fn without_addresses_the_hardware_address_alone_is_kept() {
        assert_eq!(verdict(&[], &ipv4([6, 6, 6, 6], 6, [0, 80])), Verdict::Accept);
        assert_eq!(verdict(&[], &frame(MAC, 0x88cc, &[])), Verdict::Accept);
        assert_eq!(verdict(&[], &frame(OTHER, IPV4, &[0; 20])), Verdict::Drop);
    }

    #[test]
    fn an_address_is_kept() {
        let own: [IpAddr; 1] = [[10, 0, 0, 5].into()];
        let says = |frame: Vec<u8>, expected| assert_eq!(verdict(&own, &frame), expected);
        says(ipv4([10, 0, 0, 5], 6, [0, 80]), Verdict::Accept);
        says(ipv4([10, 0, 0, 6], 6, [0, 80]), Verdict::Drop);
        says(ipv4([0; 4], UDP, DHCP_SERVER), Verdict::Accept);
        says(ipv4([0; 4], UDP, [0, 53]), Verdict::Drop);
        says(arp(MAC, [10, 0, 0, 5]), Verdict::Accept);
        says(arp(MAC, [0; 4]), Verdict::Accept);
        says(arp(MAC, [10, 0, 0, 1]), Verdict::Drop);
        says(arp(OTHER, [10, 0, 0, 5]), Verdict::Drop);
        says(frame(OTHER, IPV4, &[0; 20]), Verdict::Drop);
        says(ipv6("fe80::1", 6, &[0; 20]), Verdict::Drop);
        says(frame(MAC, 0x8100, &[0; 20]), Verdict::Drop);
    }

    #[test]
    fn an_ipv6_address_is_kept_with_the_interfaces_own() {
        let own: [IpAddr; 1] = ["2001:db8::5".parse().unwrap()];
        let says = |frame: Vec<u8>, expected| assert_eq!(verdict(&own, &frame), expected);
        let link_local = "fe80::216:3eff:fe00:1";
        assert_eq!(super::link_local(MAC).to_string(), link_local);
        says(ipv6("2001:db8::5", 6, &[0; 20]), Verdict::Accept);
        says(ipv6(link_local, 6, &[0; 20]), Verdict::Accept);
        says(ipv6("2001:db8::6", 6, &[0; 20]), Verdict::Drop);
        says(ipv6("fe80::1", 6, &[0; 20]), Verdict::Drop);
        says(ipv6(link_local, ICMPV6, &advertisement("2001:db8::5")), Verdict::Accept);
        says(ipv6(link_local, ICMPV6, &advertisement("2001:db8::1")), Verdict::Drop);
        says(ipv6(link_local, ICMPV6, &[134, 0, 0, 0]), Verdict::Drop);
        says(ipv6("::", ICMPV6, &[NEIGHBOUR_SOLICITATION, 0, 0, 0]), Verdict::Accept);
        says(ipv6("::", ICMPV6, &advertisement("2001:db8::1")), Verdict::Drop);
        says(ipv4([10, 0, 0, 5], 6, [0, 80]), Verdict::Drop);
    }
}
