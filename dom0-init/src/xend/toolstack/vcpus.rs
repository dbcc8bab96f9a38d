//! How many vCPUs a domain uses, where they run, and what share of the CPUs they get.

use anyhow::{Context, ensure};
use toolstack::config::cpus::CpuSet;
use xenctl::xen_abi::domctl::SchedCredit2;
use xenstore::client::Tx;

use super::Toolstack;
use crate::xend::messages::{Pin, Share};
use crate::xend::store_nodes;

impl Toolstack {
    /// Asks a guest to use so many of its vCPUs; it does that by itself.
    ///
    /// # Errors
    /// When it can't have as many.
    pub fn set_vcpus(&mut self, domain: u16, count: u32) -> anyhow::Result<()> {
        let most = self.vcpus_of(domain)?;
        ensure!(
            (1..=most).contains(&count),
            "domain {domain} can use 1 to {most} vCPUs: maxvcpus= in its config is the most"
        );
        let home = store_nodes::home(domain);
        for vcpu in 0..most {
            let state = if vcpu < count { "online" } else { "offline" };
            self.store.write(Tx::NONE, &format!("{home}/cpu/{vcpu}/availability"), state)?;
        }
        self.remember(domain, |definition| {
            definition.create.set("vcpus", &count.to_string());
            definition.create.set("maxvcpus", &most.to_string());
        })
    }

    /// Says where vCPUs may run.
    ///
    /// # Errors
    /// When there is no such vCPU or CPU.
    pub fn pin(&mut self, domain: u16, pin: &Pin) -> anyhow::Result<()> {
        let most = self.vcpus_of(domain)?;
        let set = CpuSet::parse(&pin.cpus).map_err(anyhow::Error::msg)?;
        let present = self.xen.physical_info()?.max_cpu_id;
        let cpus: Vec<u32> = match set {
            CpuSet::All => (0..=present).collect(),
            CpuSet::Only(cpus) => cpus,
        };
        let vcpus = match pin.vcpu {
            None => 0..most,
            Some(vcpu) => {
                ensure!(
                    vcpu < most,
                    "domain {domain} has no vCPU {vcpu}: it has 0 to {}",
                    most - 1
                );
                vcpu..vcpu.saturating_add(1)
            }
        };
        for vcpu in vcpus {
            self.xen.set_affinity(domain, vcpu, &cpus).with_context(|| {
                format!("vCPU {vcpu} can't run on {}: there are CPUs 0 to {present}", pin.cpus)
            })?;
        }
        Ok(())
    }

    /// Sets a domain's weight and cap.
    ///
    /// # Errors
    /// When the scheduler has none, or they are out of range.
    pub fn set_share(&mut self, domain: u16, share: &Share) -> anyhow::Result<()> {
        let now = self.xen.credit2(domain).context("the scheduler has no weights")?;
        let weight = share.weight.unwrap_or(now.weight);
        ensure!(weight > 0, "a weight is from 1 to 65535; the usual one is 256");
        let cap = share.cap.unwrap_or(now.cap);
        self.xen.set_credit2(domain, SchedCredit2 { weight, cap })?;
        self.remember(domain, |definition| {
            definition.create.set("cpu_weight", &weight.to_string());
            definition.create.set("cpu_cap", &cap.to_string());
        })
    }

    /// How many vCPUs a domain has, used or not.
    fn vcpus_of(&self, domain: u16) -> anyhow::Result<u32> {
        let info = self.xen.domain(domain)?.with_context(|| format!("domain {domain} is gone"))?;
        Ok(info.max_vcpu_id.wrapping_add(1))
    }
}
