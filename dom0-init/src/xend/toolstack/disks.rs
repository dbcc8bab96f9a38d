//! Disks that come and go while a guest runs.

use anyhow::{Context, ensure};
use toolstack::config::disk::{Disk, VirtualDevice};

use super::Toolstack;
use crate::xend::devices::{self, disk};

impl Toolstack {
    /// Gives a running guest another disk.
    ///
    /// # Errors
    /// What is wrong with it; the guest is as before then.
    pub fn attach_disk(&mut self, domain: u16, text: &str) -> anyhow::Result<()> {
        let added = Disk::parse(text).map_err(anyhow::Error::msg)?;
        ensure!(
            disk::find(&mut self.store, domain, added.device.number)?.is_none(),
            "domain {domain} has a disk {} already: `xm block-list` shows them",
            added.device
        );
        // From here on a daemon that is started again knows what to take away.
        self.remember(domain, |definition| definition.attaching = Some(text.to_owned()))?;
        if let Err(error) = self.attach_and_wait(domain, &added) {
            self.remember(domain, |definition| definition.attaching = None)?;
            return Err(error).with_context(|| format!("disk {}", added.device));
        }
        self.remember(domain, |definition| {
            definition.attaching = None;
            definition.attached.push(text.to_owned());
        })
    }

    fn attach_and_wait(&mut self, domain: u16, added: &Disk) -> anyhow::Result<()> {
        let attached = disk::add(&mut self.store, domain, added)?;
        if let Err(error) = attached.wait_until_opened(&mut self.store) {
            attached.device.remove(&mut self.store)?;
            disk::forget(&mut self.store, &attached.device)?;
            return Err(error);
        }
        Ok(())
    }

    /// Takes a disk from a running guest.
    ///
    /// # Errors
    /// When it has none of this name, or doesn't let go of it, unless it is forced.
    pub fn detach_disk(&mut self, domain: u16, name: &str, force: bool) -> anyhow::Result<()> {
        let number = VirtualDevice::parse(name).map_err(anyhow::Error::msg)?.number;
        let device = disk::find(&mut self.store, domain, number)?.with_context(|| {
            format!("domain {domain} has no disk {name}: `xm block-list` shows those it has")
        })?;
        if let Err(error) = devices::close(&mut self.store, &device)
            && !force
        {
            return Err(error).with_context(|| {
                format!(
                    "domain {domain} keeps {name}: unmount it there, or use --force, which may \
                     lose what it hasn't written"
                )
            });
        }
        device.remove(&mut self.store)?;
        disk::forget(&mut self.store, &device)?;
        self.remember(domain, |definition| definition.detach(number))
    }
}
