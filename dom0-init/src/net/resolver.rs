//! `/etc/resolv.conf`, from the name servers of all interfaces.

use std::fmt::Write;
use std::path::Path;

use super::status::{self, Status};

const FILE: &str = "/etc/resolv.conf";

/// The resolver in C libraries takes no more than this many.
const MOST_SERVERS: usize = 3;

/// Writes the file anew.
pub fn update() {
    let text = compose(&status::all());
    if let Err(error) = status::replace(Path::new(FILE), text.as_bytes()) {
        log::warn!("{FILE}: {error}");
    }
}

fn compose(interfaces: &[Status]) -> String {
    let mut text = "# written by Xenolith from its DHCP leases\n".to_owned();
    let mut domains: Vec<&str> = Vec::new();
    let mut servers = Vec::new();
    for interface in interfaces {
        domains.extend(interface.domain.as_deref().filter(|d| !domains.contains(d)));
        for server in &interface.name_servers {
            if !servers.contains(server) {
                servers.push(*server);
            }
        }
    }
    // Writing to a string can't fail.
    if !domains.is_empty() {
        let _infallible = writeln!(text, "search {}", domains.join(" "));
    }
    for server in servers.iter().take(MOST_SERVERS) {
        let _infallible = writeln!(text, "nameserver {server}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_and_domains_of_all_interfaces() {
        let mut first = Status::unconfigured("eth0", true);
        first.name_servers = vec![[10, 0, 2, 3].into(), [10, 0, 2, 4].into()];
        first.domain = Some("lab.example".into());
        let mut second = Status::unconfigured("eth1", true);
        second.name_servers = vec![[10, 0, 2, 3].into(), [9, 9, 9, 9].into(), [8, 8, 8, 8].into()];
        second.domain = Some("lab.example".into());
        assert_eq!(
            compose(&[first, second]),
            "# written by Xenolith from its DHCP leases\nsearch lab.example\n\
             nameserver 10.0.2.3\nnameserver 10.0.2.4\nnameserver 9.9.9.9\n"
        );
    }
}
