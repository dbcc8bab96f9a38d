//! Runs a system's own programs in its own root folder, without being root: in a user namespace,
//! without network, devices, or sight of the host.
//!
//! Whoever runs mkimage is root inside; users 1 to 65535 are those that the host lends out
//! (`/etc/subuid`), or, when root runs mkimage, those of the same number. busybox and util-linux of
//! the tools tree set it up; `sandbox.sh` says how. Nothing that runs there waits for the disk.

use super::no_sync;
use crate::fs::{self, Context};
use crate::qemu::supervise;
use crate::tools::{self, Tools};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};

/// Sets the root up and runs the script.
pub(super) const SETUP: &str = include_str!("sandbox.sh");
/// Says that it is in the user namespace, waits until its users are known, and goes on. It ends when
/// mkimage does, which keeps its input open: the kernel forgets who wants to die with his parent
/// when he becomes root.
const WAIT: &str = r#"
echo
read -r go || exit 1
exec 3<&0
(read -r more <&3; kill -KILL $$) >/dev/null &
exec "$@" 3<&- </dev/null
"#;
/// Removes a folder.
const EMPTY: &str = r#""$1" rm -rf "$2""#;
/// Users of the inside beside root.
const USERS: u32 = 65_535;
/// Lines of output that an error shows.
const SHOWN: usize = 30;

/// Why nothing could be run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The tools tree lacks something.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The kernel or the container forbids it.
    #[error(
        "packages can't be configured in a user namespace: {0}. Allow those \
         (user.max_user_namespaces, and on some hosts kernel.unprivileged_userns_clone=1 or \
         kernel.apparmor_restrict_unprivileged_userns=0), run mkimage as root, or give --configure \
         vm, which takes longer"
    )]
    Forbidden(String),
    /// The host lends out no users.
    #[error(
        "packages can't be configured in a user namespace: {0}. It takes {USERS} users: have root \
         install newuidmap and newgidmap (package uidmap) and run `usermod --add-subuids \
         100000-165535 --add-subgids 100000-165535 USER`, run mkimage as root, or give --configure \
         vm, which takes longer"
    )]
    Users(String),
    /// The script failed.
    #[error("{what} failed ({status}):\n{output}")]
    Failed {
        /// What it was for.
        what: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of what it said.
        output: String,
    },
}

impl Error {
    /// Whether the host is what keeps programs from being run.
    pub fn is_of_the_host(&self) -> bool {
        matches!(self, Self::Forbidden(_) | Self::Users(_))
    }
}

/// A root folder that programs can be run in.
#[derive(Debug)]
pub struct Sandbox<'a> {
    tools: &'a Tools,
    root: PathBuf,
    log: PathBuf,
}

impl<'a> Sandbox<'a> {
    /// A folder, and a file for what programs say.
    pub fn new(tools: &'a Tools, root: &Path, log: &Path) -> Self {
        Self { tools, root: root.to_owned(), log: log.to_owned() }
    }

    /// Runs a shell script as root of the folder, and lets `sink` have what it prints. What it
    /// says on standard error is shown if it fails.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn run<T>(
        &self,
        what: &str,
        script: &str,
        sink: impl FnOnce(&mut dyn Read) -> Result<T, io::Error>,
    ) -> Result<T, Error> {
        let mut ready = false;
        let done = self.in_namespace(what, SETUP, script, |output| {
            ready = first_line(output);
            if ready { sink(output).map(Some) } else { Ok(None) }
        });
        match done {
            Ok(Some(kept)) => Ok(kept),
            // Some hosts allow the namespace, and forbid all that root may do in it.
            Err(Error::Failed { output, .. }) if !ready => Err(Error::Forbidden(output)),
            Ok(None) => Err(Error::Forbidden(self.said())),
            Err(error) => Err(error),
        }
    }

    fn in_namespace<T>(
        &self,
        what: &str,
        setup: &str,
        script: &str,
        sink: impl FnOnce(&mut dyn Read) -> Result<T, io::Error>,
    ) -> Result<T, Error> {
        let mut child = self.start(setup, script)?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        let mut running = Running(child);
        let (Some(mut input), Some(mut output)) = (input, output) else {
            return Err(Error::Forbidden("its pipes are gone".to_owned()));
        };
        if !first_line(&mut output) {
            let _ = running.0.wait();
            return Err(Error::Forbidden(self.said()));
        }
        lend_users(running.0.id())?;
        let sent = input.write_all(b"go\n");
        let sunk = sent.and_then(|()| sink(&mut output));
        drop(output);
        let status = running.0.wait().map_err(|error| Error::Forbidden(error.to_string()))?;
        drop(input);
        if !status.success() {
            let output = self.said();
            return Err(Error::Failed { what: what.to_owned(), status, output });
        }
        sunk.map_err(|source| {
            fs::Error { verb: "keep what was printed in", path: self.root.clone(), source }.into()
        })
    }

    /// Removes the folder, with everything in it that only its own root may remove.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn empty(&self) -> Result<(), Error> {
        self.in_namespace("removing files of a build", EMPTY, "", |_| Ok(()))
    }

    fn start(&self, setup: &str, script: &str) -> Result<Child, Error> {
        let busybox = std::path::absolute(self.tools.file("usr/bin/busybox")?)
            .at("find", &self.tools.root().join("usr/bin/busybox"))?;
        let root = std::path::absolute(&self.root).at("find", &self.root)?;
        let filter = std::path::absolute(self.log.with_extension("bpf")).at("find", &self.log)?;
        fs::write(&filter, no_sync::filter())?;
        let mut command: Command = supervise::command(self.tools, "unshare")?;
        command.arg("--user").arg(&busybox).args(["sh", "-c", WAIT, "sh"]);
        command.args(self.tools.words("setpriv")?).arg("--seccomp-filter").arg(filter);
        command.args(self.tools.words("unshare")?);
        command.args(["--mount", "--net", "--ipc", "--uts", "--pid", "--fork", "--kill-child"]);
        command.arg(&busybox).args(["sh", "-c", setup, "sh"]);
        command.arg(&busybox).arg(root).arg(script);
        let log = std::fs::File::options().append(true).create(true).open(&self.log);
        let log = log.at("create", &self.log)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log);
        crate::progress::detail(&format!("running in {}", self.root.display()));
        supervise::spawn(command)
            .map_err(|source| tools::Error::Start { program: "unshare".to_owned(), source }.into())
    }

    fn said(&self) -> String {
        said(&self.log)
    }
}

