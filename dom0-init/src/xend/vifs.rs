//! Network interfaces of guests that run.

use anyhow::{Context, anyhow};
use toolstack::config::vif::Vif;
use uuid::Uuid;

use super::devices::vif;
use super::messages::{self, AttachVif, Attached};
use super::toolstack::Toolstack;
use crate::host_config::HostConfig;

impl Toolstack {
    /// A guest's interfaces.
    ///
    /// # Errors
    /// As the store has it.
    pub fn vifs(&mut self, domain: u16) -> anyhow::Result<Vec<messages::Vif>> {
        vif::list(&mut self.store, domain)
    }

    /// Gives a guest an interface.
    ///
    /// # Errors
    /// What is wrong with it; the guest hasn't got it then.
    pub fn attach_vif(&mut self, domain: u16, attach: AttachVif) -> anyhow::Result<Attached> {
        let wanted = Vif::parse(&attach.vif).map_err(|error| anyhow!(error))?;
        let taken = vif::numbers(&mut self.store, domain)?;
        let number = (0..).find(|number| !taken.contains(number)).context("no number is free")?;
        let info = self.xen.domain(domain)?.context("the domain is gone")?;
        let usual = || vif::usual_mac(Uuid::from_bytes(info.handle), number);
        let mac = wanted.mac.unwrap_or_else(usual);
        let device = vif::device(domain, number);
        vif::add(&mut self.store, &device, mac, &wanted, &HostConfig::current())?;
        if let Err(error) = vif::connect(&mut self.store, &device) {
            vif::remove(&mut self.store, &device)?;
            return Err(error);
        }
        log::info!("domain {domain}: vif {number} attached");
        self.remember_vifs(domain)?;
        Ok(Attached { number })
    }

    /// Takes an interface from a guest, by its number or hardware address.
    ///
    /// # Errors
    /// When there is none such.
    pub fn detach_vif(&mut self, domain: u16, which: &str) -> anyhow::Result<()> {
        let all = self.vifs(domain)?;
        let is_meant = |vif: &&messages::Vif| {
            which.parse() == Ok(vif.number) || vif.mac.eq_ignore_ascii_case(which)
        };
        let number = all.iter().find(is_meant).map(|vif| vif.number).ok_or_else(|| {
            anyhow!("domain {domain} has no interface {which}: `xm network-list` shows its own")
        })?;
        vif::remove(&mut self.store, &vif::device(domain, number))?;
        log::info!("domain {domain}: vif {number} detached");
        self.remember_vifs(domain)
    }

    /// What a guest has now it has again when it starts again.
    pub(super) fn remember_vifs(&mut self, domain: u16) -> anyhow::Result<()> {
        let all = self.vifs(domain)?;
        self.remember(domain, |definition| {
            definition.create.overrides.retain(|known| !known.starts_with("vif="));
            definition.create.overrides.push(as_override(&all));
        })
    }
}

fn as_override(all: &[messages::Vif]) -> String {
    let quoted = |vif: &messages::Vif| {
        format!("'{}'", vif.config.replace('\\', "\\\\").replace('\'', "\\'"))
    };
    format!("vif=[{}]", all.iter().map(quoted).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn vif(config: &str) -> messages::Vif {
        messages::Vif {
            number: 0,
            mac: String::new(),
            state: 4,
            event_channel: None,
            tx_ring: None,
            rx_ring: None,
            backend: String::new(),
            config: config.into(),
        }
    }

    #[test]
    fn interfaces_are_remembered_as_configs_have_them() {
        let text = as_override(&[vif("mac=00:16:3e:00:00:01,bridge=it's"), vif("ip=10.0.0.2")]);
        let (guest, _) =
            toolstack::config::read("a.cfg", "kernel='/k'\nvif=['', '']", &[text]).unwrap();
        assert_eq!(guest.vifs.len(), 2);
        assert_eq!(guest.vifs[0].bridge.as_deref(), Some("it's"));
        assert_eq!(as_override(&[]), "vif=[]");
    }
}
