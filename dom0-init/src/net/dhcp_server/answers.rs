//! What is said to a client's message.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress};

use super::leases::{Leases, TIME};

/// Option numbers of RFC 2132.
const NAME_SERVER: u8 = 6;
const NONE: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// What to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Where to.
    pub to: Ipv4Addr,
    /// The message.
    pub packet: Vec<u8>,
    /// Who was given which address by it.
    pub leased: Option<(EthernetAddress, Ipv4Addr)>,
}

/// Answers a message; `None` where nothing is to be said.
pub fn answer(leases: &mut Leases, question: &[u8], now: Duration) -> Option<Answer> {
    let packet = DhcpPacket::new_checked(question).ok()?;
    let asked = DhcpRepr::parse(&packet).ok()?;
    let who = asked.client_hardware_address;
    // What came through a relay isn't from this bridge.
    if !who.is_unicast() || asked.relay_agent_ip != NONE {
        return None;
    }
    let gateway = leases.range().gateway();
    let for_us = asked.server_identifier.is_none_or(|server| server == gateway);
    match asked.message_type {
        DhcpMessageType::Discover => {
            let address = leases.choose(who, asked.requested_ip, now)?;
            Some(reply(leases, &asked, DhcpMessageType::Offer, address))
        }
        // It took another server's offer.
        DhcpMessageType::Request if !for_us => None,
        DhcpMessageType::Request => {
            let wish = asked.requested_ip.unwrap_or(asked.client_ip);
            if leases.choose(who, Some(wish), now) != Some(wish) {
                return Some(reply(leases, &asked, DhcpMessageType::Nak, NONE));
            }
            leases.give(wish, who, now);
            let answer = reply(leases, &asked, DhcpMessageType::Ack, wish);
            Some(Answer { leased: Some((who, wish)), ..answer })
        }
        DhcpMessageType::Inform => Some(reply(leases, &asked, DhcpMessageType::Ack, NONE)),
        DhcpMessageType::Release => {
            leases.release(asked.client_ip, who);
            None
        }
        DhcpMessageType::Decline => {
            leases.avoid(asked.requested_ip?, who, now);
            None
        }
        _ => None,
    }
}

fn reply(
    leases: &Leases,
    asked: &DhcpRepr<'_>,
    message_type: DhcpMessageType,
    address: Ipv4Addr,
) -> Answer {
    let range = leases.range();
    let gateway = range.gateway();
    let tells = message_type != DhcpMessageType::Nak;
    let seconds = u32::try_from(TIME.as_secs()).unwrap_or(u32::MAX);
    let server = gateway.octets();
    let name_server = [DhcpOption { kind: NAME_SERVER, data: &server }];
    let message = DhcpRepr {
        message_type,
        transaction_id: asked.transaction_id,
        secs: 0,
        client_hardware_address: asked.client_hardware_address,
        client_ip: if tells { asked.client_ip } else { NONE },
        your_ip: address,
        server_ip: NONE,
        router: tells.then_some(gateway),
        subnet_mask: tells.then(|| range.mask()),
        relay_agent_ip: NONE,
        broadcast: true,
        requested_ip: None,
        client_identifier: None,
        server_identifier: Some(gateway),
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: (address != NONE).then_some(seconds),
        renew_duration: None,
        rebind_duration: None,
        additional_options: if tells { &name_server } else { &[] },
    };
    let mut packet = vec![0; message.buffer_len()];
    // The buffer has the length that the message asked for, so this can't fail.
    let _infallible = message.emit(&mut DhcpPacket::new_unchecked(&mut packet[..]));
    // Who has an address is told there; who hasn't yet hears broadcasts alone.
    let to = if tells && asked.client_ip != NONE { asked.client_ip } else { Ipv4Addr::BROADCAST };
    Answer { to, packet, leased: None }
}

#[cfg(test)]
mod tests {
    use super::super::super::dhcp::{Action, Machine};
    use super::*;
    use crate::host_config::networks::Range;

    const NOW: Duration = Duration::from_secs(5);

    fn leases() -> Leases {
        Leases::new(Range { base: [10, 0, 0, 0].into(), prefix: 24 })
    }

    fn sent(actions: &[Action]) -> Vec<u8> {
        let packet = actions.iter().find_map(|action| match action {
            Action::Send { packet, .. } => Some(packet.clone()),
            _ => None,
        });
        packet.expect("the client asks")
    }

    /// Our own client gets an address from it.
    fn lease(leases: &mut Leases, mac: [u8; 6]) -> (Machine, super::super::super::dhcp::Lease) {
        let mut machine = Machine::new(mac, "guest".into(), 7);
        let discover = sent(&machine.link_is_up(NOW));
        let offer = answer(leases, &discover, NOW).unwrap();
        assert_eq!((offer.to, offer.leased), (Ipv4Addr::BROADCAST, None));
        let request = sent(&machine.receive(NOW, &offer.packet));
        let granted = answer(leases, &request, NOW).unwrap();
        assert!(granted.leased.is_some());
        let actions = machine.receive(NOW, &granted.packet);
        let [Action::Configure(lease)] = actions.as_slice() else { panic!("{actions:?}") };
        (machine, lease.clone())
    }

    #[test]
    fn a_client_gets_all_it_needs_and_renews_it() {
        let mut leases = leases();
        let (mut machine, lease) = lease(&mut leases, [0, 0x16, 0x3e, 0, 0, 1]);
        let gateway = Ipv4Addr::new(10, 0, 0, 1);
        assert!(leases.range().contains(lease.address) && lease.prefix == 24);
        assert_eq!((lease.routers, lease.name_servers), (vec![gateway], vec![gateway]));
        assert_eq!((lease.server, lease.duration), (gateway, Some(TIME)));
        let later = machine.deadline();
        let renewal = sent(&machine.time_passed(later));
        let answer = answer(&mut leases, &renewal, later).unwrap();
        assert_eq!(answer.to, lease.address, "it has its address");
        assert!(matches!(machine.receive(later, &answer.packet)[..], [Action::Configure(_)]));
    }

    #[test]
    fn guests_get_different_addresses() {
        let mut leases = leases();
        let mut seen = Vec::new();
        for number in 0..200 {
            let (_, lease) = lease(&mut leases, [0, 0x16, 0x3e, 0, 0, number]);
            assert!(!seen.contains(&lease.address));
            seen.push(lease.address);
        }
    }

    #[test]
    fn an_address_of_elsewhere_is_refused() {
        let mut leases = leases();
        let mut elsewhere = Leases::new(Range { base: [10, 9, 0, 0].into(), prefix: 24 });
        let (mut machine, _) = lease(&mut elsewhere, [0, 0x16, 0x3e, 0, 0, 1]);
        let confirm = sent(&machine.link_is_up(NOW));
        let refusal = answer(&mut leases, &confirm, NOW).unwrap();
        assert_eq!(refusal.to, Ipv4Addr::BROADCAST);
        assert_eq!(machine.receive(NOW, &refusal.packet)[0], Action::Deconfigure);
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let _answered = answer(&mut leases(), &bytes, NOW);
        }
    }
}
