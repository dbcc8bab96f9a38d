//! Which network interfaces there are, from `/sys/class/net`.

use std::path::{Path, PathBuf};

/// `ARPHRD_ETHER` of `linux/if_arp.h`.
const ETHERNET: &str = "1";

/// The wired interfaces of the machine, sorted by name: Ethernet, with a device behind them, not
/// wireless, not a guest's, and not a port of a bridge or bond.
pub fn wired() -> Vec<String> {
    let Ok(entries) = std::fs::read_dir("/sys/class/net") else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter(|entry| is_wired(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn is_wired(folder: &Path) -> bool {
    let has = |name: &str| folder.join(name).exists();
    let is_guests = std::fs::read_link(folder.join("device/subsystem"))
        .is_ok_and(|bus| bus.ends_with("xen-backend"));
    read(folder, "type").as_deref() == Some(ETHERNET)
        && has("device")
        && !has("wireless")
        && !has("phy80211")
        && !has("master")
        && !is_guests
}

/// Whether the interface has a cable and something at its other end.
pub fn has_carrier(name: &str) -> bool {
    read(&folder(name), "carrier").as_deref() == Some("1")
}

/// The interface's hardware address.
pub fn hardware_address(name: &str) -> Option<[u8; 6]> {
    parse_hardware_address(&read(&folder(name), "address")?)
}

fn parse_hardware_address(text: &str) -> Option<[u8; 6]> {
    let mut address = [0; 6];
    let mut parts = text.split(':');
    for byte in &mut address {
        *byte = u8::from_str_radix(parts.next()?, 16).ok()?;
    }
    parts.next().is_none().then_some(address)
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
