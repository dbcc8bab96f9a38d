//! `xm sysrq` and `xm trigger`: what can be raised in a guest.

use clap::builder::PossibleValuesParser;

use crate::xend::client;
use crate::xend::messages::{Press, Trigger};

/// Arguments of `xm sysrq`.
#[derive(Debug, clap::Args)]
pub struct SysRq {
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// The key: s writes everything to disk, h lists the keys on the guest's console
    letter: char,
}

/// Arguments of `xm trigger`.
#[derive(Debug, clap::Args)]
pub struct TriggerArguments {
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// What to raise
    #[arg(value_parser = PossibleValuesParser::new(["nmi", "reset", "init", "power", "sleep"]))]
    trigger: String,
    /// In which vCPU, where that matters
    #[arg(default_value_t)]
    vcpu: u32,
}

/// Presses a magic key.
pub fn sysrq(arguments: &SysRq) -> anyhow::Result<()> {
    client::change(&arguments.domain, "sysrq", &Press { key: arguments.letter })
}

/// Raises an interrupt or presses a button.
pub fn trigger(arguments: &TriggerArguments) -> anyhow::Result<()> {
    let (trigger, vcpu) = (arguments.trigger.clone(), arguments.vcpu);
    client::change(&arguments.domain, "trigger", &Trigger { trigger, vcpu })
}
