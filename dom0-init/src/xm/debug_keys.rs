//! `xm debug-keys`: presses debug keys; what they print is in `xm dmesg`.

use super::domains;

/// Arguments of `xm debug-keys`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The keys; `h` lists them in the hypervisor's log
    keys: String,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    domains::open()?.debug_keys(&arguments.keys)?;
    Ok(())
}
