//! Who has which address.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

use crate::host_config::networks::Range;

/// How long an address is given for.
pub const TIME: Duration = Duration::from_secs(3600);
/// How long an address isn't given to anybody after a guest found somebody else using it.
const PENALTY: Duration = Duration::from_secs(600);
/// Whom addresses with a penalty belong to meanwhile.
const NOBODY: EthernetAddress = EthernetAddress([0; 6]);

/// An address that is kept for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reserved {
    /// For whom.
    pub mac: String,
    /// The address.
    pub address: Ipv4Addr,
}

/// The addresses of a range. Times are since the server began.
#[derive(Debug)]
pub struct Leases {
    range: Range,
    reserved: Vec<Reserved>,
    given: HashMap<Ipv4Addr, (EthernetAddress, Duration)>,
}

impl Leases {
    /// None given yet.
    pub fn new(range: Range) -> Self {
        Self { range, reserved: Vec::new(), given: HashMap::new() }
    }

    /// Who has which address now, for [`Leases::restore`].
    pub fn given(&self) -> Vec<(Ipv4Addr, [u8; 6])> {
        self.given.iter().map(|(address, (who, _))| (*address, who.0)).collect()
    }

    /// Takes over what a server before this one gave.
    pub fn restore(&mut self, given: Vec<(Ipv4Addr, [u8; 6])>) {
        let until = TIME;
        self.given = given
            .into_iter()
            .filter(|(address, _)| self.range.contains(*address))
            .map(|(address, who)| (address, (EthernetAddress(who), until)))
            .collect();
    }

    /// The range.
    pub fn range(&self) -> Range {
        self.range
    }

    /// Sets which addresses are kept for whom.
    pub fn reserve(&mut self, reserved: Vec<Reserved>) {
        self.reserved = reserved;
    }

    /// The address for somebody: the one that is kept for them, else the one that they have, else
    /// the one that they wish for if it is free, else a free one, the same each time if possible.
    pub fn choose(
        &self,
        who: EthernetAddress,
        wish: Option<Ipv4Addr>,
        now: Duration,
    ) -> Option<Ipv4Addr> {
        let name = who.to_string().replace('-', ":");
        let is_own = |kept: &&Reserved| kept.mac.eq_ignore_ascii_case(&name);
        if let Some(kept) = self.reserved.iter().find(|kept| {
            is_own(kept)
                && self.range.contains(kept.address)
                && kept.address != self.range.gateway()
        }) {
            return Some(kept.address);
        }
        let own = self.given.iter().find(|(address, (whose, until))| {
            *whose == who && *until > now && self.is_free(**address, who, now)
        });
        if let Some((address, _)) = own {
            return Some(*address);
        }
        let guests = self.range.guests();
        let first = crc32c::crc32c(who.as_bytes()) % guests;
        let usual = (0..guests).map(|step| self.range.guest((first + step) % guests));
        wish.into_iter().chain(usual).find(|address| self.is_free(*address, who, now))
    }

    /// Gives an address.
    pub fn give(&mut self, address: Ipv4Addr, who: EthernetAddress, now: Duration) {
        self.given.retain(|_, (whose, until)| *whose != who && *until > now);
        self.given.insert(address, (who, now.saturating_add(TIME)));
    }

    /// Takes an address back.
    pub fn release(&mut self, address: Ipv4Addr, who: EthernetAddress) {
        if self.given.get(&address).is_some_and(|(whose, _)| *whose == who) {
            self.given.remove(&address);
        }
    }

    /// Keeps an address from everybody for a while, if it is the caller's to refuse.
    pub fn avoid(&mut self, address: Ipv4Addr, who: EthernetAddress, now: Duration) {
        if self.given.get(&address).is_some_and(|(whose, _)| *whose == who) {
            self.given.insert(address, (NOBODY, now.saturating_add(PENALTY)));
        }
    }

