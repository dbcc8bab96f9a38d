//! What the domains' network interfaces and disks did, as the kernel's backends count it.

use std::collections::HashMap;
use std::path::Path;

use serde::Serialize;

use crate::guest_disks;

/// A domain's network interfaces together, from the domain's side.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Network {
    /// How many.
    pub interfaces: u32,
    /// What the domain sent.
    pub sent_bytes: u64,
    /// What it received.
    pub received_bytes: u64,
}

/// A domain's disks together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Disks {
    /// How many.
    pub disks: u32,
    /// How often the backend was out of requests.
    pub out_of_requests: u64,
    /// Reads.
    pub reads: u64,
    /// Writes.
    pub writes: u64,
    /// Sectors read.
    pub read_sectors: u64,
    /// Sectors written.
    pub written_sectors: u64,
}

/// What each domain's devices did.
pub fn by_domain() -> HashMap<u16, (Network, Disks)> {
    let mut all = HashMap::new();
    add_networks(Path::new("/sys/class/net"), &mut all);
    add_disks(Path::new("/sys/bus/xen-backend/devices"), "vbd-", &mut all);
    add_disks(Path::new(guest_disks::FOLDER), "", &mut all);
    all
}

/// Backends are called `vif3.0`: the first interface of domain 3.
fn add_networks(folder: &Path, all: &mut HashMap<u16, (Network, Disks)>) {
    for name in names(folder) {
        let Some(domain) = name
            .strip_prefix("vif")
            .and_then(|rest| rest.split_once('.'))
            .and_then(|(domain, _)| domain.parse().ok())
        else {
            continue;
        };
        let statistics = folder.join(&name).join("statistics");
        let network = &mut all.entry(domain).or_default().0;
        network.interfaces += 1;
        // What the backend receives is what the domain sent.
        network.sent_bytes += number(&statistics, "rx_bytes");
        network.received_bytes += number(&statistics, "tx_bytes");
    }
}

/// Backends of the kernel are called `vbd-3-51712`: domain 3, device number; those of the daemon
/// have no prefix.
fn add_disks(folder: &Path, prefix: &str, all: &mut HashMap<u16, (Network, Disks)>) {
    for name in names(folder) {
        let Some(domain) = name
            .strip_prefix(prefix)
            .and_then(|rest| rest.split_once('-'))
            .and_then(|(domain, _)| domain.parse().ok())
        else {
            continue;
        };
        let statistics = folder.join(&name).join("statistics");
        let disks = &mut all.entry(domain).or_default().1;
        disks.disks += 1;
        disks.out_of_requests += number(&statistics, "oo_req");
        disks.reads += number(&statistics, "rd_req");
        disks.writes += number(&statistics, "wr_req");
        disks.read_sectors += number(&statistics, "rd_sect");
        disks.written_sectors += number(&statistics, "wr_sect");
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect()
}

fn number(folder: &Path, name: &str) -> u64 {
    std::fs::read_to_string(folder.join(name))
        .ok()
        .and_then(|text| text.trim().parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_domains_devices_are_added_up() {
        let root = std::env::temp_dir().join(format!("devices-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let file = root.join(path);
            std::fs::create_dir_all(file.parent().unwrap()).unwrap();
            std::fs::write(file, text).unwrap();
        };
        put("net/vif3.0/statistics/rx_bytes", "100\n");
        put("net/vif3.1/statistics/rx_bytes", "11\n");
        put("net/vif3.1/statistics/tx_bytes", "7\n");
        put("net/eth0/statistics/rx_bytes", "999\n");
        put("bus/vbd-3-51712/statistics/rd_req", "5\n");
        put("bus/vif-3-0/nodename", "x\n");
        let mut all = HashMap::new();
        add_networks(&root.join("net"), &mut all);
        put("daemon/3-51728/statistics/rd_req", "2\n");
        add_disks(&root.join("bus"), "vbd-", &mut all);
        add_disks(&root.join("daemon"), "", &mut all);
        std::fs::remove_dir_all(&root).unwrap();
        let (network, disks) = all[&3];
        assert_eq!(network, Network { interfaces: 2, sent_bytes: 111, received_bytes: 7 });
        assert_eq!((disks.disks, disks.reads, all.len()), (2, 7, 1));
    }
}
