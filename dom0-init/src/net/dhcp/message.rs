//! DHCP messages: what the client says, and what servers answer.

use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr, EthernetAddress};

use super::Lease;

/// Option numbers of RFC 2132.
mod option {
    pub const SUBNET_MASK: u8 = 1;
    pub const ROUTER: u8 = 3;
    pub const NAME_SERVER: u8 = 6;
    pub const HOST_NAME: u8 = 12;
    pub const DOMAIN: u8 = 15;
    pub const LEASE_TIME: u8 = 51;
    pub const SERVER: u8 = 54;
    pub const RENEW_AFTER: u8 = 58;
    pub const REBIND_AFTER: u8 = 59;
}

/// What the client asks servers for.
const WANTED: &[u8] = &[
    option::SUBNET_MASK,
    option::ROUTER,
    option::NAME_SERVER,
    option::DOMAIN,
    option::LEASE_TIME,
    option::RENEW_AFTER,
    option::REBIND_AFTER,
];

/// A lease without a time is taken for an hour.
const USUAL_LEASE: u32 = 3600;
/// A lease time that means for ever.
const FOR_EVER: u32 = u32::MAX;
/// The shortest lease that is believed, so that a broken server can't make us busy.
const SHORTEST_LEASE: u32 = 10;

/// What a client's message is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ask {
    /// Who leases addresses?
    Discover,
    /// I take this offer of this server.
    Take(Ipv4Addr, Ipv4Addr),
    /// I had this address before: may I still use it?
    Confirm(Ipv4Addr),
    /// I have this address and want it for longer.
    Extend(Ipv4Addr),
}

/// Who sends a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sender {
    /// The hardware address.
    pub hardware_address: [u8; 6],
    /// The host's name, for the server's records.
    pub host_name: String,
    /// The number that ties answers to questions.
    pub transaction: u32,
    /// Seconds since this acquisition began.
    pub seconds: u16,
}

/// Composes a client's message.
pub fn compose(sender: &Sender, ask: Ask) -> Vec<u8> {
    let none = Ipv4Addr::UNSPECIFIED;
    let (message_type, client_ip, requested_ip, server) = match ask {
        Ask::Discover => (DhcpMessageType::Discover, none, None, None),
        Ask::Take(address, server) => (DhcpMessageType::Request, none, Some(address), Some(server)),
        Ask::Confirm(address) => (DhcpMessageType::Request, none, Some(address), None),
        Ask::Extend(address) => (DhcpMessageType::Request, address, None, None),
    };
    let hardware = EthernetAddress(sender.hardware_address);
    let name = [DhcpOption { kind: option::HOST_NAME, data: sender.host_name.as_bytes() }];
    let message = DhcpRepr {
        message_type,
        transaction_id: sender.transaction,
        secs: sender.seconds,
        client_hardware_address: hardware,
        client_ip,
        your_ip: none,
        server_ip: none,
        router: None,
        subnet_mask: None,
        relay_agent_ip: none,
        // Unicast answers wouldn't reach a socket without an address.
        broadcast: client_ip == none,
        requested_ip,
        client_identifier: Some(hardware),
        server_identifier: server,
        parameter_request_list: Some(WANTED),
        dns_servers: None,
        max_size: Some(1472),
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: if sender.host_name.is_empty() { &[] } else { &name },
    };
    let mut bytes = vec![0; message.buffer_len()];
    // The buffer has the length that the message asked for, so this can't fail.
    let _infallible = message.emit(&mut DhcpPacket::new_unchecked(&mut bytes[..]));
    bytes
}

/// A server's answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It would lease this.
    Offer(Lease),
    /// It leases this.
    Granted(Lease),
    /// It refuses what was asked for.
    Refused,
}

/// Parses a server's answer to the given client and transaction; `None` if it is anything else.
pub fn parse(bytes: &[u8], hardware_address: [u8; 6], transaction: u32) -> Option<Answer> {
    let packet = DhcpPacket::new_checked(bytes).ok()?;
    let message = DhcpRepr::parse(&packet).ok()?;
    if message.transaction_id != transaction
        || message.client_hardware_address != EthernetAddress(hardware_address)
    {
        return None;
    }
    match message.message_type {
        DhcpMessageType::Offer => Some(Answer::Offer(lease(&packet, &message)?)),
        DhcpMessageType::Ack => Some(Answer::Granted(lease(&packet, &message)?)),
        DhcpMessageType::Nak => Some(Answer::Refused),
        _ => None,
    }
}

fn lease(packet: &DhcpPacket<&[u8]>, message: &DhcpRepr<'_>) -> Option<Lease> {
    let option = |kind| packet.options().find(|o| o.kind == kind).map(|o| o.data);
    let number = |kind| option(kind).and_then(|d| d.try_into().ok()).map(u32::from_be_bytes);
    let address = message.your_ip;
    if address.is_unspecified() || address.is_broadcast() || address.is_multicast() {
        return None;
    }
    let prefix = match number(option::SUBNET_MASK) {
        Some(mask) if mask.leading_ones() + mask.trailing_zeros() == 32 => mask.leading_ones(),
        Some(_) => return None,
        None => 24,
    };
    let seconds = number(option::LEASE_TIME).unwrap_or(USUAL_LEASE).max(SHORTEST_LEASE);
    let part = |kind, numerator: u32| {
        let usual = u64::from(seconds) * u64::from(numerator) / 8;
        let given = number(kind).map(u64::from).filter(|&s| s > 0 && s < u64::from(seconds));
        Duration::from_secs(given.unwrap_or(usual))
    };
    let renew_after = part(option::RENEW_AFTER, 4);
    Some(Lease {
        address,
        prefix: u8::try_from(prefix).ok()?,
        routers: addresses(option(option::ROUTER)),
        name_servers: addresses(option(option::NAME_SERVER)),
        domain: option(option::DOMAIN).and_then(domain),
        server: number(option::SERVER).map_or(message.server_ip, Ipv4Addr::from_bits),
        duration: (seconds != FOR_EVER).then(|| Duration::from_secs(u64::from(seconds))),
        renew_after,
        rebind_after: part(option::REBIND_AFTER, 7).max(renew_after),
    })
}

