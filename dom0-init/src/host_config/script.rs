//! Values such as `network-bridge netdev=eth1 bridge=xenbr1`: the name of a script that once was
//! started, and its options.

use std::net::Ipv4Addr;

use super::networks::{BRIDGE, Card, NAT_BRIDGE, Network, Range, VifScript};

/// The range of a network behind address translation that isn't given one: the tutorials' gateway
/// 10.0.0.1 is in it.
const RANGE: Range = Range { base: Ipv4Addr::new(10, 0, 0, 0), prefix: 24 };

/// A name and options.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Script<'a> {
    name: &'a str,
    options: Vec<(&'a str, &'a str)>,
}

impl<'a> Script<'a> {
    /// Reads words; `known` are the options that there are.
    fn read(text: &'a str, known: &[&str]) -> Result<Self, String> {
        let mut words = text.split_whitespace();
        let path = words.next().unwrap_or_default();
        let name = path.rsplit('/').next().unwrap_or(path);
        let mut options = Vec::new();
        // The scripts were started with such a word.
        for word in words.filter(|word| *word != "start") {
            let wrong = || format!("{word:?} isn't an option of {name}: {}", in_words(known));
            let (key, value) = word.split_once('=').ok_or_else(wrong)?;
            if !known.contains(&key) || value.is_empty() {
                return Err(wrong());
            }
            options.push((key, value));
        }
        Ok(Self { name, options })
    }

    fn option(&self, key: &str) -> Option<&'a str> {
        self.options.iter().find(|(known, _)| *known == key).map(|(_, value)| *value)
    }

    fn interface(&self, key: &str) -> Result<Option<String>, String> {
        let Some(name) = self.option(key) else { return Ok(None) };
        let bad = |c: char| c.is_control() || matches!(c, '/' | ':');
        if name.len() > 15 || name.contains(bad) || matches!(name, "." | "..") {
            return Err(format!(
                "{key}={name} is no name of an interface: write at most 15 letters"
            ));
        }
        Ok(Some(name.to_owned()))
    }

    fn bridge(&self, usual: &str) -> Result<String, String> {
        let number = match self.option("vifnum") {
            None => None,
            Some(digits) => {
                Some(digits.parse::<u16>().map_err(|_| format!("vifnum={digits} is no number"))?)
            }
        };
        let numbered = number.map(|number| format!("xenbr{number}"));
        Ok(self.interface("bridge")?.or(numbered).unwrap_or_else(|| usual.to_owned()))
    }

    fn card(&self) -> Result<Card, String> {
        Ok(match self.interface("netdev")? {
            None => Card::First,
            Some(name) if name == "none" => Card::None,
            Some(name) => Card::Named(name),
        })
    }
}

fn in_words(known: &[&str]) -> String {
    match known {
        [] => "it has none".to_owned(),
        _ => format!(
            "there are {}",
            known.iter().map(|k| format!("{k}=")).collect::<Vec<_>>().join(" ")
        ),
    }
}

/// The network of a `network-script`; `None` for `network-dummy`, which makes none.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn network(text: &str) -> Result<Option<Network>, String> {
    let name = text.split_whitespace().next().unwrap_or_default();
    match name.rsplit('/').next().unwrap_or_default() {
        "network-bridge" => {
            let script = Script::read(text, &["bridge", "netdev", "vifnum"])?;
            Ok(Some(Network::Bridge { bridge: script.bridge(BRIDGE)?, card: script.card()? }))
        }
        "network-route" => {
            let script = Script::read(text, &["netdev"])?;
            Ok(Some(Network::Route { card: script.card()? }))
        }
        "network-nat" => {
            let script = Script::read(text, &["bridge", "netdev", "range"])?;
            let range = script.option("range").map_or(Ok(RANGE), range)?;
            let bridge = script.bridge(NAT_BRIDGE)?;
            Ok(Some(Network::Nat { bridge, card: script.card()?, range }))
        }
        "network-dummy" | "" => Ok(None),
        other => Err(format!(
            "{other:?} isn't known, and no script is started: there are network-bridge, \
             network-route, network-nat and network-dummy"
        )),
    }
}

