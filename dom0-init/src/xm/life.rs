//! `xm pause`, `unpause`, `shutdown`, `reboot`, `destroy`, `rename`, `domid`, `domname`.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::domains;
use crate::xend::client;

/// How long `-w` waits for a guest to go down.
const PATIENCE: Duration = Duration::from_secs(300);

/// One or more domains.
#[derive(Debug, clap::Args)]
pub struct Domains {
    /// The domains, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT, required = true)]
    domains: Vec<String>,
}

/// Domains that are asked for something that takes a while.
#[derive(Debug, clap::Args)]
pub struct Asked {
    /// Wait until it is done
    #[arg(short, long)]
    wait: bool,
    #[command(flatten)]
    domains: Domains,
}

/// Arguments of `xm rename`.
#[derive(Debug, clap::Args)]
pub struct Rename {
    /// The domain, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// Its new name
    new: String,
}

/// Arguments of `xm domid` and `xm domname`.
#[derive(Debug, clap::Args)]
pub struct One {
    /// The domain
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
}

/// Does something to each; goes on after one that fails.
pub fn each(domains: &Domains, action: &str) -> anyhow::Result<()> {
    let mut failed = None;
    for domain in &domains.domains {
        let Err(error) = client::act(domain, action) else { continue };
        if let Some(earlier) = failed.replace(error) {
            eprintln!("xm: {earlier:#}");
        }
    }
    failed.map_or(Ok(()), Err)
}

/// Asks each to go down or reboot.
pub fn ask(asked: &Asked, action: &str) -> anyhow::Result<()> {
    let before = client::domains()?;
    each(&asked.domains, action)?;
    if !asked.wait {
        return Ok(());
    }
    let names = &asked.domains.domains;
    let is_meant = |domain: &&crate::xend::messages::Domain| {
        names.iter().any(|name| *name == domain.name || name.parse() == Ok(domain.domain))
    };
    let numbers: Vec<u16> = before.iter().filter(is_meant).map(|domain| domain.domain).collect();
    let deadline = Instant::now() + PATIENCE;
    while are_there(&numbers)? {
        if Instant::now() >= deadline {
            bail!("not all have gone down after {PATIENCE:?}; `xm list` shows which are left");
        }
        std::thread::sleep(Duration::from_millis(200));
    }
    Ok(())
}

/// Whether one of these domains is there. Asking changes nothing, so it is done again when the
/// daemon is killed meanwhile.
fn are_there(numbers: &[u16]) -> anyhow::Result<bool> {
    let all = client::domains().or_else(|_killed| client::domains())?;
    Ok(all.iter().any(|domain| numbers.contains(&domain.domain)))
}

/// Gives a domain another name.
pub fn rename(arguments: &Rename) -> anyhow::Result<()> {
    client::act(&arguments.domain, &format!("rename/{}", arguments.new))
}

/// A domain's number.
pub fn domid(arguments: &One) -> anyhow::Result<()> {
    let found = pick(&arguments.domain)?;
    println!("{found}");
    Ok(())
}

/// A domain's name.
pub fn domname(arguments: &One) -> anyhow::Result<()> {
    let found = pick(&arguments.domain)?;
    println!("{}", domains::name(found));
    Ok(())
}

fn pick(wanted: &str) -> anyhow::Result<u16> {
    let all = domains::open()?.domains()?;
    let found = domains::pick(all, &[wanted.to_owned()])?;
    Ok(found.first().map_or(0, |info| info.domain))
}
