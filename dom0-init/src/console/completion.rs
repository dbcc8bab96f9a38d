//! Completion at the prompt: commands, their options, and names of domains.

use clap::Command;
use rustyline::completion::{Completer as Complete, Pair};
use rustyline::highlight::Highlighter;
use rustyline::hint::Hinter;
use rustyline::validate::Validator;
use rustyline::{Context, Helper};

use crate::xm;

/// What the prompt knows besides the commands.
const PROMPT_COMMANDS: &[&str] = &["clear", "quit"];

/// Completes from the command's own description.
pub struct Completer {
    command: Command,
}

impl Completer {
    /// For the `xm` command.
    pub fn new() -> Self {
        Self { command: xm::command() }
    }

    /// Where the last word begins, and what it could become.
    fn candidates(&self, line: &str) -> (usize, Vec<String>) {
        let start = line.rfind(char::is_whitespace).map_or(0, |at| at + 1);
        let (before, word) = line.split_at(start);
        let mut words: Vec<&str> = before.split_whitespace().collect();
        if matches!(words.first(), Some(&("xm" | "xl"))) {
            words.remove(0);
        }
        let all = match words.first() {
            None => self.commands(),
            Some(&"help") => self.commands(),
            Some(_) => self.arguments(&words),
        };
        (start, all.into_iter().filter(|candidate| candidate.starts_with(word)).collect())
    }

    fn commands(&self) -> Vec<String> {
        let mut all = names(&self.command);
        all.extend(PROMPT_COMMANDS.iter().map(|&name| name.to_owned()));
        all.sort();
        all
    }

    /// What can follow these words: a command, perhaps one of its own commands, and arguments.
    fn arguments(&self, words: &[&str]) -> Vec<String> {
        let previous = words.last().copied().unwrap_or_default();
        let Some(mut command) = words.first().and_then(|name| self.command.find_subcommand(name))
        else {
            return Vec::new();
        };
        if command.has_subcommands() {
            let Some(name) = words.get(1) else { return names(command) };
            let Some(inner) = command.find_subcommand(name) else { return Vec::new() };
            command = inner;
        }
        let options = || {
            command
                .get_arguments()
                .chain(self.command.get_arguments().filter(|a| a.is_global_set()))
        };
        // An option that was just typed and wants a value comes first.
        for option in options().filter(|o| o.get_action().takes_values() && !o.is_positional()) {
            let long = option.get_long().map(|l| format!("--{l}"));
            let short = option.get_short().map(|s| format!("-{s}"));
            if long.as_deref() == Some(previous) || short.as_deref() == Some(previous) {
                return candidates_for(option);
            }
        }
        let mut all: Vec<String> =
            options().filter_map(|o| o.get_long()).map(|long| format!("--{long}")).collect();
        for argument in command.get_positionals() {
            all.extend(candidates_for(argument));
        }
        all.sort();
        all
    }
}

/// The names of a command's own commands.
fn names(command: &Command) -> Vec<String> {
    command.get_subcommands().map(|inner| inner.get_name().to_owned()).collect()
}

/// What an argument can be: one of its values, or the name of a domain or an image.
fn candidates_for(argument: &clap::Arg) -> Vec<String> {
    let mut all = values(argument);
    if argument.get_id() == xm::DOMAIN_ARGUMENT {
        all.extend(xm::domain_names());
    }
    if argument.get_id() == xm::MANAGED_ARGUMENT {
        all.extend(xm::managed_names());
    }
    if argument.get_id() == xm::IMAGE_ARGUMENT {
        all.extend(xm::image_names());
    }
    all
}

fn values(argument: &clap::Arg) -> Vec<String> {
    argument.get_possible_values().iter().map(|value| value.get_name().to_owned()).collect()
}

impl Complete for Completer {
    type Candidate = Pair;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _context: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<Pair>)> {
        let (start, words) = self.candidates(line.get(..position).unwrap_or(line));
        let only = words.len() == 1;
        let pairs = words
            .into_iter()
            .map(|word| {
                let replacement = if only { format!("{word} ") } else { word.clone() };
                Pair { display: word, replacement }
            })
            .collect();
        Ok((start, pairs))
    }
}

impl Hinter for Completer {
    type Hint = String;
}
impl Highlighter for Completer {}
impl Validator for Completer {}
impl Helper for Completer {}

#[cfg(test)]
mod tests {
    use super::*;

    fn completed(line: &str) -> Vec<String> {
        Completer::new().candidates(line).1
    }

    #[test]
    fn commands_and_a_leading_xm() {
        assert_eq!(completed("inf"), ["info"]);
        assert_eq!(completed("xm inf"), ["info"]);
        assert_eq!(completed("q"), ["quit"]);
        assert_eq!(completed("help vcpu-l"), ["vcpu-list"]);
        assert!(completed("").len() > 10);
    }

    #[test]
    fn options_and_their_values() {
        assert!(completed("list --").contains(&"--long".to_owned()));
        assert_eq!(completed("list -o j"), ["json"]);
        assert_eq!(completed("nothing --"), Vec::<String>::new());
        assert_eq!(completed("trigger web nm"), ["nmi"]);
        assert_eq!(completed("image li"), ["list"]);
        assert_eq!(completed("xm image list --lo"), ["--local"]);
        assert_eq!(completed("image nothing --"), Vec::<String>::new());
        assert_eq!(completed("xl block-"), ["block-attach", "block-detach", "block-list"]);
    }

    #[test]
    fn the_last_word_is_replaced() {
        assert_eq!(Completer::new().candidates("xm list --lo").0, 8);
    }
}
