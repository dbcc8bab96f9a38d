//! `xm list`: the domains.

use std::fmt::Write;

use serde::Serialize;
use xenctl::xen_abi::domctl::{DOMINF_HVM_GUEST, DOMINF_SHUTDOWN, GetDomainInfo};
use xenctl::xen_abi::sched::ShutdownReason;

use super::domains;
use super::output::{self, Format};
use crate::xend::client;
use crate::xend::messages::Managed;

/// Arguments of `xm list`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Everything that is known about each domain
    #[arg(short, long)]
    long: bool,
    /// Only these domains, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domains: Vec<String>,
}

/// A domain in the list.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Row {
    name: String,
    /// None: it is known, and doesn't run.
    id: Option<u16>,
    uuid: String,
    memory_mib: u64,
    /// None: no limit.
    max_memory_mib: Option<u64>,
    vcpus: u32,
    max_vcpus: u32,
    state: String,
    cpu_seconds: f64,
    cpu_pool: u32,
    container: &'static str,
    shutdown_reason: Option<&'static str>,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let all = domains::open()?.domains()?;
    // Without the daemon those that run can be listed all the same.
    let mut halted = client::managed().unwrap_or_default();
    let running: Vec<Row> = all.iter().map(row).collect();
    halted.retain(|managed| running.iter().all(|row| row.name != managed.name));
    let rows = if arguments.domains.is_empty() {
        running.into_iter().chain(halted.iter().map(halted_row)).collect()
    } else {
        pick(all, &halted, &arguments.domains)?
    };
    output::print(format, &rows, || if arguments.long { long(&rows) } else { table(&rows) })
}

/// The domains of the given names or numbers, in that order.
fn pick(
    all: Vec<GetDomainInfo>,
    halted: &[Managed],
    wanted: &[String],
) -> anyhow::Result<Vec<Row>> {
    let mut rows = Vec::new();
    for wish in wanted {
        match halted.iter().find(|managed| managed.name == *wish) {
            Some(managed) => rows.push(halted_row(managed)),
            None => {
                let found = domains::pick(all.clone(), std::slice::from_ref(wish))?;
                rows.extend(found.iter().map(row));
            }
        }
    }
    Ok(rows)
}

/// A guest that is known, and doesn't run.
fn halted_row(managed: &Managed) -> Row {
    Row {
        name: managed.name.clone(),
        id: None,
        uuid: managed.uuid.to_string(),
        memory_mib: managed.memory_mib,
        max_memory_mib: None,
        vcpus: managed.vcpus,
        max_vcpus: managed.vcpus,
        state: String::new(),
        cpu_seconds: 0.0,
        cpu_pool: 0,
        container: "hvm",
        shutdown_reason: None,
    }
}

fn row(domain: &GetDomainInfo) -> Row {
    Row {
        name: domains::name(domain.domain),
        id: Some(domain.domain),
        uuid: domains::uuid(domain).to_string(),
        memory_mib: domains::memory_kib(domain) / 1024,
        max_memory_mib: domains::max_memory_kib(domain).map(|kib| kib / 1024),
        vcpus: domain.nr_online_vcpus,
        max_vcpus: domain.max_vcpu_id.wrapping_add(1),
        state: domains::state(domain),
        cpu_seconds: domains::cpu_seconds(domain),
        cpu_pool: domain.cpupool,
        container: if domain.flags & DOMINF_HVM_GUEST != 0 { "hvm" } else { "pv" },
        shutdown_reason: shutdown_reason(domain),
    }
}

fn shutdown_reason(domain: &GetDomainInfo) -> Option<&'static str> {
    if domain.flags & DOMINF_SHUTDOWN == 0 {
        return None;
    }
    Some(match domains::shutdown_reason(domain) {
        ShutdownReason::POWEROFF => "poweroff",
        ShutdownReason::REBOOT => "reboot",
        ShutdownReason::SUSPEND => "suspend",
        ShutdownReason::CRASH => "crash",
        ShutdownReason::WATCHDOG => "watchdog",
        ShutdownReason::SOFT_RESET => "soft-reset",
        _ => "unknown",
    })
}

