//! Children that die with this process, however it dies: `setpriv` of the tools tree sets the
//! parent-death signal before it becomes the program.
//!
//! That signal is sent when the *thread* that started the child ends, so one thread that lives as
//! long as the process starts them all.

use crate::tools::{self, Tools};
use std::io;
use std::process::{Child, Command};
use std::sync::mpsc::{Sender, channel};
use std::sync::{LazyLock, Mutex, PoisonError};

type Job = (Command, Sender<io::Result<Child>>);

static STARTER: LazyLock<Mutex<Sender<Job>>> = LazyLock::new(|| {
    let (jobs, queue) = channel::<Job>();
    std::thread::spawn(move || {
        for (mut command, answer) in queue {
            // Nobody waits any more when the answer can't be sent: then the child is dropped.
            let _ = answer.send(command.spawn());
        }
    });
    Mutex::new(jobs)
});

/// A command for a program of the tree that dies with this process; for [`spawn`].
///
/// # Errors
/// When the tree lacks the program or `setpriv`.
pub fn command(tools: &Tools, program: &str) -> Result<Command, tools::Error> {
    let mut command = tools.command("setpriv")?;
    command.args(["--pdeathsig", "KILL"]).args(tools.words(program)?);
    Ok(command)
}

/// Starts a command on the thread that outlives all others.
///
/// # Errors
/// When it can't be started.
pub fn spawn(command: Command) -> io::Result<Child> {
    let (answer, result) = channel();
    let gone = || io::Error::other("the starter thread is gone");
    let jobs = STARTER.lock().unwrap_or_else(PoisonError::into_inner).clone();
    jobs.send((command, answer)).map_err(|_| gone())?;
    result.recv().map_err(|_| gone())?
}
