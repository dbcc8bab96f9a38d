//! `xm perf`: why the domains left their CPUs for the hypervisor, and how often.
//!
//! The hypervisor names its counters `d0.exit.npf` or `d3.hypercall.sched_op`, with a value for
//! each vCPU of the domain; names without a domain are about the host.

use std::fmt::Write;

use clap::ValueEnum;
use serde::Serialize;
use xenctl::counters::Counter;

use super::domains;
use super::output::{self, Format};

/// Arguments of `xm perf`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Set all counters to zero instead of showing them
    #[arg(short, long)]
    reset: bool,
    /// Counters that are zero too
    #[arg(short, long)]
    all: bool,
    /// The order of each domain's counters
    #[arg(short, long, value_enum, default_value_t)]
    sort: Sort,
    /// Only these domains, by number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domains: Vec<String>,
}

/// An order of counters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The largest first
    #[default]
    Count,
    /// By their names
    Name,
}

/// A counter in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    /// None: about the host.
    domain: Option<u16>,
    reason: String,
    total: u64,
    /// By vCPU of the domain, or by CPU of the host.
    values: Vec<u32>,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let xen = domains::open()?;
    let explain = |error: xenctl::Error| {
        if error.is_unsupported() {
            anyhow::anyhow!("this hypervisor doesn't count: it was built without counters")
        } else {
            error.into()
        }
    };
    if arguments.reset {
        return xen.reset_counters().map_err(explain);
    }
    let all = xen.counters().map_err(explain)?;
    let wanted: Vec<u16> = domains::pick(xen.domains()?, &arguments.domains)?
        .iter()
        .map(|domain| domain.domain)
        .collect();
    let mut rows: Vec<Row> = all.iter().map(row).collect();
    rows.retain(|row| arguments.all || row.total > 0);
    if !arguments.domains.is_empty() {
        rows.retain(|row| row.domain.is_some_and(|domain| wanted.contains(&domain)));
    }
    sort(&mut rows, arguments.sort);
    output::print(format, &rows, || table(&rows))
}

fn row(counter: &Counter) -> Row {
    let owner = counter
        .name
        .split_once('.')
        .and_then(|(owner, reason)| Some((owner.strip_prefix('d')?.parse().ok()?, reason)));
    let (domain, reason) = match owner {
        Some((domain, reason)) => (Some(domain), reason),
        None => (None, counter.name.as_str()),
    };
    Row {
        domain,
        reason: reason.to_owned(),
        total: counter.values.iter().copied().map(u64::from).sum(),
        values: counter.values.clone(),
    }
}

fn sort(rows: &mut [Row], order: Sort) {
    // The host comes last; within a domain the order asked for.
    rows.sort_by(|a, b| {
        let domain = (a.domain.is_none(), a.domain).cmp(&(b.domain.is_none(), b.domain));
        let by_name = || a.reason.cmp(&b.reason);
        domain.then_with(|| match order {
            Sort::Count => b.total.cmp(&a.total).then_with(by_name),
            Sort::Name => by_name(),
        })
    });
}

fn table(rows: &[Row]) -> String {
    let mut text = String::new();
    // Writing to a string can't fail.
    for of_domain in rows.chunk_by(|a, b| a.domain == b.domain) {
        let domain = of_domain.first().and_then(|row| row.domain);
        let title =
            domain.map_or_else(|| "Host".to_owned(), |id| format!("{} (d{id})", domains::name(id)));
        let (unit, columns) = match domain {
            Some(_) => ("vCPU ", of_domain.iter().map(|row| row.values.len()).max().unwrap_or(0)),
            None => ("CPU ", 0),
        };
        let _infallible = write!(text, "{title:<32} {:>12}", "total");
        for column in 0..columns {
            let _infallible = write!(text, " {:>11}", format!("{unit}{column}"));
        }
        text.push('\n');
        for row in of_domain {
            let _infallible = write!(text, "  {:<30} {:>12}", row.reason, row.total);
            for value in row.values.iter().take(columns) {
                let _infallible = write!(text, " {value:>11}");
            }
            text.push('\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counter(name: &str, values: &[u32]) -> Counter {
        Counter { name: name.into(), values: values.into() }
    }

    #[test]
    fn names_say_domain_and_reason() {
        let row = row(&counter("d12.hypercall.sched_op", &[3, u32::MAX]));
        assert_eq!((row.domain, row.reason.as_str()), (Some(12), "hypercall.sched_op"));
        assert_eq!(row.total, 3 + u64::from(u32::MAX));
        assert_eq!(super::row(&counter("ipis", &[1])).domain, None);
        assert_eq!(super::row(&counter("dx.y", &[1])).reason, "dx.y");
    }

    #[test]
    fn the_table_is_by_domain_and_count() {
        let mut rows: Vec<Row> = [
            counter("timer", &[5, 6]),
            counter("d1.exit.hlt", &[7]),
            counter("d0.exit.cpuid", &[10, 2]),
            counter("d0.exit.npf", &[600, 634]),
        ]
        .iter()
        .map(row)
        .collect();
        sort(&mut rows, Sort::Count);
        assert_eq!(table(&rows), include_str!("../../tests/golden/perf.txt"));
        sort(&mut rows, Sort::Name);
        assert_eq!(rows[0].reason, "exit.cpuid");
    }
}
