//! `xm console`: a guest's console on this terminal, until Ctrl-].

use std::io::{Read, Write};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use xenctl::xen_abi::domctl::DOMINF_DYING;

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

/// How long the consoles' daemon may take to come back when it ends.
const PATIENCE: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);

/// Why a console isn't shown any more.
enum End {
    /// The user left.
    Left,
    /// The other end closed it.
    Closed,
}

/// Shows a domain's console until the user leaves or the domain ends. When the consoles' daemon
/// ends, what the next one shows comes next.
///
/// # Errors
/// When the domain has none, or the daemon doesn't come back.
pub fn show(domain: u16) -> anyhow::Result<()> {
    // A terminal is set to pass every key on; a pipe is passed on as it is.
    let _raw = Raw::set().ok();
    let mut console = client::open(domain)?;
    // One that closes at once has nothing to show.
    let mut deadline = Instant::now() + PAUSE;
    loop {
        let began = Instant::now();
        match pass_on(&mut console)? {
            End::Closed if is_there(domain)? => {}
            End::Left | End::Closed => return Ok(()),
        }
        if began.elapsed() > PAUSE {
            deadline = Instant::now() + PATIENCE;
        }
        console = loop {
            std::thread::sleep(PAUSE);
            match client::open(domain) {
                Ok(console) if Instant::now() < deadline => break console,
                Err(_) if Instant::now() < deadline => {}
                Ok(_) => bail!("domain {domain} has no console; `xm log` may say why"),
                Err(error) => return Err(error),
            }
        };
    }
}

/// Whether a domain is there and isn't going.
fn is_there(domain: u16) -> anyhow::Result<bool> {
    let info = domains::open()?.domain(domain)?;
    Ok(info.is_some_and(|info| info.flags & DOMINF_DYING == 0))
}

/// Passes on what a console shows and what is typed.
fn pass_on(console: &mut UnixStream) -> anyhow::Result<End> {
    let input = std::io::stdin();
    let mut buffer = [0; 4096];
    loop {
        let mut waits = [PollFd::new(&input, PollFlags::IN), PollFd::new(console, PollFlags::IN)];
        poll(&mut waits, None).context("can't wait for the console")?;
        let [keys, output] = waits.map(|wait| !wait.revents().is_empty());
        if output {
            let count = console.read(&mut buffer).unwrap_or(0);
            if count == 0 {
                return Ok(End::Closed);
            }
            let mut terminal = std::io::stdout();
            terminal.write_all(buffer.get(..count).unwrap_or_default())?;
            terminal.flush()?;
        }
        if keys {
            let count = rustix::io::read(input.as_fd(), &mut buffer)?;
            let typed = buffer.get(..count).unwrap_or_default();
            let leave = typed.iter().position(|&key| key == LEAVE);
            let written =
                console.write_all(typed.get(..leave.unwrap_or(count)).unwrap_or_default());
            if leave.is_some() || count == 0 {
                return Ok(End::Left);
            }
            if written.is_err() {
                return Ok(End::Closed);
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
