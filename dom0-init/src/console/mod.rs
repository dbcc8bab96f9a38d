//! The prompt on a console: reads a line, runs it as an `xm` command in a process of its own.
//!
//! [`choose`] says which consoles get one, [`line`] and [`completion`] edit lines, [`dashboard`]
//! is the overview above the screen's prompt.

pub mod choose;
mod completion;
mod dashboard;
mod prompt;
mod terminal;
mod words;

use anyhow::{Context, bail};

/// Serves one console until its line ends: `TTY [--dashboard]`.
///
/// # Errors
/// When the terminal can't be opened.
pub fn run(arguments: &[String]) -> anyhow::Result<()> {
    let Some(tty) = arguments.first() else { bail!("console: name its terminal") };
    let terminal = terminal::take(tty).with_context(|| format!("console {tty}"))?;
    let with_dashboard = arguments.iter().any(|a| a == "--dashboard");
    let dashboard = with_dashboard.then(|| dashboard::Dashboard::start(terminal.rows()));
    prompt::serve(dashboard.as_ref())
}
