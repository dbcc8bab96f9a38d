//! `xm create`: starts a guest from a config.

use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};

use super::console;
use crate::xend::client;
use crate::xend::messages::Create;

/// Where configs are looked for that aren't given by path.
const FOLDERS: &[&str] = &["/data/config/guests", "/etc/xen"];

/// Arguments of `xm create`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Show the guest's console; Ctrl-] leaves it
    #[arg(short, long)]
    console: bool,
    /// Leave the guest paused
    #[arg(short, long)]
    paused: bool,
    #[command(flatten)]
    config: Config,
}

/// A config and what is said besides.
#[derive(Debug, clap::Args)]
pub struct Config {
    /// The config: a path, or a name in /data/config/guests or /etc/xen
    config: String,
    /// Settings that win over the config's, for example memory=512
    #[arg(value_name = "KEY=VALUE")]
    overrides: Vec<String>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let domain = ask(&arguments.config.request(arguments.paused)?)?;
    if arguments.console { console::show(domain) } else { Ok(()) }
}

/// Starts a guest from a config as it is; returns its number.
///
/// # Errors
/// Why it isn't started.
pub fn start(config: &str) -> anyhow::Result<u16> {
    let config = Config { config: config.to_owned(), overrides: Vec::new() };
    ask(&config.request(false)?)
}

fn ask(request: &Create) -> anyhow::Result<u16> {
    let created = client::create(request)?;
    for note in &created.notes {
        eprintln!("{note}");
    }
    println!("Started domain {} (id={})", created.name, created.domain);
    Ok(created.domain)
}

impl Config {
    /// What the daemon is asked.
    ///
    /// # Errors
    /// When the config can't be read.
    pub fn request(&self, paused: bool) -> anyhow::Result<Create> {
        let path = find(&self.config)?;
        let text = std::fs::read_to_string(&path)
            .with_context(|| format!("{}: can't be read", path.display()))?;
        let file = path.display().to_string();
        Ok(Create { file, text, overrides: self.overrides.clone(), paused })
    }
}

fn find(config: &str) -> anyhow::Result<PathBuf> {
    let given = Path::new(config);
    if given.is_file() || config.contains('/') {
        return Ok(given.to_owned());
    }
    let places = FOLDERS.iter().flat_map(|folder| {
        [config.to_owned(), format!("{config}.cfg")].map(|name| Path::new(folder).join(name))
    });
    let found = places.into_iter().find(|place| place.is_file());
    found.ok_or_else(|| {
        anyhow!("there is no config {config:?}, neither here nor in {}", FOLDERS.join(" or "))
    })
}
