//! `xm console`: a guest's console on this terminal, until Ctrl-].

use std::io::{Read, Write};
use std::os::fd::AsFd;

use anyhow::Context;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use super::domains;
use crate::guest_consoles::client;

/// Ctrl-]
const LEAVE: u8 = 0x1d;

/// Arguments of `xm console`.
#[derive(Debug, clap::Args)]
pub struct Arguments {
    /// The domain, by name or number
    #[arg(id = super::DOMAIN_ARGUMENT)]
    domain: String,
}

/// Runs it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    let all = domains::open()?.domains()?;
    let wanted = std::slice::from_ref(&arguments.domain);
    let found = domains::pick(all, wanted)?.first().map_or(0, |info| info.domain);
    show(found)
}

/// Shows a domain's console until the user leaves or the domain ends.
///
/// # Errors
/// When the domain has none, or this isn't a terminal that can be set.
pub fn show(domain: u16) -> anyhow::Result<()> {
    let mut console = client::open(domain)?;
    let input = std::io::stdin();
    // A terminal is set to pass every key on; a pipe is passed on as it is.
    let _raw = Raw::set().ok();
    let mut buffer = [0; 4096];
    loop {
        let mut waits = [PollFd::new(&input, PollFlags::IN), PollFd::new(&console, PollFlags::IN)];
        poll(&mut waits, None).context("can't wait for the console")?;
        let [keys, output] = waits.map(|wait| !wait.revents().is_empty());
        if output {
            let count = console.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                return Ok(());
            }
            let mut terminal = std::io::stdout();
            terminal.write_all(buffer.get(..count).unwrap_or_default())?;
            terminal.flush()?;
        }
        if keys {
            let count = rustix::io::read(input.as_fd(), &mut buffer)?;
            let typed = buffer.get(..count).unwrap_or_default();
            let leave = typed.iter().position(|&key| key == LEAVE);
            console.write_all(typed.get(..leave.unwrap_or(count)).unwrap_or_default())?;
            if leave.is_some() || count == 0 {
                return Ok(());
            }
        }
    }
}

/// The terminal's modes as they were; they come back when this is dropped.
struct Raw(Termios);

impl Raw {
    fn set() -> rustix::io::Result<Self> {
        let before = tcgetattr(std::io::stdin())?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(std::io::stdin(), OptionalActions::Drain, &raw)?;
        Ok(Self(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // A terminal that is gone needs no modes.
        let _gone = tcsetattr(std::io::stdin(), OptionalActions::Drain, &self.0);
    }
}
