//! How much memory a guest has and may have.

use anyhow::{Context, ensure};
use xenstore::client::Tx;

use super::Toolstack;
use crate::xend::store_nodes;

/// What a guest may have beyond its memory, in KiB: the pages of its rings and tables.
const SLACK_KIB: u64 = 1024;
/// Less than this leaves no room for a kernel.
const LEAST_MIB: u64 = 16;

impl Toolstack {
    /// Asks a guest to give memory back or to take some; its balloon does that by itself.
    ///
    /// # Errors
    /// When it may not have as much, or there isn't as much.
    pub fn set_memory(&mut self, domain: u16, mebibytes: u64) -> anyhow::Result<()> {
        let home = store_nodes::home(domain);
        let most = self.store.read(Tx::NONE, &format!("{home}/memory/static-max"))?;
        let most: u64 = most.and_then(|most| most.parse().ok()).context("it isn't a guest")?;
        let wanted = mebibytes.saturating_mul(1024);
        ensure!(
            mebibytes >= LEAST_MIB && wanted <= most,
            "domain {domain} can have {LEAST_MIB} to {} MiB: maxmem= in its config is the most",
            most / 1024
        );
        let info = self.xen.domain(domain)?.context("it is gone")?;
        let more = wanted.saturating_sub(info.tot_pages.saturating_mul(4));
        let free = self.xen.physical_info()?.free_pages.saturating_mul(4);
        ensure!(
            more <= free,
            "the machine has only {} MiB left: shut another guest down or take memory from it",
            free / 1024
        );
        // It may take more before it is asked to, and keep what it has until it gives it back.
        self.xen.set_max_memory(domain, wanted.saturating_add(SLACK_KIB))?;
        self.store.write(Tx::NONE, &format!("{home}/memory/target"), &wanted.to_string())?;
        self.remember(domain, |definition| {
            definition.create.set("memory", &mebibytes.to_string());
            definition.create.set("maxmem", &(most / 1024).to_string());
        })
    }

    /// Limits what a guest may have.
    ///
    /// # Errors
    /// When it is asked to have more than that.
    pub fn set_max_memory(&mut self, domain: u16, mebibytes: u64) -> anyhow::Result<()> {
        let node = format!("{}/memory/target", store_nodes::home(domain));
        let target = self.store.read(Tx::NONE, &node)?.and_then(|target| target.parse().ok());
        let target: u64 = target.context("it isn't a guest")?;
        let wanted = mebibytes.saturating_mul(1024);
        ensure!(
            wanted >= target,
            "domain {domain} is to have {} MiB, which is more: `xm mem-set` lowers that first",
            target / 1024
        );
        Ok(self.xen.set_max_memory(domain, wanted.saturating_add(SLACK_KIB))?)
    }
}
