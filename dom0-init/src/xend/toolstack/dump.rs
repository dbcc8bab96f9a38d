//! `xm dump-core`: a guest's memory and registers, written to a file.

use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context, anyhow, ensure};
use toolstack::core_file::{self, Facts};
use xenctl::xen_abi::domctl::DOMINF_PAUSED;

use super::Toolstack;
use crate::xend::messages::Dump;

impl Toolstack {
    /// Writes a guest's memory and registers; the guest waits meanwhile, unless it is to live on.
    ///
    /// # Errors
    /// When the file can't be written whole; nothing is left of it then.
    pub fn dump(&mut self, domain: u16, dump: &Dump) -> anyhow::Result<()> {
        let place = Path::new(&dump.file);
        ensure!(place.is_absolute(), "{:?} isn't a whole path: begin it with /", dump.file);
        let info = self.xen.domain(domain)?.ok_or_else(|| anyhow!("domain {domain} is gone"))?;
        let pause = !dump.live && info.flags & DOMINF_PAUSED == 0;
        if pause {
            self.xen.pause_domain(domain)?;
        }
        let written = self.write_core(domain, place);
        if pause {
            self.xen.unpause_domain(domain)?;
        }
        written
    }

    /// Writes the memory and registers of a guest that doesn't run, or is to run on.
    ///
    /// # Errors
    /// When the file can't be written whole; nothing is left of it then.
    pub(super) fn write_core(&self, domain: u16, place: &Path) -> anyhow::Result<()> {
        let name = || format!("{} can't be written", place.display());
        let info = self.xen.domain(domain)?.ok_or_else(|| anyhow!("domain {domain} is gone"))?;
        if let Some(folder) = place.parent() {
            fs::create_dir_all(folder).with_context(name)?;
        }
        let facts =
            Facts { domain, vcpus: info.max_vcpu_id.wrapping_add(1), pages: info.tot_pages };
        let written = File::create(place).with_context(name).and_then(|file| {
            core_file::write(&self.xen, &facts, &file).with_context(name)?;
            file.sync_all().with_context(name)
        });
        written.inspect_err(|_error| {
            // Half a core is of no use and may fill the disk.
            let _gone = fs::remove_file(place);
        })?;
        log::info!("domain {domain}: its memory is in {}", place.display());
        Ok(())
    }
}
