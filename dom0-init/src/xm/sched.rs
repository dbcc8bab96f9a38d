//! `xm sched-credit2`: domains' shares of the CPUs.

use std::fmt::Write;

use serde::Serialize;

use super::domains;
use super::output::{self, Format};
use crate::xend::client;
use crate::xend::messages::Share;

/// Arguments of `xm sched-credit2`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain, by name or number; all are shown without it
    #[arg(short, long, id = super::DOMAIN_ARGUMENT)]
    domain: Option<String>,
    /// Its weight: a domain of 512 gets twice as much as one of 256
    #[arg(short, long, requires = super::DOMAIN_ARGUMENT, value_parser = clap::value_parser!(u16).range(1..))]
    weight: Option<u16>,
    /// The most that it gets, in percent of one CPU; 0 is no limit
    #[arg(short, long, requires = super::DOMAIN_ARGUMENT)]
    cap: Option<u16>,
}

/// A domain in the list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    id: u16,
    weight: u16,
    cap: u16,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    if let Some(domain) = &arguments.domain
        && (arguments.weight.is_some() || arguments.cap.is_some())
    {
        let share = Share { weight: arguments.weight, cap: arguments.cap };
        return client::change(domain, "share", &share);
    }
    let xen = domains::open()?;
    let wanted: Vec<String> = arguments.domain.iter().cloned().collect();
    let mut rows = Vec::new();
    for info in domains::pick(xen.domains()?, &wanted)? {
        let share = xen.credit2(info.domain)?;
        let name = domains::name(info.domain);
        rows.push(Row { name, id: info.domain, weight: share.weight, cap: share.cap });
    }
    output::print(format, &rows, || table(&rows))
}

fn table(rows: &[Row]) -> String {
    let mut text =
        format!("Cpupool Pool-0:\n{:<33} {:>4} {:>6} {:>4}\n", "Name", "ID", "Weight", "Cap");
    for row in rows {
        // Writing to a string can't fail.
        let _infallible =
            writeln!(text, "{:<33} {:>4} {:>6} {:>4}", row.name, row.id, row.weight, row.cap);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_that_of_xen() {
        let rows = [Row { name: "web".into(), id: 3, weight: 512, cap: 50 }];
        assert_eq!(
            table(&rows),
            "Cpupool Pool-0:\n\
             Name                                ID Weight  Cap\n\
             web                                  3    512   50\n"
        );
    }
}
