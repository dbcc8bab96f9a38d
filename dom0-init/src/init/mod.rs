//! PID 1: runs the boot's phases, then serves events until the machine goes down.
//!
//! Everything that may take long, block or go wrong runs in child processes ([`services`]) that
//! the [`supervise`] module restarts; PID 1 itself only starts, reaps, answers its control
//! socket and takes the machine down ([`shutdown`]).

pub mod clock;
pub mod events;
pub mod hypervisor;
pub mod kernel_parameters;
pub mod mounts;
mod phase;
pub mod processes;
pub mod report;
pub mod services;
pub mod shutdown;
pub mod supervise;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant};

use anyhow::Context;

pub use phase::Phase;

use crate::command_line::CommandLine;
use crate::control::{Reply, Request};
use crate::storage;
use events::{Event, Signal};
use shutdown::Power;
use supervise::Supervisor;

/// What PID 1 knows and owns.
pub struct Host {
    /// The kernel's command line.
    pub command_line: CommandLine,
    /// The daemons.
    pub supervisor: Supervisor<services::SelfExec>,
    /// Whether the data partition is mounted.
    pub data: storage::Data,
    /// Where events come from; there once the control socket is open.
    events: Option<Receiver<Event>>,
}

/// Opens the control socket and starts to collect signals.
///
/// # Errors
/// Names the socket or signal handler that couldn't be set up.
pub fn open_control_socket(host: &mut Host) -> anyhow::Result<String> {
    let (sender, receiver) = std::sync::mpsc::channel();
    host.events = Some(receiver);
    events::forward_signals(sender.clone()).context("can't collect signals")?;
    events::forward_requests(sender)
        .with_context(|| format!("can't listen on {}", crate::control::SOCKET))?;
    shutdown::take_control_alt_delete()?;
    Ok(format!("listening on {}", crate::control::SOCKET))
}

/// Runs PID 1. It never returns: when it did, the kernel would panic.
pub fn run(boot: &[Phase<Host>]) -> ! {
    crate::kernel_log::start("init");
    let mut host = Host {
        command_line: CommandLine::default(),
        supervisor: Supervisor::new(services::SelfExec),
        data: storage::Data::NotMounted(None),
        events: None,
    };
    let outcomes = phase::run_all(boot, &mut host);
    report::publish(&outcomes);
    loop {
        // Whatever goes wrong in here is a fault of ours, but not a reason to lose the machine.
        let served = catch_unwind(AssertUnwindSafe(|| serve(&mut host)));
        if let Ok(power) = served {
            shutdown::go_down(power, &mut host.supervisor);
        }
        log::error!("PID 1 goes on after an internal error");
        std::thread::sleep(Duration::from_secs(1));
    }
}

/// Serves events until one of them asks to take the machine down.
fn serve(host: &mut Host) -> Power {
    loop {
        let now = Instant::now();
        host.supervisor.restart_due(now);
        reap(host);
        let patience = host
            .supervisor
            .next_restart()
            .map_or(Duration::from_secs(60), |at| at.saturating_duration_since(now));
        let event = match &host.events {
            Some(events) => events.recv_timeout(patience),
            None => {
                std::thread::sleep(patience.min(Duration::from_secs(1)));
                Err(RecvTimeoutError::Timeout)
            }
        };
        match event {
            Ok(Event::Signal(signal)) => {
                if let Some(power) = asked_by(signal) {
                    return power;
                }
            }
            Ok(Event::Request(request, answer)) => {
                let (reply, power) = decide(host, &request);
                answer.send(&reply);
                if let Some(power) = power {
                    return power;
                }
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => host.events = None,
        }
    }
}

/// What a signal asks of the machine.
fn asked_by(signal: Signal) -> Option<Power> {
    match signal {
        Signal::Child => None,
        Signal::ControlAltDelete => {
            log::warn!("Ctrl-Alt-Del: rebooting");
            Some(Power::Reboot)
        }
        Signal::PowerFailure => {
            log::warn!("SIGPWR: powering off");
            Some(Power::Off)
        }
        Signal::Terminate => {
            log::warn!("SIGTERM: powering off");
            Some(Power::Off)
        }
    }
}

/// Answers one request of the control socket.
fn decide(host: &mut Host, request: &Request) -> (Reply, Option<Power>) {
    match request {
        Request::PowerOff { why } => {
            log::warn!("powering off: {why}");
            (Reply::Done, Some(Power::Off))
        }
        Request::Reboot { why } => {
            log::warn!("rebooting: {why}");
            (Reply::Done, Some(Power::Reboot))
        }
        Request::StorageChanged => {
            storage::retry(host);
            (Reply::Done, None)
        }
        Request::Services => (Reply::Services(host.supervisor.states(Instant::now())), None),
    }
}

/// Collects every child that has ended: ours, and the orphans that PID 1 inherits.
fn reap(host: &mut Host) {
    use rustix::process::{WaitOptions, wait};
    while let Ok(Some((pid, status))) = wait(WaitOptions::NOHANG) {
        host.supervisor.exited(pid, &supervise::describe(status), Instant::now());
    }
}