fn addresses(data: Option<&[u8]>) -> Vec<Ipv4Addr> {
    let (addresses, _rest) = data.unwrap_or_default().as_chunks::<4>();
    addresses.iter().map(|&octets| octets.into()).collect()
}

/// A domain name goes into a file that others parse: only what a name may hold passes.
fn domain(data: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(data).ok()?.trim_end_matches(['\0', '.']);
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    (!text.is_empty() && text.len() < 254 && text.chars().all(plain)).then(|| text.to_owned())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub const HARDWARE: [u8; 6] = [0x52, 0x54, 0, 0x12, 0x34, 0x56];

    /// A server's message of the given type (2 offer, 5 ack, 6 nak), with more options.
    pub fn from_server(kind: u8, transaction: u32, address: [u8; 4], more: &[u8]) -> Vec<u8> {
        let mut bytes = vec![0; 240];
        bytes[..4].copy_from_slice(&[2, 1, 6, 0]);
        bytes[4..8].copy_from_slice(&transaction.to_be_bytes());
        bytes[16..20].copy_from_slice(&address);
        bytes[28..34].copy_from_slice(&HARDWARE);
        bytes[236..240].copy_from_slice(&[0x63, 0x82, 0x53, 0x63]);
        bytes.extend([53, 1, kind, 54, 4, 10, 0, 2, 2]);
        bytes.extend(more);
        bytes.push(255);
        bytes
    }

    const OPTIONS: &[u8] = &[
        1, 4, 255, 255, 255, 0, 3, 8, 10, 0, 2, 2, 10, 0, 2, 1, 6, 4, 10, 0, 2, 3, 51, 4, 0, 1,
        0x51, 0x80,
    ];

    #[test]
    fn an_offer_becomes_a_lease() {
        let bytes = from_server(2, 7, [10, 0, 2, 15], OPTIONS);
        let mut expected = super::super::lease::tests::example();
        expected.routers.push([10, 0, 2, 1].into());
        assert_eq!(parse(&bytes, HARDWARE, 7), Some(Answer::Offer(expected)));
        assert_eq!(parse(&bytes, HARDWARE, 8), None, "another transaction");
        assert_eq!(parse(&bytes, [0; 6], 7), None, "another client");
    }

    #[test]
    fn broken_answers_are_passed_over() {
        let split_mask = from_server(5, 7, [10, 0, 2, 15], &[1, 4, 255, 0, 255, 0]);
        assert_eq!(parse(&split_mask, HARDWARE, 7), None);
        assert_eq!(parse(&from_server(5, 7, [0; 4], OPTIONS), HARDWARE, 7), None);
        let cut_off = from_server(5, 7, [10, 0, 2, 15], &[1, 40]);
        assert!(parse(&cut_off, HARDWARE, 7).is_some());
        assert_eq!(parse(&[0; 100], HARDWARE, 7), None);
        assert_eq!(parse(&[], HARDWARE, 7), None);
    }

    #[test]
    fn times_are_bounded_and_ordered() {
        let times =
            |options: &[u8]| match parse(&from_server(5, 7, [10, 0, 0, 1], options), HARDWARE, 7) {
                Some(Answer::Granted(l)) => (
                    l.duration.map(|d| d.as_secs()),
                    l.renew_after.as_secs(),
                    l.rebind_after.as_secs(),
                ),
                other => panic!("{other:?}"),
            };
        assert_eq!(times(&[]), (Some(3600), 1800, 3150));
        assert_eq!(times(&[51, 4, 0, 0, 0, 0]), (Some(10), 5, 8));
        assert_eq!(times(&[51, 4, 255, 255, 255, 255]).0, None);
        assert_eq!(times(&[58, 4, 0, 0, 9, 0, 59, 4, 0, 0, 0, 1]), (Some(3600), 2304, 2304));
        assert_eq!(times(&[58, 4, 0, 0, 255, 0]), (Some(3600), 1800, 3150), "after its end");
    }

    #[test]
    fn names_are_cleaned() {
        assert_eq!(domain(b"lab.example.\0"), Some("lab.example".into()));
        assert_eq!(domain(b"evil\nnameserver 6.6.6.6"), None);
        assert_eq!(domain(b""), None);
    }

    #[test]
    fn a_discovery_is_a_broadcast_with_our_name() {
        let sender = Sender {
            hardware_address: HARDWARE,
            host_name: "xenolith".into(),
            transaction: 0x0102_0304,
            seconds: 3,
        };
        let bytes = compose(&sender, Ask::Discover);
        assert_eq!(&bytes[..12], &[1, 1, 6, 0, 1, 2, 3, 4, 0, 3, 0x80, 0]);
        assert!(bytes.windows(10).any(|w| w == b"\x0c\x08xenolith"));
        let extend = compose(&sender, Ask::Extend([10, 0, 2, 15].into()));
        assert_eq!(&extend[10..16], &[0, 0, 10, 0, 2, 15]);
    }
}
