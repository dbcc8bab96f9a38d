//! What is done when guests end: what their configs want for that.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use anyhow::Context;
use toolstack::config::guest::Action;
use uuid::Uuid;
use xenctl::xen_abi::domctl::{DOMINF_DYING, DOMINF_SHUTDOWN, GetDomainInfo};
use xenctl::xen_abi::sched::ShutdownReason;
use xenstore::client::Tx;

use super::{Running, Toolstack};
use crate::guest_consoles::log_of;
use crate::xend::definition::Definition;
use crate::xend::{devices, store_nodes};
use crate::xm::domains::shutdown_reason;

/// A guest that ends sooner than this after its start would only do so again.
const TOO_SOON: Duration = Duration::from_secs(10);
/// One that ends so soon may do it again, but not for ever.
const EARLY: Duration = Duration::from_secs(60);
const MOST_EARLY_ENDS: u32 = 5;
/// Where the memory of guests that crashed goes: of each the last time.
const CORES: &str = "/data/cores";

impl Toolstack {
    /// Looks for guests that have ended, and does what their configs want.
    ///
    /// # Errors
    /// When the hypervisor doesn't say which there are.
    pub fn settle(&mut self) -> anyhow::Result<()> {
        let present: HashMap<u16, GetDomainInfo> =
            self.xen.domains()?.into_iter().map(|info| (info.domain, info)).collect();
        let known: Vec<u16> = self.guests.keys().copied().collect();
        for domain in known {
            match present.get(&domain) {
                None => self.vanished(domain),
                // It stays until its backends let go of its pages, which they do when they vanish.
                Some(info) if info.flags & DOMINF_DYING != 0 => self.vanished(domain),
                Some(info) if info.flags & DOMINF_SHUTDOWN != 0 => {
                    if let Err(error) = self.ended(domain, shutdown_reason(info)) {
                        log::error!("domain {domain}: {error:#}");
                    }
                }
                Some(_) => {}
            }
        }
        Ok(())
    }

    /// Somebody else destroyed it.
    fn vanished(&mut self, domain: u16) {
        let Some(running) = self.guests.remove(&domain) else { return };
        log::info!("{} (domain {domain}) is gone", running.guest.name);
        let uuid = running.definition.uuid;
        Definition::forget(uuid);
        if let Err(error) = self.forget(domain, uuid) {
            log::warn!("{error:#}");
        }
    }

    fn ended(&mut self, domain: u16, reason: ShutdownReason) -> anyhow::Result<()> {
        let Some(running) = self.guests.get_mut(&domain) else { return Ok(()) };
        if std::mem::replace(&mut running.settled, true) {
            return Ok(());
        }
        let (name, guest) = (running.guest.name.clone(), &running.guest);
        let (words, action) = match reason {
            ShutdownReason::POWEROFF => ("powered off", guest.on_poweroff),
            ShutdownReason::REBOOT => ("rebooted", guest.on_reboot),
            ShutdownReason::SUSPEND => return Ok(()),
            _ => ("crashed", guest.on_crash),
        };
        let age = running.started.map(|started| started.elapsed());
        let early_ends = &mut running.definition.early_ends;
        let is_early = age.is_some_and(|age| age < EARLY);
        *early_ends = if is_early { early_ends.saturating_add(1) } else { 0 };
        let hopeless = hopeless(age, *early_ends);
        log::info!("{name} (domain {domain}) {words}");
        if matches!(action, Action::CoredumpDestroy | Action::CoredumpRestart) {
            self.keep_core(domain, &name);
        }
        match action {
            Action::Preserve => Ok(()),
            Action::Destroy | Action::CoredumpDestroy => self.destroy(domain),
            _ if hopeless.is_some() => {
                let how = hopeless.unwrap_or_default();
                log::error!(
                    "{name} {words} {how}: it isn't started again; its console's log, \
                     {}, may say why",
                    log_of(&name).display()
                );
                self.destroy(domain)
            }
            Action::Restart | Action::CoredumpRestart => self.restart(domain),
            Action::RenameRestart => self.restart_beside(domain),
        }
    }

