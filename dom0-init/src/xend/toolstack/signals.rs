//! What can be raised in a guest: keys of its kernel, interrupts, buttons.

use anyhow::{Context, bail, ensure};
use xenctl::xen_abi::domctl::Trigger;
use xenstore::client::Tx;

use super::Toolstack;
use crate::xend::store_nodes;

/// The words of `xm trigger`.
const TRIGGERS: [(&str, Trigger); 5] = [
    ("nmi", Trigger::NMI),
    ("reset", Trigger::RESET),
    ("init", Trigger::INIT),
    ("power", Trigger::POWER),
    ("sleep", Trigger::SLEEP),
];

impl Toolstack {
    /// Presses a magic key in a guest's kernel.
    ///
    /// # Errors
    /// When the store can't be written.
    pub fn press(&mut self, domain: u16, key: char) -> anyhow::Result<()> {
        ensure!(key.is_ascii_graphic(), "{key:?} is no key: `h` lists them on the guest's console");
        let node = format!("{}/control/sysrq", store_nodes::home(domain));
        Ok(self.store.write(Tx::NONE, &node, &key.to_string())?)
    }

    /// Raises an interrupt or presses a button.
    ///
    /// # Errors
    /// When there is none of this name, or the guest's container has none.
    pub fn trigger(&mut self, domain: u16, name: &str, vcpu: u32) -> anyhow::Result<()> {
        let known = TRIGGERS.iter().find(|(known, _)| *known == name);
        let Some((_, trigger)) = known else {
            let names = TRIGGERS.map(|(name, _)| name).join(", ");
            bail!("there is no trigger {name:?}: there are {names}");
        };
        self.xen.trigger(domain, *trigger, vcpu).with_context(|| {
            format!("{name} can't be raised in domain {domain}; a PVH guest knows nmi and reset")
        })
    }
}