fn table(rows: &[Row]) -> String {
    let mut text =
        "Name                                        ID   Mem VCPUs\tState\tTime(s)\n".to_owned();
    for row in rows {
        let id = row.id.map(|id| id.to_string()).unwrap_or_default();
        // Writing to a string can't fail.
        let _infallible = writeln!(
            text,
            "{:<40} {id:>5} {:>5} {:>5}     {:<6}  {:>8.1}",
            row.name, row.memory_mib, row.vcpus, row.state, row.cpu_seconds
        );
    }
    text
}

/// Each domain as the symbolic expression that `xm list --long` has always printed.
fn long(rows: &[Row]) -> String {
    let mut text = String::new();
    for row in rows {
        let fields = [
            ("domid", row.id.map(|id| id.to_string()).unwrap_or_default()),
            ("name", row.name.clone()),
            ("uuid", row.uuid.clone()),
            ("container", row.container.to_owned()),
            ("memory", row.memory_mib.to_string()),
            ("maxmem", row.max_memory_mib.map(|mib| mib.to_string()).unwrap_or_default()),
            ("online_vcpus", row.vcpus.to_string()),
            ("vcpus", row.max_vcpus.to_string()),
            ("state", row.state.clone()),
            ("shutdown_reason", row.shutdown_reason.unwrap_or_default().to_owned()),
            ("cpu_time", format!("{:.9}", row.cpu_seconds)),
            ("pool", row.cpu_pool.to_string()),
        ];
        text.push_str("(domain\n");
        for (name, value) in fields.iter().filter(|(_, value)| !value.is_empty()) {
            // Writing to a string can't fail.
            let _infallible = writeln!(text, "    ({name} {value})");
        }
        text.push_str(")\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use xenctl::xen_abi::domctl::{DOMINF_RUNNING, DOMINF_SHUTDOWNSHIFT};

    use super::super::domains::tests::domain;
    use super::*;

    #[test]
    fn the_table_is_that_of_xen() {
        let managed = Managed {
            name: "web".into(),
            uuid: uuid::Uuid::nil(),
            memory_mib: 256,
            vcpus: 1,
            autostart: false,
        };
        let rows = [
            row(&domain(0, DOMINF_RUNNING)),
            row(&domain(12, DOMINF_SHUTDOWN)),
            halted_row(&managed),
        ];
        assert_eq!(
            table(&rows),
            "Name                                        ID   Mem VCPUs\tState\tTime(s)\n\
             Domain-0                                     0   512     2     r-----      12.3\n\
             (null)                                      12   512     2     ---s--      12.3\n\
             web                                              256     1                  0.0\n"
        );
    }

    #[test]
    fn everything_about_a_domain() {
        let text = long(&[row(&domain(3, DOMINF_SHUTDOWN | 1 << DOMINF_SHUTDOWNSHIFT))]);
        assert!(text.starts_with("(domain\n    (domid 3)\n"), "{text}");
        assert!(text.contains("    (shutdown_reason reboot)\n"), "{text}");
        assert!(text.contains("    (maxmem 1024)\n") && text.ends_with(")\n)\n"), "{text}");
        let unlimited = GetDomainInfo { max_pages: u64::MAX, ..domain(3, 0) };
        assert!(!long(&[row(&unlimited)]).contains("maxmem"));
    }

    #[test]
    fn for_programs() {
        let json = serde_json::to_value([row(&domain(0, DOMINF_RUNNING))]).unwrap();
        assert_eq!(json[0]["name"], "Domain-0");
        assert_eq!(json[0]["memory_mib"], 512);
        assert_eq!(json[0]["shutdown_reason"], serde_json::Value::Null);
    }
}
