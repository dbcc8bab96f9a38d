//! What is wrong with a config, where, and the way out.

use std::fmt;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// In which line; `None` for what is missing, or came from the command line.
    pub line: Option<usize>,
    /// The key; empty where the text isn't even an assignment.
    pub key: String,
    /// What is wrong and what to do about it.
    pub what: String,
}

impl Problem {
    /// Of a key in a line.
    pub fn new(line: Option<usize>, key: impl Into<String>, what: impl Into<String>) -> Self {
        Self { line, key: key.into(), what: what.into() }
    }
}

/// Everything that is wrong with a config; at least one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems {
    /// The config's name, as the user knows it.
    pub file: String,
    /// The problems, in the order of the lines.
    pub all: Vec<Problem>,
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.all.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write_one(f, &self.file, problem)?;
        }
        Ok(())
    }
}

/// `web.cfg:7: memory: what is wrong`.
fn write_one(f: &mut fmt::Formatter<'_>, file: &str, problem: &Problem) -> fmt::Result {
    f.write_str(file)?;
    if let Some(line) = problem.line {
        write!(f, ":{line}")?;
    }
    if !problem.key.is_empty() {
        write!(f, ": {}", problem.key)?;
    }
    write!(f, ": {}", problem.what)
}

/// Something that is no error, but not what the user may think either.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note(Problem, String);

impl Note {
    /// Of a config.
    pub fn new(file: &str, problem: Problem) -> Self {
        Self(problem, file.to_owned())
    }
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_one(f, &self.1, &self.0)
    }
}

impl std::error::Error for Problems {}
