//! Guests' interfaces as the control domain has them: ports of bridges, or ends of routes.
//!
//! The kernel makes the interface `vifDOMAIN.NUMBER` when it serves a guest's; the toolstack has
//! it connected here. What comes from it is guarded ([`guard`]) before anything can come.

use std::net::{IpAddr, Ipv4Addr};

use anyhow::{Context, bail};

use super::filter::guard;
use super::interfaces;
use super::links::Links;

/// A guest's interface, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// The name that the kernel gave it.
    pub interface: String,
    /// The name that it gets.
    pub name: String,
    /// The hardware address that the guest has.
    pub mac: [u8; 6],
    /// The addresses that it may use; any if empty.
    pub addresses: Vec<IpAddr>,
    /// The bridge; routes lead to its addresses if `None`.
    pub bridge: Option<String>,
}

/// Names an interface, guards it, connects it, and sets it up. What is so already stays so.
///
/// # Errors
/// When there is no such bridge, or the kernel refuses.
pub fn connect(port: &Port) -> anyhow::Result<()> {
    if let Some(bridge) = &port.bridge
        && !interfaces::is_bridge(bridge)
    {
        bail!("there is no bridge {bridge}: {}", bridges_in_words(&interfaces::bridges()));
    }
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("can't start the runtime")?
        .block_on(set_up(port))
}

async fn set_up(port: &Port) -> anyhow::Result<()> {
    let Port { interface, name, mac, addresses, bridge } = port;
    let links = Links::connect()?;
    if interface != name && interfaces::exists(interface) {
        let renamed = links.rename(interface, name).await;
        renamed.with_context(|| format!("it can't be named {name}"))?;
    }
    // The kernel shows an interface a moment before it is there for everyone: asking waits.
    links.index(name).await?;
    guard::set(interface, name, *mac, addresses).context("it can't be guarded")?;
    let_ipv6(name, false);
    match bridge {
        Some(bridge) => {
            if interfaces::master(name).as_deref() != Some(bridge) {
                let put = links.set_bridge(name, Some(bridge)).await;
                put.with_context(|| format!("{name} can't be a port of {bridge}"))?;
            }
            links.bring_up(name).await.with_context(|| format!("{name} can't be set up"))
        }
        None => {
            // The guest finds everything behind the control domain, which answers for it.
            set_ipv4(name, "proxy_arp", true);
            links.bring_up(name).await.with_context(|| format!("{name} can't be set up"))?;
            for address in routable(addresses)? {
                let led = links.add_host_route(name, address).await;
                led.with_context(|| format!("no route can lead to {address}"))?;
            }
            Ok(())
        }
    }
}

fn routable(addresses: &[IpAddr]) -> anyhow::Result<Vec<Ipv4Addr>> {
    let ipv4 = |address: &IpAddr| match address {
        IpAddr::V4(address) => Ok(*address),
        IpAddr::V6(address) => bail!(
            "ip={address}: routes lead to IPv4 addresses alone: put the interface on a bridge"
        ),
    };
    addresses.iter().map(ipv4).collect()
}

/// Forgets an interface that is gone or going, by the name that the kernel gave it.
pub fn forget(interface: &str) {
    if let Err(error) = guard::remove(interface) {
        log::warn!("{interface}: {error:#}");
    }
}

fn bridges_in_words(bridges: &[String]) -> String {
    match bridges {
        [] => "there is none at all; `xm log` says what became of the host's networks".to_owned(),
        names => format!(
            "there are {}; name one of them by bridge=, or add (network-script 'network-bridge \
             bridge=NAME netdev=none') to the host's xend-config.sxp",
            names.join(", ")
        ),
    }
}

/// Whether the control domain speaks IPv6 on an interface. On ports it doesn't: the bridge does.
pub fn let_ipv6(interface: &str, speak: bool) {
    let file = format!("/proc/sys/net/ipv6/conf/{interface}/disable_ipv6");
    // A kernel without IPv6 has no such file.
    let _absent = std::fs::write(file, if speak { "0" } else { "1" });
}

/// Switches one of an interface's IPv4 settings.
pub fn set_ipv4(interface: &str, setting: &str, on: bool) {
    let file = format!("/proc/sys/net/ipv4/conf/{interface}/{setting}");
    if let Err(error) = std::fs::write(&file, if on { "1" } else { "0" }) {
        log::warn!("{file}: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bridges_that_are_missing_are_named_with_those_there_are() {
        assert!(bridges_in_words(&[]).contains("xm log"));
        let words = bridges_in_words(&["natbr0".into(), "xenbr0".into()]);
        assert!(words.starts_with("there are natbr0, xenbr0; name one of them by bridge="));
        let port = Port {
            interface: "vif999.0".into(),
            name: "vif999.0".into(),
            mac: [0; 6],
            addresses: Vec::new(),
            bridge: Some("nonexistentbr".into()),
        };
        assert!(connect(&port).unwrap_err().to_string().starts_with("there is no bridge none"));
    }

    #[test]
    fn routes_are_for_ipv4() {
        assert_eq!(routable(&[[10, 0, 0, 2].into()]).unwrap(), [Ipv4Addr::new(10, 0, 0, 2)]);
        let wrong = routable(&["fe80::1".parse().unwrap()]).unwrap_err();
        assert!(wrong.to_string().contains("on a bridge"));
    }
}
