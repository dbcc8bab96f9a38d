//! One look at all domains, and what two looks say about the time between them.

use std::time::Instant;

use xenctl::Xen;
use xenctl::xen_abi::domctl::GetDomainInfo;
use xenctl::xen_abi::sysctl::PhysInfo;

use super::Row;
use super::devices::{self, Disks, Network};
use crate::xm::domains;

/// One look.
#[derive(Debug, Clone)]
pub struct Sample {
    /// When.
    pub at: Instant,
    /// The machine.
    pub machine: PhysInfo,
    /// The domains with what their devices did.
    pub domains: Vec<(GetDomainInfo, Network, Disks)>,
}

impl Sample {
    /// Looks.
    pub fn take(xen: &Xen) -> xenctl::Result<Self> {
        let machine = xen.physical_info()?;
        let all = xen.domains()?;
        let at = Instant::now();
        let mut devices = devices::by_domain();
        let domains = all
            .into_iter()
            .map(|domain| {
                let (network, disks) = devices.remove(&domain.domain).unwrap_or_default();
                (domain, network, disks)
            })
            .collect();
        Ok(Self { at, machine, domains })
    }

    /// The domains' lines; CPU use is since the look before.
    pub fn rows(&self, before: Option<&Self>) -> Vec<Row> {
        self.domains
            .iter()
            .map(|(domain, network, disks)| {
                let memory_kib = domains::memory_kib(domain);
                let total_kib = self.machine.total_pages.saturating_mul(domains::PAGE_KIB);
                Row {
                    name: domains::name(domain.domain),
                    id: domain.domain,
                    state: domains::state(domain),
                    cpu_seconds: domain.cpu_time / 1_000_000_000,
                    cpu_percent: before.map_or(0.0, |before| self.cpu_percent(domain, before)),
                    memory_kib,
                    memory_percent: percent(memory_kib, total_kib),
                    max_memory_kib: domains::max_memory_kib(domain),
                    vcpus: domain.nr_online_vcpus,
                    network: *network,
                    disks: *disks,
                }
            })
            .collect()
    }

    fn cpu_percent(&self, domain: &GetDomainInfo, before: &Self) -> f64 {
        // A domid is used again; its UUID isn't.
        let earlier = before
            .domains
            .iter()
            .find(|(d, ..)| d.domain == domain.domain && d.handle == domain.handle)
            .map_or(domain.cpu_time, |(d, ..)| d.cpu_time);
        let elapsed = self.at.saturating_duration_since(before.at).as_nanos();
        if elapsed == 0 {
            return 0.0;
        }
        domain.cpu_time.saturating_sub(earlier) as f64 / elapsed as f64 * 100.0
    }
}

/// A part in hundredths of the whole.
pub fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

#[cfg(test)]
pub mod tests {
    use std::time::Duration;

    use xenctl::xen_abi::domctl::DOMINF_RUNNING;

    use super::*;
    use crate::xm::domains::tests::domain;

    /// Two looks, two seconds apart, in which the only domain ran for half a second.
    pub fn two_looks() -> (Sample, Sample) {
        let at = Instant::now();
        let machine = PhysInfo {
            total_pages: 524_288,
            free_pages: 262_144,
            nr_cpus: 2,
            cpu_khz: 2_394_000,
            ..PhysInfo::default()
        };
        let mut info = domain(0, DOMINF_RUNNING);
        let first =
            Sample { at, machine, domains: vec![(info, Network::default(), Disks::default())] };
        info.cpu_time += 500_000_000;
        let network = Network { interfaces: 1, sent_bytes: 4096, received_bytes: 2048 };
        let second = Sample {
            at: at + Duration::from_secs(2),
            machine,
            domains: vec![(info, network, Disks::default())],
        };
        (first, second)
    }

    #[test]
    fn use_between_two_looks() {
        let (first, second) = two_looks();
        assert_eq!(first.rows(None)[0].cpu_percent, 0.0);
        let rows = second.rows(Some(&first));
        assert_eq!(rows[0].cpu_percent, 25.0);
        assert_eq!(rows[0].memory_percent, 25.0);
        assert_eq!(rows[0].max_memory_kib, Some(1 << 20));
        assert_eq!(second.rows(Some(&second))[0].cpu_percent, 0.0, "no time passed");
    }

    #[test]
    fn another_domain_with_the_same_number_starts_at_zero() {
        let (first, mut second) = two_looks();
        second.domains[0].0.handle = [1; 16];
        assert_eq!(second.rows(Some(&first))[0].cpu_percent, 0.0);
    }
}
