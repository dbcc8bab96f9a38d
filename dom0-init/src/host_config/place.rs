//! Where an interface goes: what its config leaves open, the host's decides.

use toolstack::config::vif::Vif;

use super::HostConfig;
use super::networks::{Network, VifScript};

/// Where an interface goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// How it is connected.
    pub script: VifScript,
    /// The bridge, unless it is connected by routes.
    pub bridge: Option<String>,
}

impl HostConfig {
    /// Where an interface goes.
    ///
    /// # Errors
    /// When it can't go where it wants to, with what to write instead.
    pub fn place(&self, vif: &Vif) -> Result<Place, String> {
        let script = match &vif.script {
            Some(name) => VifScript::named(name).ok_or_else(|| {
                format!(
                    "script={name} isn't known: there are no scripts here, but the names \
                     vif-bridge, vif-route and vif-nat stand for what those did"
                )
            })?,
            None => self.usual_script(vif),
        };
        let bridge = match script {
            VifScript::Route if vif.addresses.is_empty() => {
                return Err(
                    "ip= is missing: an interface that is connected by routes must say its address"
                        .to_owned(),
                );
            }
            VifScript::Route => None,
            VifScript::Bridge => Some(vif.bridge.clone().map_or_else(|| self.bridge(), Ok)?),
            VifScript::Nat => Some(vif.bridge.clone().map_or_else(|| self.nat_bridge(), Ok)?),
        };
        Ok(Place { script, bridge })
    }

    fn usual_script(&self, vif: &Vif) -> VifScript {
        let network = match &vif.bridge {
            Some(wanted) => self.networks.iter().find(|n| n.bridge() == Some(wanted)),
            None if self.vif_script.is_some() => None,
            None => self.networks.first(),
        };
        match (network, &vif.bridge) {
            (Some(network), _) => VifScript::of(network),
            (None, Some(_)) => VifScript::Bridge,
            (None, None) => self.vif_script.unwrap_or(VifScript::Bridge),
        }
    }

    fn bridge(&self) -> Result<String, String> {
        if let Some(bridge) = &self.vif_bridge {
            return Ok(bridge.clone());
        }
        let found = self.networks.iter().find_map(Network::bridge);
        found.map(str::to_owned).ok_or_else(|| {
            "the host has no bridge: write script=vif-route, or add (network-script \
             network-bridge) to the host's xend-config.sxp"
                .to_owned()
        })
    }

    fn nat_bridge(&self) -> Result<String, String> {
        let found = self.networks.iter().find(|n| matches!(n, Network::Nat { .. }));
        found.and_then(Network::bridge).map(str::to_owned).ok_or_else(|| {
            "the host has no network behind address translation: add (network-script \
             network-nat) to its xend-config.sxp"
                .to_owned()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::networks::{Card, NAT_BRIDGE, Range};
    use super::*;

    fn nat() -> Network {
        let range = Range { base: [10, 0, 0, 0].into(), prefix: 24 };
        Network::Nat { bridge: NAT_BRIDGE.to_owned(), card: Card::First, range }
    }

    fn words(networks: Vec<Network>, vif: &str) -> String {
        let config = HostConfig { networks, ..HostConfig::default() };
        match config.place(&Vif::parse(vif).unwrap()) {
            Ok(place) => format!("{} {}", place.script.name(), place.bridge.unwrap_or_default()),
            Err(error) => error,
        }
    }

    #[test]
    fn an_empty_interface_goes_where_the_first_network_is() {
        assert_eq!(words(vec![Network::default()], ""), "vif-bridge xenbr0");
        assert_eq!(words(vec![nat(), Network::default()], ""), "vif-nat natbr0");
        let route = || vec![Network::Route { card: Card::First }];
        assert!(words(route(), "").contains("ip= is missing"));
        assert_eq!(words(route(), "ip=10.9.0.2"), "vif-route ");
    }

    #[test]
    fn what_an_interface_says_wins() {
        let both = || vec![Network::default(), nat()];
        assert_eq!(words(both(), "bridge=natbr0"), "vif-nat natbr0");
        assert_eq!(words(both(), "script=vif-nat"), "vif-nat natbr0");
        assert_eq!(words(both(), "bridge=dummybr0"), "vif-bridge dummybr0");
        assert_eq!(words(vec![nat()], "script=vif-bridge,bridge=xenbr7"), "vif-bridge xenbr7");
        assert!(words(vec![Network::default()], "script=vif-nat").contains("network-nat"));
        assert!(words(both(), "script=vif-antispoof").contains("vif-bridge, vif-route"));
        let config = HostConfig {
            vif_script: Some(VifScript::Bridge),
            vif_bridge: Some("xenbr1".into()),
            ..HostConfig::default()
        };
        assert_eq!(config.place(&Vif::default()).unwrap().bridge.as_deref(), Some("xenbr1"));
    }
}