/// The end of what was said, by the file that it went to.
pub(super) fn said(log: &Path) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(SHOWN)..].join("\n")
}

/// A child that is killed when it is dropped while it runs.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }
}

/// Whether an empty line came. Nothing behind it is read.
fn first_line(output: &mut dyn Read) -> bool {
    let mut byte = [0];
    output.read_exact(&mut byte).is_ok() && byte == *b"\n"
}

/// Tells the kernel who the users inside of a process's namespace are.
fn lend_users(pid: u32) -> Result<(), Error> {
    let user = rustix::process::geteuid().as_raw();
    if user == 0 {
        // Root may name them itself.
        let map = format!("0 0 1\n1 1 {USERS}\n");
        for file in ["uid_map", "gid_map"] {
            let path = format!("/proc/{pid}/{file}");
            std::fs::write(&path, &map).map_err(|error| {
                Error::Users(format!("users 1 to {USERS} aren't there in this container: {error}"))
            })?;
        }
        return Ok(());
    }
    let group = rustix::process::getegid().as_raw();
    for (program, own, list) in
        [("newuidmap", user, "/etc/subuid"), ("newgidmap", group, "/etc/subgid")]
    {
        let text = std::fs::read_to_string(list).unwrap_or_default();
        let names: Vec<String> = user_name(user).into_iter().chain([user.to_string()]).collect();
        let start = lent(&text, &names)
            .ok_or_else(|| Error::Users(format!("{list} lends {} no users", names.join(" or "))))?;
        let words = [0, own, 1, 1, start, USERS].map(|number| number.to_string());
        let output = Command::new(program).arg(pid.to_string()).args(words).output();
        let output = output.map_err(|error| Error::Users(format!("{program}: {error}")))?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            return Err(Error::Users(said));
        }
    }
    Ok(())
}

/// A user's name, as the host has it.
fn user_name(user: u32) -> Option<String> {
    let text = std::fs::read_to_string("/etc/passwd").ok()?;
    let line = text.lines().find(|line| line.split(':').nth(2) == Some(&user.to_string()))?;
    line.split(':').next().map(str::to_owned)
}

/// The first of enough users that are lent to one of some names.
fn lent(text: &str, names: &[String]) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let name = fields.next()?;
        let (start, count): (u32, u32) =
            (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        let fits = count >= USERS && names.iter().any(|wanted| wanted == name);
        fits.then_some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_lent_users() {
        let text = "other:100000:65536\nme:1:10\nme:200000:65536\n1000:5:99999\n";
        let names = |name: &str| vec![name.to_owned()];
        assert_eq!(lent(text, &names("me")), Some(200_000));
        assert_eq!(lent(text, &names("1000")), Some(5));
        assert_eq!(lent(text, &names("nobody")), None);
        assert_eq!(lent("me:x:y\n::", &names("me")), None);
    }

    #[test]
    fn messages_say_the_way_out() {
        let forbidden = Error::Forbidden("unshare failed: Operation not permitted".to_owned());
        assert!(forbidden.to_string().contains("user.max_user_namespaces"), "{forbidden}");
        assert!(forbidden.is_of_the_host());
        let users = Error::Users("/etc/subuid lends me no users".to_owned());
        assert!(users.to_string().contains("usermod --add-subuids"), "{users}");
    }
}