    fn is_free(&self, address: Ipv4Addr, who: EthernetAddress, now: Duration) -> bool {
        let range = self.range;
        let broadcast = Ipv4Addr::from_bits(range.base.to_bits() | !range.mask().to_bits());
        range.contains(address)
            && ![range.base, range.gateway(), broadcast].contains(&address)
            && !self.reserved.iter().any(|kept| kept.address == address)
            && self.given.get(&address).is_none_or(|(whose, until)| *whose == who || *until <= now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leases(prefix: u8) -> Leases {
        Leases::new(Range { base: [10, 0, 0, 0].into(), prefix })
    }

    fn who(number: u8) -> EthernetAddress {
        EthernetAddress([0, 0x16, 0x3e, 0, 0, number])
    }

    const NOW: Duration = Duration::from_secs(100);

    #[test]
    fn addresses_are_stable_and_wishes_heard() {
        let mut leases = leases(24);
        let usual = leases.choose(who(1), None, NOW).unwrap();
        assert_eq!(leases.choose(who(1), None, NOW), Some(usual));
        let wish = Ipv4Addr::new(10, 0, 0, 77);
        assert_eq!(leases.choose(who(1), Some(wish), NOW), Some(wish));
        leases.give(wish, who(1), NOW);
        assert_eq!(leases.choose(who(1), None, NOW), Some(wish));
        assert_ne!(leases.choose(who(2), Some(wish), NOW), Some(wish));
        assert_eq!(leases.choose(who(2), Some(wish), NOW + TIME), Some(wish), "it is over");
        leases.release(wish, who(2));
        assert_ne!(leases.choose(who(2), Some(wish), NOW), Some(wish), "not theirs to release");
        leases.release(wish, who(1));
        assert_eq!(leases.choose(who(2), Some(wish), NOW), Some(wish));
    }

    #[test]
    fn what_is_not_for_guests_is_not_given() {
        let leases = leases(24);
        for address in [[10, 0, 0, 0], [10, 0, 0, 1], [10, 0, 0, 255], [10, 0, 1, 5], [8; 4]] {
            let chosen = leases.choose(who(1), Some(address.into()), NOW).unwrap();
            assert_ne!(chosen, Ipv4Addr::from(address));
            assert!(leases.range.contains(chosen));
        }
    }

    #[test]
    fn what_configs_name_is_kept() {
        let mut leases = leases(24);
        let address = Ipv4Addr::new(10, 0, 0, 9);
        leases.reserve(vec![Reserved { mac: "00:16:3E:00:00:01".into(), address }]);
        assert_eq!(leases.choose(who(1), Some([10, 0, 0, 7].into()), NOW), Some(address));
        assert_ne!(leases.choose(who(2), Some(address), NOW), Some(address));
    }

    #[test]
    fn a_server_takes_over_from_the_one_before() {
        let (mut old, mut new) = (leases(24), leases(24));
        let address = Ipv4Addr::new(10, 0, 0, 77);
        old.give(address, who(1), NOW);
        let mut given = old.given();
        given.push(([10, 9, 9, 9].into(), [1; 6]));
        new.restore(given);
        assert_eq!(new.choose(who(1), None, NOW), Some(address));
        assert_ne!(new.choose(who(2), Some(address), NOW), Some(address));
        assert_eq!(new.given().len(), 1, "what is no part of the range is forgotten");
    }

    #[test]
    fn a_range_runs_out_and_avoided_addresses_come_back() {
        let mut leases = leases(29);
        for number in 0..5 {
            let address = leases.choose(who(number), None, NOW).unwrap();
            leases.give(address, who(number), NOW);
        }
        assert_eq!(leases.choose(who(9), None, NOW), None);
        let theirs = leases.choose(who(1), None, NOW).unwrap();
        leases.avoid(theirs, who(2), NOW);
        assert_eq!(leases.choose(who(1), None, NOW), Some(theirs), "not theirs to refuse");
        leases.avoid(theirs, who(1), NOW);
        assert_eq!(leases.choose(who(1), None, NOW), None);
        assert_eq!(leases.choose(who(1), None, NOW + PENALTY), Some(theirs));
    }
}
