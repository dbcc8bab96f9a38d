//! `xm new`, `start` and `delete`: guests that are known without running.

use super::console;
use super::create;
use crate::xend::client;
use crate::xend::messages::Start;

/// Arguments of `xm new`.
#[derive(Debug, clap::Args)]
pub struct New {
    #[command(flatten)]
    config: create::Config,
}

/// Arguments of `xm start`.
#[derive(Debug, clap::Args)]
pub struct StartArguments {
    /// Show the guest's console; Ctrl-] leaves it
    #[arg(short, long)]
    console_autoconnect: bool,
    /// Leave the guest paused
    #[arg(short, long)]
    paused: bool,
    /// The guest's name
    #[arg(id = super::MANAGED_ARGUMENT)]
    name: String,
}

/// Arguments of `xm delete`.
#[derive(Debug, clap::Args)]
pub struct Delete {
    /// The guest's name
    #[arg(id = super::MANAGED_ARGUMENT)]
    name: String,
}

/// Keeps a config.
pub fn new(arguments: &New) -> anyhow::Result<()> {
    let kept = client::define(&arguments.config.request(false)?)?;
    kept.notes.iter().for_each(|note| eprintln!("{note}"));
    println!("{} is kept: `xm start {}` starts it", kept.name, kept.name);
    Ok(())
}

/// Starts a guest whose config is kept.
pub fn start(arguments: &StartArguments) -> anyhow::Result<()> {
    let started = client::start(&arguments.name, &Start { paused: arguments.paused })?;
    started.notes.iter().for_each(|note| eprintln!("{note}"));
    println!("Started domain {} (id={})", started.name, started.domain);
    if arguments.console_autoconnect { console::show(started.domain) } else { Ok(()) }
}

/// Forgets a config.
pub fn delete(arguments: &Delete) -> anyhow::Result<()> {
    client::delete(&arguments.name)
}
