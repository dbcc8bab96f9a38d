//! The `mkimage` program: parses the command line, runs it, and says in one message what failed.

use clap::Parser;
use mkimage::{cli, scratch, terminal};
use std::process::ExitCode;

/// Exit status after an interrupt, as shells have it.
const INTERRUPTED: i32 = 130;

fn main() -> ExitCode {
    let handler = ctrlc::set_handler(|| {
        scratch::remove_unfinished();
        terminal::restore();
        std::process::exit(INTERRUPTED);
    });
    if let Err(error) = handler {
        eprintln!("mkimage: interrupts won't be cleaned up after: {error}");
    }
    match cli::run(cli::Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mkimage: {error}");
            ExitCode::FAILURE
        }
    }
}
