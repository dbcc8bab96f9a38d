//! Where packages' own programs run: in a user namespace, which takes no time, or, where the host
//! forbids that, in a virtual machine. Either way they see nothing but the system that they are
//! part of, reach no network, and leave the same files.

use super::{sandbox, vm};
use crate::error::Error;
use crate::progress;
use crate::project::Project;
use crate::tools::Tools;
use std::io::{self, Read};
use std::path::Path;

/// What keeps programs from the host.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Isolation {
    /// A user namespace, or a virtual machine where the host has none for us
    #[default]
    Auto,
    /// A user namespace
    Namespace,
    /// A virtual machine
    Vm,
}

/// Takes what a script prints; it is called once.
pub type Sink<'a> = dyn FnMut(&mut dyn Read) -> io::Result<()> + 'a;

/// A folder whose programs are to be run with it as their root.
#[derive(Debug)]
pub struct Place<'a> {
    /// Where the machine's kernel comes from.
    pub project: &'a Project,
    /// What sets it up.
    pub tools: &'a Tools,
    /// The folder. Only the namespace changes it: the machine has a copy.
    pub root: &'a Path,
    /// What programs say, for errors. Files beside it are made, too.
    pub log: &'a Path,
    /// Time stamp of what has none, in seconds of Unix time.
    pub epoch: u64,
}

impl Place<'_> {
    /// Runs a shell script as the folder's root, and lets `sink` have what it prints. What it says
    /// on standard error is shown if it fails.
    ///
    /// # Errors
    /// When the host can't run it, or it fails.
    pub fn run(&self, what: &str, script: &str, sink: &mut Sink<'_>) -> Result<(), Error> {
        let in_namespace = |sink: &mut Sink<'_>| {
            sandbox::Sandbox::new(self.tools, self.root, self.log).run(what, script, sink)
        };
        match self.project.isolation() {
            Isolation::Namespace => Ok(in_namespace(sink)?),
            Isolation::Vm => vm::run(self, what, script, sink),
            Isolation::Auto => match in_namespace(sink) {
                Err(error) if error.is_of_the_host() => {
                    progress::note(&format!("{error}"));
                    progress::note("using a virtual machine instead, which takes minutes");
                    vm::run(self, what, script, sink)
                }
                done => Ok(done?),
            },
        }
    }
}
