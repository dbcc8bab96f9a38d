//! `xm dump-core`: a guest's memory and registers as a file for debuggers.

use crate::xend::client;
use crate::xend::messages::Dump;

/// Where cores go that have no place given.
const FOLDER: &str = "/data/dumps";

/// Arguments of `xm dump-core`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// Let the guest run on meanwhile
    #[arg(short = 'L', long)]
    live: bool,
    /// End the guest afterwards
    #[arg(short = 'C', long)]
    crash: bool,
    /// The guest, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
    /// The file; /data/dumps/NAME.core unless given
    file: Option<String>,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let domain = &arguments.domain;
    let file = match &arguments.file {
        // Relative to here, where the daemon isn't.
        Some(file) => std::path::absolute(file)?.display().to_string(),
        None => format!("{FOLDER}/{domain}.core"),
    };
    println!("Dumping core of domain: {domain} ...");
    client::change(domain, "dump", &Dump { file: file.clone(), live: arguments.live })?;
    println!("{file} is written");
    if arguments.crash { client::act(domain, "destroy") } else { Ok(()) }
}
