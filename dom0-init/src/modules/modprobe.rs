//! The kernel's module helper: what it starts, as `/sbin/modprobe -q -- ALIAS`, when it wants a
//! module itself (a file system at mount, a checksum, a network protocol).

use std::process::ExitCode;

use super::Loader;
use crate::command_line::CommandLine;

/// Loads what the arguments name.
pub fn main(arguments: &[String]) -> ExitCode {
    let mut names = wanted(arguments).peekable();
    if names.peek().is_none() {
        eprintln!("modprobe: name a module or an alias, for example: modprobe fs-ext4");
        return ExitCode::from(2);
    }
    let mut loader = match Loader::for_running_kernel(CommandLine::of_running_kernel()) {
        Ok(loader) => loader,
        Err(error) => return failed(&error),
    };
    for name in names {
        if let Err(error) = loader.load(name) {
            return failed(&error);
        }
    }
    ExitCode::SUCCESS
}

/// The arguments that aren't options.
fn wanted(arguments: &[String]) -> impl Iterator<Item = &str> {
    let mut options = true;
    arguments.iter().map(String::as_str).filter(move |argument| {
        let is_option = options && argument.starts_with('-');
        options &= *argument != "--";
        !is_option
    })
}

fn failed(error: &anyhow::Error) -> ExitCode {
    crate::kernel_log::start("modprobe");
    log::warn!("{error:#}");
    eprintln!("modprobe: {error:#}");
    ExitCode::FAILURE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_are_passed_over() {
        let arguments: Vec<String> =
            ["-q", "--", "fs-ext4", "-x"].iter().map(|s| (*s).to_owned()).collect();
        assert_eq!(wanted(&arguments).collect::<Vec<_>>(), ["fs-ext4", "-x"]);
    }
}