/// The way and the bridge of a `vif-script`.
///
/// # Errors
/// What is wrong with it, and what to write.
pub fn vif(text: &str) -> Result<(VifScript, Option<String>), String> {
    let script = Script::read(text, &["bridge"])?;
    let way = VifScript::named(script.name).ok_or_else(|| {
        format!(
            "{:?} isn't known, and no script is started: there are vif-bridge, vif-route and \
             vif-nat",
            script.name
        )
    })?;
    Ok((way, script.interface("bridge")?))
}

/// `10.0.0.0/24`
fn range(text: &str) -> Result<Range, String> {
    let wrong = || format!("range={text} is no range: write for example range=192.168.77.0/24");
    let (base, prefix) = text.split_once('/').ok_or_else(wrong)?;
    let base: Ipv4Addr = base.parse().map_err(|_| wrong())?;
    let prefix: u8 = prefix.parse().map_err(|_| wrong())?;
    let range = Range { base, prefix };
    if !(8..=29).contains(&prefix) {
        return Err(format!("range={text} must have a prefix of 8 to 29 bits"));
    }
    // Whoever writes the gateway's address means the range around it.
    let base = Ipv4Addr::from_bits(base.to_bits() & range.mask().to_bits());
    if base.is_loopback() || base.is_multicast() || base.is_unspecified() || base.octets()[0] > 223
    {
        return Err(format!(
            "range={text} isn't for hosts: take one of 10.0.0.0/8 or 192.168.0.0/16"
        ));
    }
    Ok(Range { base, prefix })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bridge(bridge: &str, card: Card) -> Option<Network> {
        Some(Network::Bridge { bridge: bridge.into(), card })
    }

    #[test]
    fn networks() {
        assert_eq!(network("network-bridge"), Ok(Some(Network::default())));
        let full = "/etc/xen/scripts/network-bridge start vifnum=1 netdev=eth1";
        assert_eq!(network(full), Ok(bridge("xenbr1", Card::Named("eth1".into()))));
        let isolated = "network-bridge bridge=dummybr0 netdev=none";
        assert_eq!(network(isolated), Ok(bridge("dummybr0", Card::None)));
        let route = Network::Route { card: Card::Named("eth0".into()) };
        assert_eq!(network("network-route netdev=eth0"), Ok(Some(route)));
        let nat = |base: [u8; 4], prefix| {
            let range = Range { base: base.into(), prefix };
            Ok(Some(Network::Nat { bridge: NAT_BRIDGE.into(), card: Card::First, range }))
        };
        assert_eq!(network("network-nat"), nat([10, 0, 0, 0], 24));
        assert_eq!(network("network-nat range=192.168.7.1/22"), nat([192, 168, 4, 0], 22));
        assert_eq!(network("network-dummy"), Ok(None));
    }

    #[test]
    fn interfaces() {
        assert_eq!(vif("vif-bridge"), Ok((VifScript::Bridge, None)));
        assert_eq!(vif("vif-bridge bridge=xenbr1"), Ok((VifScript::Bridge, Some("xenbr1".into()))));
        assert_eq!(vif("vif-nat"), Ok((VifScript::Nat, None)));
    }

    #[test]
    fn errors_say_what_to_write() {
        for (text, words) in [
            ("network-openvswitch", "there are network-bridge"),
            ("network-bridge brige=a", "there are bridge= netdev="),
            ("network-bridge bridge=", "there are bridge= netdev="),
            ("network-bridge bridge=a-much-too-long-name", "at most 15"),
            ("network-bridge vifnum=x", "no number"),
            ("network-nat range=10.0.0.1", "for example range="),
            ("network-nat range=10.0.0.1/30", "8 to 29"),
            ("network-nat range=127.0.0.0/8", "isn't for hosts"),
        ] {
            let error = network(text).unwrap_err();
            assert!(error.contains(words), "{text}: {error}");
        }
        assert!(vif("vif-openvswitch").unwrap_err().contains("vif-bridge"));
        assert!(vif("vif-route bridge=a/b").unwrap_err().contains("no name"));
    }
}
