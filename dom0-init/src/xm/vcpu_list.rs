//! `xm vcpu-list`: where each vCPU runs, and where it may.

use std::fmt::Write;

use serde::Serialize;
use xenctl::Xen;
use xenctl::domain::Affinity;
use xenctl::xen_abi::domctl::{GetDomainInfo, GetVcpuInfo};

use super::domains;
use super::output::{self, Format};

/// Arguments of `xm vcpu-list`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these domains, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domains: Vec<String>,
}

/// A vCPU in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    name: String,
    id: u16,
    vcpu: u32,
    /// The CPU that it is on; none when it is offline.
    cpu: Option<u32>,
    state: &'static str,
    cpu_seconds: f64,
    hard_affinity: String,
    soft_affinity: String,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let xen = domains::open()?;
    let cpus = xen.physical_info()?.max_cpu_id.saturating_add(1);
    let mut rows = Vec::new();
    for domain in domains::pick(xen.domains()?, &arguments.domains)? {
        rows.extend(rows_of(&xen, &domain, cpus)?);
    }
    output::print(format, &rows, || table(&rows))
}

fn rows_of(xen: &Xen, domain: &GetDomainInfo, cpus: u32) -> xenctl::Result<Vec<Row>> {
    // A domain without vCPUs has the largest number for its last one.
    let count = domain.max_vcpu_id.wrapping_add(1);
    (0..count)
        .map(|vcpu| {
            let info = xen.vcpu(domain.domain, vcpu)?;
            let affinity = xen.affinity(domain.domain, vcpu, cpus)?;
            Ok(row(domain.domain, &info, &affinity))
        })
        .collect()
}

fn row(domain: u16, info: &GetVcpuInfo, affinity: &Affinity) -> Row {
    let online = info.online != 0;
    Row {
        name: domains::name(domain),
        id: domain,
        vcpu: info.vcpu,
        cpu: online.then_some(info.cpu),
        state: match (online, info.running != 0, info.blocked != 0) {
            (false, ..) => "--p",
            (true, true, true) => "rb-",
            (true, true, false) => "r--",
            (true, false, true) => "-b-",
            (true, false, false) => "---",
        },
        cpu_seconds: info.cpu_time as f64 / 1e9,
        hard_affinity: cpus(&affinity.hard),
        soft_affinity: cpus(&affinity.soft),
    }
}

/// A set of CPUs in words: `all`, `none`, or ranges such as `0-2,5`.
fn cpus(set: &[bool]) -> String {
    if set.iter().all(|&is| is) {
        return "all".to_owned();
    }
    let mut ranges: Vec<String> = Vec::new();
    let mut first = None;
    // One more that isn't in the set ends the last range.
    for (cpu, is_in) in set.iter().copied().chain([false]).enumerate() {
        match (first, is_in) {
            (None, true) => first = Some(cpu),
            (Some(start), false) => {
                let end = cpu - 1;
                ranges.push(if start == end { format!("{end}") } else { format!("{start}-{end}") });
                first = None;
            }
            _ => {}
        }
    }
    if ranges.is_empty() { "none".to_owned() } else { ranges.join(",") }
}

fn table(rows: &[Row]) -> String {
    let mut text = format!(
        "{:<32} {:>5} {:>5} {:>5} {:>5} {:>9} Affinity (Hard / Soft)\n",
        "Name", "ID", "VCPU", "CPU", "State", "Time(s)"
    );
    for row in rows {
        let cpu = row.cpu.map_or_else(|| "-".to_owned(), |cpu| cpu.to_string());
        // Writing to a string can't fail.
        let _infallible = writeln!(
            text,
            "{:<32} {:>5} {:>5}{cpu:>5}   {}  {:>8.1}  {} / {}",
            row.name,
            row.id,
            row.vcpu,
            row.state,
            row.cpu_seconds,
            row.hard_affinity,
            row.soft_affinity
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_of_cpus() {
        assert_eq!(cpus(&[true, true]), "all");
        assert_eq!(cpus(&[false, false]), "none");
        assert_eq!(cpus(&[true, true, true, false, true]), "0-2,4");
        assert_eq!(cpus(&[false, true]), "1");
    }

    #[test]
    fn the_table_is_that_of_xen() {
        let all = Affinity { hard: vec![true; 2], soft: vec![true; 2] };
        let some = Affinity { hard: vec![false, true], soft: vec![true; 2] };
        let running =
            GetVcpuInfo { online: 1, running: 1, cpu_time: 4_512_000_000, ..Default::default() };
        let offline = GetVcpuInfo { vcpu: 1, ..Default::default() };
        let rows = [row(0, &running, &all), row(0, &offline, &some)];
        assert_eq!(
            table(&rows),
            "Name                                ID  VCPU   CPU State   Time(s) Affinity (Hard / Soft)\n\
             Domain-0                             0     0    0   r--       4.5  all / all\n\
             Domain-0                             0     1    -   --p       0.0  1 / all\n"
        );
    }
}
