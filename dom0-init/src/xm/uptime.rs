//! `xm uptime`: how long domains have been up.

use std::fmt::Write;

use anyhow::Context;
use serde::Serialize;

use super::domains;
use super::output::{self, Format};

/// Arguments of `xm uptime`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Only these domains, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domains: Vec<String>,
}

/// A domain and since when it is up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct Row {
    name: String,
    id: u16,
    /// None if nobody wrote down when it started.
    uptime_seconds: Option<u64>,
}

/// Runs it.
pub fn run(arguments: &Arguments, format: Format) -> anyhow::Result<()> {
    let all = domains::open()?.domains()?;
    let own = own_seconds()?;
    let rows: Vec<Row> = domains::pick(all, &arguments.domains)?
        .iter()
        .map(|domain| Row {
            name: domains::name(domain.domain),
            id: domain.domain,
            uptime_seconds: (domain.domain == 0).then_some(own),
        })
        .collect();
    output::print(format, &rows, || table(&rows))
}

/// For how long this kernel has been running.
pub fn own_seconds() -> anyhow::Result<u64> {
    const FILE: &str = "/proc/uptime";
    let text = std::fs::read_to_string(FILE).context(FILE)?;
    let seconds = text.split('.').next().and_then(|whole| whole.parse().ok());
    seconds.with_context(|| format!("{FILE}: {text:?} isn't understood"))
}

fn table(rows: &[Row]) -> String {
    let mut text = format!("{:<33} {:>4} {}\n", "Name", "ID", "Uptime");
    for row in rows {
        let uptime = row.uptime_seconds.map_or_else(|| "-".to_owned(), in_words);
        // Writing to a string can't fail.
        let _infallible = writeln!(text, "{:<33} {:>4} {uptime:>8}", row.name, row.id);
    }
    text
}

/// `3 days, 12:34:56`
pub fn in_words(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{:>2}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        _ => format!("{days} days, {clock}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_in_words() {
        assert_eq!(in_words(59), " 0:00:59");
        assert_eq!(in_words(86_400 + 3_661), "1 day,  1:01:01");
        assert_eq!(in_words(200_000), "2 days,  7:33:20");
    }

    #[test]
    fn the_table() {
        let rows = [
            Row { name: "Domain-0".into(), id: 0, uptime_seconds: Some(3_723) },
            Row { name: "(null)".into(), id: 4, uptime_seconds: None },
        ];
        assert_eq!(
            table(&rows),
            "Name                                ID Uptime\n\
             Domain-0                             0  1:02:03\n\
             (null)                               4        -\n"
        );
    }
}
