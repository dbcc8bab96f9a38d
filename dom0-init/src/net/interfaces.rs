//! Which network interfaces there are, from `/sys/class/net`.

use std::path::{Path, PathBuf};

/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: &str = "1";

/// A network card.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Card {
    /// The interface's name.
    pub name: String,
    /// Whether it has a cable and something at its other end.
    pub carrier: bool,
    /// The bridge or bond that it is a port of.
    pub master: Option<String>,
}

/// The wired network cards of the machine, sorted by name: Ethernet, with a device behind them,
/// neither wireless nor a guest's.
pub fn cards() -> Vec<Card> {
    let card = |name: String| Card { carrier: has_carrier(&name), master: master(&name), name };
    all().into_iter().filter(|name| is_card(name)).map(card).collect()
}

/// Whether an interface is a wired network card.
pub fn is_card(name: &str) -> bool {
    let folder = &folder(name);
    let has = |name: &str| folder.join(name).exists();
    // One that is just going has no bus any more; cards that stay do.
    let is_hosts = std::fs::read_link(folder.join("device/subsystem"))
        .is_ok_and(|bus| !bus.ends_with("xen-backend"));
    read(folder, "type").as_deref() == Some(ETHERNET)
        && has("device")
        && !has("wireless")
        && !has("phy80211")
        && is_hosts
}

/// All interfaces, sorted by name.
pub fn all() -> Vec<String> {
    names(Path::new("/sys/class/net"))
}

/// All bridges, sorted by name.
pub fn bridges() -> Vec<String> {
    all().into_iter().filter(|name| is_bridge(name)).collect()
}

/// Whether there is a bridge of that name.
pub fn is_bridge(name: &str) -> bool {
    folder(name).join("bridge").is_dir()
}

/// Whether there is an interface of that name.
pub fn exists(name: &str) -> bool {
    folder(name).exists()
}

/// The ports of a bridge, sorted by name.
pub fn ports(bridge: &str) -> Vec<String> {
    names(&folder(bridge).join("brif"))
}

/// What was written on an interface when it was made.
pub fn alias(name: &str) -> Option<String> {
    read(&folder(name), "ifalias")
}

/// Whether the interface has a cable and something at its other end.
pub fn has_carrier(name: &str) -> bool {
    read(&folder(name), "carrier").as_deref() == Some("1")
}

/// The interface's hardware address.
pub fn hardware_address(name: &str) -> Option<[u8; 6]> {
    parse_hardware_address(&read(&folder(name), "address")?)
}

/// The bridge or bond that an interface is a port of.
pub fn master(name: &str) -> Option<String> {
    let link = std::fs::read_link(folder(name).join("master")).ok()?;
    link.file_name()?.to_str().map(str::to_owned)
}

fn parse_hardware_address(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut address {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn folder(name: &str) -> PathBuf {
    Path::new("/sys/class/net").join(name)
}

fn read(folder: &Path, name: &str) -> Option<String> {
    std::fs::read_to_string(folder.join(name)).ok().map(|text| text.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hardware_addresses() {
        assert_eq!(
            parse_hardware_address("52:54:00:12:34:ff"),
            Some([0x52, 0x54, 0, 0x12, 0x34, 0xff])
        );
        assert_eq!(parse_hardware_address("52:54:00:12:34"), None);
        assert_eq!(parse_hardware_address("52:54:00:12:34:56:78"), None);
        assert_eq!(parse_hardware_address(""), None);
    }
}
