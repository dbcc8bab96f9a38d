//! Domains as all commands show them: their names, their states, and picking some of them.

use std::time::Duration;

use anyhow::{Context, bail};
use xenctl::Xen;
use xenctl::xen_abi::domctl::{
    DOMINF_BLOCKED, DOMINF_DYING, DOMINF_PAUSED, DOMINF_RUNNING, DOMINF_SHUTDOWN,
    DOMINF_SHUTDOWNMASK, DOMINF_SHUTDOWNSHIFT, GetDomainInfo,
};
use xenctl::xen_abi::sched::ShutdownReason;
use xenstore::client::{Client, Tx};

use crate::xend::connect_within;

/// KiB in a page.
pub const PAGE_KIB: u64 = 4;

/// What a domain without a name is called: it is on its way out.
const NAMELESS: &str = "(null)";

/// How long a store that was killed may take to come back.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// A domain's name: what the store says.
pub fn name(domain: u16) -> String {
    if domain == 0 {
        return "Domain-0".to_owned();
    }
    let node = format!("/local/domain/{domain}/name");
    let read = |mut store: Client| store.read(Tx::NONE, &node).ok();
    connect_within(STORE_PATIENCE)
        .ok()
        .and_then(read)
        .flatten()
        .unwrap_or_else(|| NAMELESS.to_owned())
}

/// Opens the way to the hypervisor.
///
/// # Errors
/// When there is none, or the user may not.
pub fn open() -> anyhow::Result<Xen> {
    Xen::open().context("can't ask the hypervisor")
}

/// The domains of the given names or numbers, in that order; all domains if none is given.
///
/// # Errors
/// When there is no such domain.
pub fn pick(all: Vec<GetDomainInfo>, wanted: &[String]) -> anyhow::Result<Vec<GetDomainInfo>> {
    if wanted.is_empty() {
        return Ok(all);
    }
    wanted
        .iter()
        .map(|wish| {
            let matches = |d: &&GetDomainInfo| {
                wish.parse() == Ok(d.domain) || (name(d.domain) == *wish && wish != NAMELESS)
            };
            match all.iter().find(matches) {
                Some(domain) => Ok(*domain),
                None => bail!("there is no domain {wish:?}: `xm list` shows those that there are"),
            }
        })
        .collect()
}

/// The state in letters: running, blocked, paused, shut down, crashed, dying.
pub fn state(domain: &GetDomainInfo) -> String {
    let letter = |is: bool, letter: char| if is { letter } else { '-' };
    let has = |flag: u32| domain.flags & flag != 0;
    [
        letter(has(DOMINF_RUNNING), 'r'),
        letter(has(DOMINF_BLOCKED), 'b'),
        letter(has(DOMINF_PAUSED), 'p'),
        letter(has(DOMINF_SHUTDOWN), 's'),
        letter(is_crashed(domain), 'c'),
        letter(has(DOMINF_DYING), 'd'),
    ]
    .iter()
    .collect()
}

/// Whether it ended by a crash.
pub fn is_crashed(domain: &GetDomainInfo) -> bool {
    domain.flags & DOMINF_SHUTDOWN != 0 && shutdown_reason(domain) == ShutdownReason::CRASH
}

/// Why it shut down, if it did.
pub fn shutdown_reason(domain: &GetDomainInfo) -> ShutdownReason {
    ShutdownReason(domain.flags >> DOMINF_SHUTDOWNSHIFT & DOMINF_SHUTDOWNMASK)
}

/// Its memory in KiB, with what is set aside for it.
pub fn memory_kib(domain: &GetDomainInfo) -> u64 {
    domain.tot_pages.saturating_add(domain.outstanding_pages).saturating_mul(PAGE_KIB)
}

/// The most memory that it may have, in KiB; `None` if there is no limit, which hypervisors tell
/// by the largest number of 32 or 64 bits.
pub fn max_memory_kib(domain: &GetDomainInfo) -> Option<u64> {
    let pages = Some(domain.max_pages).filter(|&pages| pages < u64::from(u32::MAX));
    pages.map(|pages| pages.saturating_mul(PAGE_KIB))
}

/// Its CPU time in seconds.
pub fn cpu_seconds(domain: &GetDomainInfo) -> f64 {
    domain.cpu_time as f64 / 1e9
}

/// Its UUID.
pub fn uuid(domain: &GetDomainInfo) -> uuid::Uuid {
    uuid::Uuid::from_bytes(domain.handle)
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A domain for tests of formatting.
    pub fn domain(id: u16, flags: u32) -> GetDomainInfo {
        GetDomainInfo {
            domain: id,
            flags,
            tot_pages: 131_072,
            max_pages: 262_144,
            cpu_time: 12_345_678_901,
            nr_online_vcpus: 2,
            max_vcpu_id: 1,
            ..GetDomainInfo::default()
        }
    }

    #[test]
    fn states_in_letters() {
        assert_eq!(state(&domain(0, DOMINF_RUNNING)), "r-----");
        assert_eq!(state(&domain(1, DOMINF_BLOCKED | DOMINF_PAUSED)), "-bp---");
        let crashed = DOMINF_SHUTDOWN | ShutdownReason::CRASH.0 << DOMINF_SHUTDOWNSHIFT;
        assert_eq!(state(&domain(1, crashed)), "---sc-");
        assert_eq!(state(&domain(1, DOMINF_SHUTDOWN | DOMINF_DYING)), "---s-d");
    }

    #[test]
    fn picking() {
        let all = vec![domain(0, 0), domain(7, 0)];
        let ids = |wanted: &[&str]| {
            let wanted: Vec<String> = wanted.iter().map(|w| (*w).to_owned()).collect();
            pick(all.clone(), &wanted).map(|p| p.iter().map(|d| d.domain).collect::<Vec<_>>())
        };
        assert_eq!(ids(&[]).unwrap(), [0, 7]);
        assert_eq!(ids(&["7", "Domain-0"]).unwrap(), [7, 0]);
        assert!(ids(&["web"]).unwrap_err().to_string().contains("\"web\""));
        assert!(ids(&["(null)"]).is_err());
    }
}
