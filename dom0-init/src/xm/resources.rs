//! `xm mem-set`, `mem-max`, `vcpu-set` and `vcpu-pin`: what a domain gets of the machine.

use anyhow::bail;

use crate::xend::client;
use crate::xend::messages::{Memory, Pin, Vcpus};

/// Arguments of `xm mem-set` and `xm mem-max`.
#[derive(Debug, clap::Args)]
pub struct MemoryArguments {
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// How much, in MiB, or with a unit: k, m, g or t
    #[arg(value_parser = mebibytes)]
    memory: u64,
}

/// Arguments of `xm vcpu-set`.
#[derive(Debug, clap::Args)]
pub struct VcpuSet {
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// How many of its vCPUs it is to use
    count: u32,
}

/// Arguments of `xm vcpu-pin`.
#[derive(Debug, clap::Args)]
pub struct VcpuPin {
    /// The domain, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// The vCPU's number, or all
    vcpu: String,
    /// The CPUs that it may run on: 0-3,^1 or all
    cpus: String,
    /// The CPUs that it had better run on; only all, or - for as it is
    soft: Option<String>,
}

/// Has a guest give memory back or take some.
pub fn mem_set(arguments: &MemoryArguments) -> anyhow::Result<()> {
    client::change(&arguments.domain, "memory", &Memory { mebibytes: arguments.memory })
}

/// Limits a guest's memory.
pub fn mem_max(arguments: &MemoryArguments) -> anyhow::Result<()> {
    client::change(&arguments.domain, "max-memory", &Memory { mebibytes: arguments.memory })
}

/// Has a guest use so many vCPUs.
pub fn vcpu_set(arguments: &VcpuSet) -> anyhow::Result<()> {
    client::change(&arguments.domain, "vcpus", &Vcpus { count: arguments.count })
}

/// Says where vCPUs may run.
pub fn vcpu_pin(arguments: &VcpuPin) -> anyhow::Result<()> {
    if !matches!(arguments.soft.as_deref(), None | Some("all" | "-")) {
        bail!("CPUs that a vCPU prefers can't be set: leave the last argument out");
    }
    let vcpu = match arguments.vcpu.as_str() {
        "all" => None,
        text => match text.parse() {
            Ok(vcpu) => Some(vcpu),
            Err(_) => bail!("{text:?} is no vCPU: give its number, or all"),
        },
    };
    if arguments.cpus == "-" {
        return Ok(());
    }
    client::change(&arguments.domain, "pin", &Pin { vcpu, cpus: arguments.cpus.clone() })
}

/// An amount of memory as Xen's users write it; without a unit it is in MiB.
fn mebibytes(text: &str) -> Result<u64, String> {
    let lower = text.to_ascii_lowercase();
    let digits = lower.trim_end_matches(|letter: char| letter.is_ascii_alphabetic());
    let unit = lower.get(digits.len()..).unwrap_or_default();
    let kibibytes = match unit.strip_suffix('b').unwrap_or(unit) {
        "k" => Some(1),
        "" | "m" => Some(1 << 10),
        "g" => Some(1 << 20),
        "t" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    let whole = number.zip(kibibytes).and_then(|(number, unit)| number.checked_mul(unit));
    match whole {
        Some(whole) if whole >= 1024 => Ok(whole / 1024),
        _ => Err("write a number of MiB, for example 512, or 2g".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_of_memory() {
        for (text, mib) in [("512", 512), ("512m", 512), ("2g", 2048), ("4096K", 4), ("1GB", 1024)]
        {
            assert_eq!(mebibytes(text), Ok(mib), "{text}");
        }
        for text in ["", "x", "g", "1p", "-5", "0", "99999999999999999999", "100k"] {
            assert!(mebibytes(text).is_err(), "{text}");
        }
    }
}
