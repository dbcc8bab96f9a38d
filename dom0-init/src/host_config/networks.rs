//! The networks that guests can be on, and how an interface comes onto one.

use std::net::Ipv4Addr;

/// The bridge of the first network.
pub const BRIDGE: &str = "xenbr0";
/// The bridge of a network behind address translation.
pub const NAT_BRIDGE: &str = "natbr0";

/// A network of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Network {
    /// Guests are on the network card's own network.
    Bridge {
        /// The bridge.
        bridge: String,
        /// The card that is part of it.
        card: Card,
    },
    /// The control domain relays packets between guests and the network.
    Route {
        /// The card that guests' addresses are answered for on.
        card: Card,
    },
    /// Guests have addresses of their own, and appear outside with the control domain's.
    Nat {
        /// The bridge that they are on.
        bridge: String,
        /// The card that they get out by; any if it is [`Card::First`].
        card: Card,
        /// Their addresses.
        range: Range,
    },
}

impl Default for Network {
    fn default() -> Self {
        Self::Bridge { bridge: BRIDGE.to_owned(), card: Card::First }
    }
}

impl Network {
    /// The network's bridge, if it has one.
    pub fn bridge(&self) -> Option<&str> {
        match self {
            Self::Bridge { bridge, .. } | Self::Nat { bridge, .. } => Some(bridge),
            Self::Route { .. } => None,
        }
    }
}

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Card {
    /// The first that has a carrier.
    First,
    /// The one of this name.
    Named(String),
    /// None: the network is isolated.
    None,
}

/// A range of addresses; the first is the control domain's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Range {
    /// Its first address, which belongs to nobody.
    pub base: Ipv4Addr,
    /// The length of the prefix, 8 to 29.
    pub prefix: u8,
}

impl Range {
    /// The gateway's address.
    pub fn gateway(self) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits().saturating_add(1))
    }

    /// The prefix as a mask.
    pub fn mask(self) -> Ipv4Addr {
        let host_bits = 32_u32.saturating_sub(u32::from(self.prefix));
        Ipv4Addr::from_bits(u32::MAX.checked_shl(host_bits).unwrap_or(0))
    }

    /// Whether an address is in it.
    pub fn contains(self, address: Ipv4Addr) -> bool {
        address.to_bits() & self.mask().to_bits() == self.base.to_bits()
    }

    /// How many addresses guests can have: all but the range's own, the gateway's and the
    /// broadcast's.
    pub fn guests(self) -> u32 {
        (!self.mask().to_bits()).saturating_sub(2)
    }

    /// A guest's address, counted from 0 to [`Range::guests`].
    pub fn guest(self, index: u32) -> Ipv4Addr {
        Ipv4Addr::from_bits(self.base.to_bits().saturating_add(2).saturating_add(index))
    }
}

/// How an interface is connected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VifScript {
    /// As a port of a bridge.
    Bridge,
    /// By a route to each of its addresses.
    Route,
    /// As a port of the bridge of the network behind address translation.
    Nat,
}

impl VifScript {
    /// The ways by the names of the scripts that once went them.
    pub const NAMES: [(&'static str, Self); 3] =
        [("vif-bridge", Self::Bridge), ("vif-route", Self::Route), ("vif-nat", Self::Nat)];

    /// The way of a name.
    pub fn named(name: &str) -> Option<Self> {
        Self::NAMES.iter().find(|(known, _)| *known == name).map(|(_, way)| *way)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::NAMES.iter().find(|(_, way)| *way == self).map_or("vif-bridge", |(name, _)| name)
    }

    /// What the interfaces of a network want.
    pub fn of(network: &Network) -> Self {
        match network {
            Network::Bridge { .. } => Self::Bridge,
            Network::Route { .. } => Self::Route,
            Network::Nat { .. } => Self::Nat,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let range = Range { base: [10, 0, 0, 0].into(), prefix: 24 };
        assert_eq!(range.gateway(), Ipv4Addr::new(10, 0, 0, 1));
        assert_eq!(range.mask(), Ipv4Addr::new(255, 255, 255, 0));
        assert!(range.contains([10, 0, 0, 255].into()) && !range.contains([10, 0, 1, 0].into()));
        assert_eq!(range.guests(), 253);
        assert_eq!(range.guest(0), Ipv4Addr::new(10, 0, 0, 2));
        assert_eq!(range.guest(252), Ipv4Addr::new(10, 0, 0, 254));
    }

    #[test]
    fn scripts_have_names() {
        for (name, way) in VifScript::NAMES {
            assert_eq!((VifScript::named(name), way.name()), (Some(way), name));
        }
        assert_eq!(VifScript::named("vif-openvswitch"), None);
    }
}
