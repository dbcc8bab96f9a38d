//! `xm network-attach`, `network-detach`, `network-list`.

use std::fmt::Write;

use super::output::{self, Format};
use crate::xend::client;
use crate::xend::messages::Vif;

/// Arguments of `xm network-attach`.
#[derive(Debug, clap::Args)]
pub struct Attach {
    /// The domain, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// What the interface is, as in a config: mac=, bridge=, ip=, vifname=, rate=, ...
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
}

/// Arguments of `xm network-detach`.
#[derive(Debug, clap::Args)]
pub struct Detach {
    /// The domain, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// The interface, by number or hardware address
    #[arg(value_name = "DEVID|MAC")]
    which: String,
}

/// Arguments of `xm network-list`.
#[derive(Debug, clap::Args)]
pub struct List {
    /// The domains, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT, required = true)]
    domains: Vec<String>,
}

/// Gives a guest an interface.
pub fn attach(arguments: &Attach) -> anyhow::Result<()> {
    client::attach_vif(&arguments.domain, arguments.settings.join(",")).map(|_attached| ())
}

/// Takes an interface from a guest.
pub fn detach(arguments: &Detach) -> anyhow::Result<()> {
    client::detach_vif(&arguments.domain, &arguments.which)
}

/// Lists the interfaces of guests.
pub fn list(arguments: &List, format: Format) -> anyhow::Result<()> {
    let mut all = Vec::new();
    for domain in &arguments.domains {
        all.extend(client::vifs(domain)?);
    }
    output::print(format, &all, || table(&all))
}

/// As Xen's tools have it, with -1 for what there isn't yet.
fn table(vifs: &[Vif]) -> String {
    let number = |number: Option<u32>| number.map_or(-1, i64::from);
    let mut text =
        "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path\n".to_owned();
    for vif in vifs {
        // Writing to a string can't fail.
        let _infallible = writeln!(
            text,
            "{:<3} {:<2} {:<17} {:>6} {:>5} {:>6} {:>5}/{:<11} {}",
            vif.number,
            0,
            vif.mac,
            vif.number,
            vif.state,
            number(vif.event_channel),
            number(vif.tx_ring),
            number(vif.rx_ring),
            vif.backend,
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_xen() {
        let vif = Vif {
            number: 0,
            mac: "00:16:3e:00:00:01".into(),
            state: 4,
            event_channel: Some(14),
            tx_ring: Some(768),
            rx_ring: None,
            backend: "/local/domain/0/backend/vif/1/0".into(),
            config: String::new(),
        };
        assert_eq!(
            table(&[vif]),
            "Idx BE Mac Addr.         handle state evt-ch   tx-/rx-ring-ref BE-path\n\
             0   0  00:16:3e:00:00:01      0     4     14   768/-1          \
             /local/domain/0/backend/vif/1/0\n"
        );
    }
}
