//! Requests that change a domain that runs: which there are, and the bodies that they take.

use anyhow::{Context, bail};
use serde::de::DeserializeOwned;

use super::messages::{Attach, Detach, Dump, Memory, Pin, Press, Share, Trigger, Vcpus};
use super::toolstack::Toolstack;

/// Does one.
///
/// # Errors
/// Why it isn't done.
pub fn act(
    toolstack: &mut Toolstack,
    name: &str,
    action: &[&str],
    body: &[u8],
) -> anyhow::Result<()> {
    // What decides about CPUs goes for the control domain as for guests.
    match action {
        ["pin"] => {
            let domain = toolstack.find_any(name)?;
            return toolstack.pin(domain, &parse::<Pin>(body)?);
        }
        ["share"] => {
            let domain = toolstack.find_any(name)?;
            return toolstack.set_share(domain, &parse::<Share>(body)?);
        }
        _ => {}
    }
    let domain = toolstack.find(name)?;
    match action {
        ["pause"] => toolstack.pause(domain),
        ["unpause"] => toolstack.unpause(domain),
        ["shutdown"] => toolstack.ask(domain, "poweroff"),
        ["reboot"] => toolstack.ask(domain, "reboot"),
        ["destroy"] => toolstack.destroy(domain),
        ["rename", new] => toolstack.rename(domain, new),
        ["memory"] => toolstack.set_memory(domain, parse::<Memory>(body)?.mebibytes),
        ["max-memory"] => toolstack.set_max_memory(domain, parse::<Memory>(body)?.mebibytes),
        ["vcpus"] => toolstack.set_vcpus(domain, parse::<Vcpus>(body)?.count),
        ["sysrq"] => toolstack.press(domain, parse::<Press>(body)?.key),
        ["trigger"] => {
            let Trigger { trigger, vcpu } = parse(body)?;
            toolstack.trigger(domain, &trigger, vcpu)
        }
        ["dump"] => toolstack.dump(domain, &parse::<Dump>(body)?),
        ["attach-disk"] => toolstack.attach_disk(domain, &parse::<Attach>(body)?.device),
        ["detach-disk"] => {
            let Detach { device, force } = parse(body)?;
            toolstack.detach_disk(domain, &device, force)
        }
        _ => bail!("there is no action {}", action.join("/")),
    }
}

/// What a request's body says.
///
/// # Errors
/// When it says something else.
pub fn parse<T: DeserializeOwned>(body: &[u8]) -> anyhow::Result<T> {
    serde_json::from_slice(body).context("the request isn't understood")
}
