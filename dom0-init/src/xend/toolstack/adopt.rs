//! What a daemon that is started again does first: it finds the guests that the last one left, and
//! puts right what that one was in the middle of.

use toolstack::config::disk::Disk;
use uuid::Uuid;
use xenctl::xen_abi::domctl::DOMINF_DYING;
use xenctl::xen_abi::io::xenbus::XenbusState;
use xenstore::client::Tx;

use super::{Running, Toolstack, guest_of};
use crate::xend::definition::Definition;
use crate::xend::devices::{self, Device, disk, vif};
use crate::xend::store_nodes;

impl Toolstack {
    /// Finds the guests that run, takes away what was half-made or half-destroyed, and starts
    /// again what was about to.
    ///
    /// # Errors
    /// When the hypervisor doesn't say which there are.
    pub fn adopt(&mut self) -> anyhow::Result<()> {
        let (mut known, mut stuck) = (vec![0], Vec::new());
        for info in self.xen.domains()?.iter().filter(|info| info.domain != 0) {
            let domain = info.domain;
            let Some(definition) = Definition::of(Uuid::from_bytes(info.handle)) else {
                known.push(domain);
                continue;
            };
            let is_going = info.flags & DOMINF_DYING != 0 || definition.restarting;
            if is_going || !definition.whole {
                let what = if is_going { "was going" } else { "was being built" };
                log::warn!("domain {domain} {what} when the daemon ended");
                if let Err(error) = self.take_away(domain) {
                    log::error!("domain {domain} can't be taken away: {error:#}");
                    known.push(domain);
                    stuck.push(definition.uuid);
                }
                continue;
            }
            known.push(domain);
            let Ok(guest) = guest_of(&definition) else { continue };
            log::info!("{} (domain {domain}) goes on", guest.name);
            let running = Running { definition, guest, started: None, settled: false };
            self.guests.insert(domain, running);
            if let Err(error) = self.settle_devices(domain) {
                log::error!("domain {domain}: its devices: {error:#}");
            }
        }
        store_nodes::sweep(&mut self.store, &known)?;
        for definition in Definition::all() {
            let uuid = definition.uuid;
            let runs = self.guests.values().any(|running| running.definition.uuid == uuid);
            if runs || stuck.contains(&uuid) {
                continue;
            }
            match guest_of(&definition) {
                Ok(guest) if definition.restarting => {
                    let running = Running { definition, guest, started: None, settled: false };
                    if let Err(error) = self.start_again(running) {
                        log::error!("{error:#}");
                    }
                }
                _ => Definition::forget(uuid),
            }
        }
        Ok(())
    }

    /// Ends what was begun with a guest's devices: what was being attached, and what is detached
    /// but for that, is taken away. Who asked for it wasn't told that it is done.
    fn settle_devices(&mut self, domain: u16) -> anyhow::Result<()> {
        let Some(running) = self.guests.get(&domain) else { return Ok(()) };
        let (guest, attaching) = (running.guest.clone(), running.definition.attaching.clone());
        let attaching = attaching.and_then(|text| Disk::parse(&text).ok());
        let attaching = attaching.map(|disk| disk.device.number);
        let mut there = Vec::new();
        for device in disk::all(&mut self.store, domain)? {
            if attaching == Some(device.number) || self.is_detached(&device)? {
                log::warn!("domain {domain}: disk {} was coming or going: it goes", device.number);
                device.remove(&mut self.store)?;
                disk::forget(&mut self.store, &device)?;
            } else {
                there.push(device.number);
            }
        }
        let numbers = guest.disks.iter().map(|disk| disk.device.number);
        let gone: Vec<u32> = numbers.filter(|number| !there.contains(number)).collect();
        if attaching.is_some() || !gone.is_empty() {
            self.remember(domain, |definition| {
                definition.attaching = None;
                gone.iter().for_each(|number| definition.detach(*number));
            })?;
        }
        vif::adopt(&mut self.store, domain)?;
        if vif::numbers(&mut self.store, domain)?.len() != guest.vifs.len() {
            self.remember_vifs(domain)?;
        }
        Ok(())
    }

    /// Whether both ends of a device have let go of it, because it was to be detached.
    fn is_detached(&mut self, device: &Device) -> anyhow::Result<bool> {
        let state = devices::state(&mut self.store, &device.backend())?;
        let online = self.store.read(Tx::NONE, &format!("{}/online", device.backend()))?;
        Ok(state == Some(XenbusState::CLOSED) && online.as_deref() == Some("0"))
    }
}
