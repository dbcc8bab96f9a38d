//! Where PID 1's events come from: signals and the control socket, each with a thread of its
//! own that blocks for them.

use std::sync::mpsc::Sender;

use anyhow::Context;
use signal_hook::consts::{SIGCHLD, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::control::{self, Answer, Request};
use crate::local_socket;

/// Not among the signals that POSIX names.
const SIGPWR: i32 = rustix::process::Signal::POWER.as_raw();

/// Something that PID 1 acts on.
#[derive(Debug)]
pub enum Event {
    /// A signal came.
    Signal(Signal),
    /// A client asks for something and waits for the answer.
    Request(Request, Answer),
}

/// The signals that mean something to PID 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signal {
    /// SIGCHLD: there is something to reap.
    Child,
    /// SIGINT: what the kernel sends for Ctrl-Alt-Del.
    ControlAltDelete,
    /// SIGPWR: a power supply or hypervisor asks to go down.
    PowerFailure,
    /// SIGTERM.
    Terminate,
}

/// Starts forwarding signals.
///
/// # Errors
/// When a handler can't be installed or the thread can't be started.
pub fn forward_signals(sender: Sender<Event>) -> anyhow::Result<()> {
    let mut signals =
        Signals::new([SIGCHLD, SIGINT, SIGPWR, SIGTERM]).context("signal handlers")?;
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let signal = match signal {
                    SIGCHLD => Signal::Child,
                    SIGINT => Signal::ControlAltDelete,
                    SIGPWR => Signal::PowerFailure,
                    _ => Signal::Terminate,
                };
                if sender.send(Event::Signal(signal)).is_err() {
                    return;
                }
            }
        })
        .context("can't start a thread")?;
    Ok(())
}

/// Starts forwarding the control socket's requests.
///
/// # Errors
/// When the socket can't be made or the thread can't be started.
pub fn forward_requests(sender: Sender<Event>) -> anyhow::Result<()> {
    let listener = local_socket::listen(control::SOCKET)?;
    std::thread::Builder::new()
        .name("control".into())
        .spawn(move || {
            for stream in listener.incoming().flatten() {
                match control::receive(stream) {
                    Ok((request, answer)) => {
                        if sender.send(Event::Request(request, answer)).is_err() {
                            return;
                        }
                    }
                    Err(error) => log::warn!("control socket: {error:#}"),
                }
            }
        })
        .context("can't start a thread")?;
    Ok(())
}
