//! An ext4 file system of files as data ([`Tree`]): mke2fs writes it, from an archive that it is
//! sent, so owners and modes need no root.

use crate::fs::{self, Context};
use crate::guest::no_sync;
use crate::guest::tree::Tree;
use crate::tools::{self, Tools};
use std::io::{BufWriter, Read};
use std::path::Path;
use std::process::{Output, Stdio};

const PROGRAM: &str = "mke2fs";
/// Bytes that are handed to mke2fs at once.
const BUFFER: usize = 1 << 20;

/// Why there is no file system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is too small.
    #[error("the files don't fit into a file system of {} MiB", .size >> 20)]
    Full {
        /// Its size, in bytes.
        size: u64,
    },
    /// mke2fs.
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A file of ours.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// A file system to be written.
#[derive(Debug)]
pub struct Ext4<'a> {
    /// Where it begins in the image, in bytes.
    pub offset: u64,
    /// Its size in bytes.
    pub size: u64,
    /// Its UUID.
    pub uuid: &'a str,
    /// The seed of its folders' hashes, a UUID.
    pub hash_seed: &'a str,
    /// Time stamp of everything that has none, in seconds of Unix time.
    pub epoch: u64,
    /// Whether it is to outlive a loss of power.
    pub journal: bool,
}

impl Ext4<'_> {
    /// Writes it into an image, and leaves it to the caller to wait for the host's disk.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn write(
        &self,
        image: &Path,
        tree: &Tree,
        tools: &Tools,
        scratch: &Path,
    ) -> Result<(), Error> {
        let mut child = self.command(image, tools, scratch)?.spawn().map_err(start)?;
        let (input, mut said) = (child.stdin.take(), child.stderr.take());
        let (sent, stderr) = std::thread::scope(|scope| {
            let listener = scope.spawn(|| {
                let mut text = Vec::new();
                let _ = said.as_mut().map(|said| said.read_to_end(&mut text));
                text
            });
            let sent =
                input.map_or(Ok(()), |input| tree.archive(BufWriter::with_capacity(BUFFER, input)));
            (sent, listener.join().unwrap_or_default())
        });
        let status = child.wait().map_err(start)?;
        self.judge(&Output { status, stdout: Vec::new(), stderr })?;
        Ok(sent.at("send the files to mke2fs for", image)?)
    }

    fn command(
        &self,
        image: &Path,
        tools: &Tools,
        scratch: &Path,
    ) -> Result<std::process::Command, Error> {
        let filter = scratch.join("no-sync.bpf");
        fs::write(&filter, no_sync::filter())?;
        let extended = format!(
            "offset={},hash_seed={},root_owner=0:0,lazy_itable_init=1,nodiscard",
            self.offset, self.hash_seed
        );
        let mut command = tools.command("setpriv")?;
        command.args(["--no-new-privs", "--seccomp-filter"]).arg(filter);
        command.args(tools.words(PROGRAM)?);
        command.env("MKE2FS_CONFIG", tools.file("etc/mke2fs.conf")?);
        command.env("SOURCE_DATE_EPOCH", self.epoch.to_string());
        command.args(["-q", "-F", "-t", "ext4", "-L", "root", "-U", self.uuid]);
        if !self.journal {
            command.args(["-O", "^has_journal"]);
        }
        command.args(["-E", &extended, "-d", "-"]).arg(image);
        command.arg(format!("{}k", self.size >> 10));
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
        crate::progress::detail(&format!("running {command:?}"));
        Ok(command)
    }

    fn judge(&self, output: &Output) -> Result<(), Error> {
        let said = String::from_utf8_lossy(&output.stderr).trim_end().to_owned();
        if said.contains("No space left") || said.contains("Could not allocate") {
            return Err(Error::Full { size: self.size });
        }
        if !output.status.success() {
            let (program, status) = (PROGRAM.to_owned(), output.status);
            return Err(tools::Error::Failed { program, status, output: said }.into());
        }
        Ok(())
    }
}

fn start(source: std::io::Error) -> Error {
    tools::Error::Start { program: PROGRAM.to_owned(), source }.into()
}
