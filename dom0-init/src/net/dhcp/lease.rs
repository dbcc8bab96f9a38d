//! What a server leases to an interface.

use std::fmt;
use std::net::Ipv4Addr;
use std::time::Duration;

/// An address with what goes with it, for a time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lease {
    /// The address.
    pub address: Ipv4Addr,
    /// The length of the network's prefix.
    pub prefix: u8,
    /// The routers, best first.
    pub routers: Vec<Ipv4Addr>,
    /// The name servers, best first.
    pub name_servers: Vec<Ipv4Addr>,
    /// The domain to look names up in.
    pub domain: Option<String>,
    /// The server that leased it.
    pub server: Ipv4Addr,
    /// For how long, `None` for ever.
    pub duration: Option<Duration>,
    /// When to ask the server for more time (T1), after the lease was given.
    pub renew_after: Duration,
    /// When to ask any server for more time (T2), after the lease was given.
    pub rebind_after: Duration,
}

impl Lease {
    /// Whether an address is in the lease's network.
    pub fn contains(&self, other: Ipv4Addr) -> bool {
        let mask = u32::MAX.checked_shl(32 - u32::from(self.prefix.min(32))).unwrap_or(0);
        self.address.to_bits() & mask == other.to_bits() & mask
    }
}

impl fmt::Display for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)?;
        if let Some(router) = self.routers.first() {
            write!(f, ", router {router}")?;
        }
        match self.duration {
            Some(duration) => write!(f, ", from {} for {} s", self.server, duration.as_secs()),
            None => write!(f, ", from {} for ever", self.server),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A lease as QEMU's user network gives it.
    pub fn example() -> Lease {
        Lease {
            address: [10, 0, 2, 15].into(),
            prefix: 24,
            routers: vec![[10, 0, 2, 2].into()],
            name_servers: vec![[10, 0, 2, 3].into()],
            domain: None,
            server: [10, 0, 2, 2].into(),
            duration: Some(Duration::from_secs(86_400)),
            renew_after: Duration::from_secs(43_200),
            rebind_after: Duration::from_secs(75_600),
        }
    }

    #[test]
    fn networks() {
        let mut lease = example();
        assert!(lease.contains([10, 0, 2, 2].into()) && !lease.contains([10, 0, 3, 2].into()));
        lease.prefix = 0;
        assert!(lease.contains([1, 1, 1, 1].into()));
        lease.prefix = 32;
        assert!(lease.contains(lease.address) && !lease.contains([10, 0, 2, 14].into()));
    }

    #[test]
    fn in_words() {
        assert_eq!(
            example().to_string(),
            "10.0.2.15/24, router 10.0.2.2, from 10.0.2.2 for 86400 s"
        );
    }
}