    /// Keeps a crashed guest's memory for whoever looks into it; in place of that of its last
    /// crash, so that a guest can't fill the data partition with them.
    fn keep_core(&mut self, domain: u16, name: &str) {
        let file = Path::new(CORES).join(format!("{}.core", name.replace('/', "_")));
        if let Err(error) = self.write_core(domain, &file) {
            log::error!("{name} crashed, and its memory isn't kept: {error:#}");
        }
    }

    fn restart(&mut self, domain: u16) -> anyhow::Result<()> {
        // From here on a daemon that is started again starts the guest again.
        self.remember(domain, |definition| definition.restarting = true)?;
        self.take_away(domain)?;
        let Some(running) = self.guests.remove(&domain) else { return Ok(()) };
        self.start_again(running)
    }

    /// Lets a guest that ended stay for whoever looks into it, under another name and without its
    /// devices, and starts it again.
    fn restart_beside(&mut self, domain: u16) -> anyhow::Result<()> {
        let Some(mut running) = self.guests.remove(&domain) else { return Ok(()) };
        let (name, uuid) = (running.guest.name.clone(), Uuid::new_v4());
        let taken: Vec<String> = self.domains()?.into_iter().map(|other| other.name).collect();
        let new_name = (1..).map(|number: u32| format!("{name}-{number}"));
        let new_name = new_name.into_iter().find(|name| !taken.contains(name)).unwrap_or_default();
        let mut definition = running.definition.clone();
        definition.uuid = uuid;
        definition.create.set("name", &new_name);
        definition.create.set("uuid", &uuid.to_string());
        // It has ended, and a daemon that starts again would otherwise act on that again.
        for end in ["on_poweroff", "on_reboot", "on_crash"] {
            definition.create.set(end, "preserve");
        }
        definition.detached = running.guest.disks.iter().map(|disk| disk.device.number).collect();
        definition.attached.clear();
        definition.keep()?;
        // From here on a daemon that is started again starts the guest again.
        running.definition.restarting = true;
        running.definition.keep()?;
        self.xen.set_uuid(domain, uuid.into_bytes())?;
        devices::remove_all(&mut self.store, domain)?;
        let home = store_nodes::home(domain);
        for (node, value) in [
            (format!("{home}/name"), new_name.clone()),
            (format!("{home}/vm"), format!("/vm/{uuid}")),
            (format!("/vm/{uuid}/uuid"), uuid.to_string()),
            (format!("/vm/{uuid}/name"), new_name.clone()),
        ] {
            self.store.write(Tx::NONE, &node, &value)?;
        }
        log::info!("{name} (domain {domain}) stays as {new_name}: `xm destroy {new_name}` ends it");
        let mut guest = running.guest.clone();
        guest.name = new_name;
        let kept = Running { definition, guest, started: running.started, settled: true };
        self.guests.insert(domain, kept);
        self.start_again(running)
    }

    pub(super) fn start_again(&mut self, running: Running) -> anyhow::Result<()> {
        let name = running.guest.name.clone();
        let uuid = running.definition.uuid;
        match self.start(running.definition, running.guest) {
            Ok(new) => {
                log::info!("{name} started again, as domain {new}");
                Ok(())
            }
            Err(error) => {
                Definition::forget(uuid);
                Err(error).with_context(|| format!("{name} can't be started again"))
            }
        }
    }
}

/// Why a guest that ended isn't started again, if it isn't: it would only end again. A guest of an
/// earlier daemon has no known age.
fn hopeless(age: Option<Duration>, early_ends: u32) -> Option<String> {
    if age.is_some_and(|age| age < TOO_SOON) {
        return Some(format!("within {TOO_SOON:?} of its start"));
    }
    let often = early_ends > MOST_EARLY_ENDS;
    often.then(|| format!("within {EARLY:?} of its start, {early_ends} times in a row"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_that_end_again_and_again_are_not_started_again() {
        let age = |seconds| Some(Duration::from_secs(seconds));
        assert!(hopeless(age(3), 1).is_some());
        assert_eq!(hopeless(age(30), 1), None);
        assert_eq!(hopeless(age(30), MOST_EARLY_ENDS), None);
        assert!(hopeless(age(30), MOST_EARLY_ENDS + 1).is_some());
        assert_eq!(hopeless(None, 0), None);
    }
}
