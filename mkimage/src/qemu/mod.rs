//! Virtual machines: QEMU of the tools tree, described by a builder, started for a person
//! ([`Machine::interact`]), for a test ([`Machine::start`]), or for a job ([`Machine::run`]).

mod machine;
pub mod overlay;
mod plain;
mod qmp;
mod running;
pub(crate) mod supervise;

pub use machine::{Boot, Firmware, Forward, Interaction, Machine};
pub use qmp::Qmp;
pub use running::Running;

use crate::{fs, tools};
use std::time::Duration;

/// Why a machine did not do what was expected of it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tools tree lacks something.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// QEMU can't be started.
    #[error("can't start QEMU: {0}")]
    Start(std::io::Error),
    /// Something did not appear on the serial console in time.
    #[error("{wanted:?} did not appear within {after:?}; the console's end:\n{tail}")]
    Timeout {
        /// What was waited for.
        wanted: Vec<String>,
        /// For how long.
        after: Duration,
        /// The last lines.
        tail: String,
    },
    /// QEMU ended before that.
    #[error("QEMU ended ({status}) {instead}; it said: {said}\nthe console's end:\n{tail}")]
    Ended {
        /// How it ended.
        status: String,
        /// What should have happened.
        instead: String,
        /// Its messages.
        said: String,
        /// The last lines of the console.
        tail: String,
    },
    /// QEMU did not end in time.
    #[error("the machine is still running after {after:?}; the console's end:\n{tail}")]
    StillRunning {
        /// How long it was given.
        after: Duration,
        /// The last lines of the console.
        tail: String,
    },
    /// The control connection failed, or QEMU refused a command.
    #[error("QEMU's control connection: {0}")]
    Qmp(String),
}
