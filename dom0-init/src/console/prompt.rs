//! The prompt's loop: a line, a command, again.

use std::io::Write;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus};

use anyhow::Context;
use rustyline::config::{BellStyle, CompletionType, Configurer};
use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Config, Editor};
use signal_hook::consts::{SIGINT, SIGQUIT};

use super::completion::Completer;
use super::dashboard::Dashboard;
use super::{terminal, words};
use crate::control::{self, Request};
use crate::init::report;
use crate::xm::{self, power};

/// What the prompt is.
const PROMPT: &str = "xm> ";

type Line = Editor<Completer, MemHistory>;

/// Reads and runs lines until the terminal ends.
///
/// # Errors
/// When the terminal fails.
pub fn serve(dashboard: Option<&Dashboard>) -> anyhow::Result<()> {
    ignore_interrupts()?;
    let mut editor = editor()?;
    greet();
    loop {
        let _sane_or_gone = terminal::make_sane();
        match editor.readline(PROMPT) {
            Ok(line) => {
                if !line.trim().is_empty() {
                    editor.add_history_entry(line.as_str())?;
                }
                run(&line, dashboard);
            }
            Err(ReadlineError::Interrupted) => {}
            // Ctrl-D at an empty prompt has nowhere to go back to.
            Err(ReadlineError::Eof) => println!("`quit` switches the machine off."),
            Err(error) => return Err(error).context("the terminal ended"),
        }
    }
}

fn editor() -> anyhow::Result<Line> {
    let mut config = Config::builder()
        .history_ignore_dups(true)?
        .max_history_size(500)?
        .completion_type(CompletionType::List)
        .bell_style(BellStyle::None)
        // Terminals of all ages are at the other end of a line.
        .bracketed_paste(false);
    config.enable_synchronized_output(false);
    let mut editor = Editor::with_history(config.build(), MemHistory::new())?;
    editor.set_helper(Some(Completer::new()));
    Ok(editor)
}

/// Ctrl-C is for the command that runs, not for the prompt. A handler, unlike ignoring, isn't
/// inherited by the commands.
fn ignore_interrupts() -> anyhow::Result<()> {
    let seen = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    for signal in [SIGINT, SIGQUIT] {
        signal_hook::flag::register(signal, std::sync::Arc::clone(&seen))
            .context("can't handle Ctrl-C")?;
    }
    Ok(())
}

fn greet() {
    let host = rustix::system::uname();
    println!(
        "\nXenolith {} on {}. `help` lists the commands.",
        env!("CARGO_PKG_VERSION"),
        host.nodename().to_string_lossy()
    );
    for failure in report::failures() {
        println!("Not all is well: phase {} failed: {}", failure.phase, failure.reason);
    }
    println!();
}

/// Runs one line.
fn run(line: &str, dashboard: Option<&Dashboard>) {
    let Some(mut words) = words::split(line) else {
        println!("A quote isn't closed.");
        return;
    };
    if matches!(words.first().map(String::as_str), Some("xm" | "xl")) {
        words.remove(0);
    }
    match words.first().map(String::as_str) {
        None => {}
        Some("help") if words.len() == 1 => help(),
        Some("quit" | "exit") => quit(),
        Some("clear") => clear(),
        Some(_) => execute(&words, dashboard),
    }
}

fn clear() {
    print!("\x1b[H\x1b[J");
    // A terminal that is gone needs no clearing.
    let _gone = std::io::stdout().flush();
}

fn help() {
    println!("{}", xm::overview());
    println!("At this prompt also:");
    println!("  clear            Clear the screen");
    println!("  quit             Switch the machine off");
    println!("Tab completes, the arrow keys go through what was typed before.");
}

/// Switches the machine off; asks first when guests run.
fn quit() {
    let guests = xm::running_guests();
    if guests > 0 {
        let question = format!("{guests} guests are running. Switch the machine off? [y/N] ");
        if !confirm(&question) {
            return;
        }
    }
    let request = Request::PowerOff { why: "quit at the prompt".to_owned() };
    match control::ask(&request) {
        Ok(_) => power::wait_for_the_end(),
        Err(error) => println!("{error:#}"),
    }
}

fn confirm(question: &str) -> bool {
    rustyline::DefaultEditor::new()
        .and_then(|mut editor| editor.readline(question))
        .is_ok_and(|answer| matches!(answer.trim(), "y" | "Y" | "yes"))
}

/// Runs a command in a process of its own, so that whatever happens to it leaves the prompt.
fn execute(words: &[String], dashboard: Option<&Dashboard>) {
    let takes_the_screen = words.first().is_some_and(|w| w == "top" || w == "console");
    let pause = if takes_the_screen { dashboard.map(Dashboard::pause) } else { None };
    let status = Command::new("/proc/self/exe").arg0("xm").args(words).status();
    drop(pause);
    if let Some(dashboard) = dashboard {
        dashboard.redraw();
    }
    match status {
        Ok(status) => tell_signal(status),
        Err(error) => println!("The command can't be started: {error}."),
    }
}

fn tell_signal(status: ExitStatus) {
    match status.signal() {
        Some(SIGINT) => println!(),
        Some(signal) => println!("The command was ended by signal {signal}."),
        None => {}
    }
}
