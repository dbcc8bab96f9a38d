//! The tools tree: programs of pinned packages (QEMU, mke2fs, xorriso, GRUB, firmware), unpacked
//! into the cache and run through their own dynamic loader. Nothing of the host is used.

use crate::deb;
use crate::fs;
use crate::lock::Lock;
use crate::net::archive::{self, Archive};
use crate::net::cache::Cache;
use crate::progress::Step;
use crate::scratch::Scratch;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const LIBRARIES: &str = "usr/lib/x86_64-linux-gnu";
const LOADER: &str = "usr/lib/x86_64-linux-gnu/ld-linux-x86-64.so.2";
/// Parts of packages that no program reads.
const UNREAD: [&str; 6] = [
    "usr/share/doc/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    "usr/share/bug/",
];
/// Variables that tools keep from the user's environment.
const KEPT: [&str; 2] = ["HOME", "TMPDIR"];

/// Why a tool can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Its package can't be fetched.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// Its package can't be unpacked.
    #[error(transparent)]
    Deb(#[from] deb::Error),
    /// A file of the tree.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The tree has no such program.
    #[error(
        "the tools tree has no {what}; add its package to recipes/tools.toml and run `mkimage lock tools`"
    )]
    Missing {
        /// The program or file.
        what: String,
    },
    /// It can't be started.
    #[error("can't start {program}: {source}")]
    Start {
        /// The program.
        program: String,
        /// Why.
        source: std::io::Error,
    },
    /// It failed.
    #[error("{program} failed ({status}):\n{output}")]
    Failed {
        /// The program.
        program: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said.
        output: String,
    },
}

/// An unpacked tools tree.
#[derive(Debug, Clone)]
pub struct Tools {
    root: PathBuf,
}

impl Tools {
    /// The tree of a lock: fetched and unpacked if it isn't there yet.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn prepare(archive: &Archive, recipe: &str, lock: &Lock) -> Result<Self, Error> {
        if let Some(tools) = Self::existing(archive.cache(), lock) {
            return Ok(tools);
        }
        let packages = archive.fetch(recipe, &lock.packages)?;
        let root = Self::place(archive.cache(), lock);
        let scratch = Scratch::folder(&root)?;
        unpack_all(&packages, scratch.path())?;
        scratch.finish_unless_there()?;
        Ok(Self { root })
    }

    /// The tree of a lock, if it was unpacked before.
    pub fn existing(cache: &Cache, lock: &Lock) -> Option<Self> {
        let root = Self::place(cache, lock);
        root.is_dir().then_some(Self { root })
    }

    fn place(cache: &Cache, lock: &Lock) -> PathBuf {
        cache.root().join("tools").join(lock.digest().short())
    }

    /// The tree's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A data file of the tree, such as a firmware image.
    ///
    /// # Errors
    /// [`Error::Missing`] when the tree hasn't got it.
    pub fn file(&self, path: &str) -> Result<PathBuf, Error> {
        let full = self.root.join(path);
        if full.exists() { Ok(full) } else { Err(Error::Missing { what: path.to_owned() }) }
    }

    /// The words that run a program of the tree: loader, library path, program.
    ///
    /// # Errors
    /// [`Error::Missing`] when the tree hasn't got it.
    pub fn words(&self, program: &str) -> Result<Vec<String>, Error> {
        let candidates = ["usr/bin", "usr/sbin"].map(|folder| format!("{folder}/{program}"));
        let found = candidates.iter().find_map(|path| self.file(path).ok());
        let binary = found.ok_or_else(|| Error::Missing { what: program.to_owned() })?;
        let libraries = self.root.join(LIBRARIES);
        let private = ["pulseaudio", "systemd"].map(|name| libraries.join(name));
        let path: Vec<String> = std::iter::once(&libraries)
            .chain(private.iter().filter(|folder| folder.is_dir()))
            .map(|folder| folder.display().to_string())
            .collect();
        Ok(vec![
            self.file(LOADER)?.display().to_string(),
            "--library-path".to_owned(),
            path.join(":"),
            binary.display().to_string(),
        ])
    }

    /// A command that runs a program of the tree in a clean environment.
    ///
    /// # Errors
    /// [`Error::Missing`] when the tree hasn't got it.
    pub fn command(&self, program: &str) -> Result<Command, Error> {
        let words = self.words(program)?;
        let (loader, rest) =
            words.split_first().ok_or_else(|| Error::Missing { what: program.to_owned() })?;
        let mut command = Command::new(loader);
        command.args(rest).env_clear().env("LC_ALL", "C").env("TZ", "UTC");
        for name in KEPT {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        Ok(command)
    }
}

/// Runs a command to its end; its output is shown only when it fails.
///
/// # Errors
/// [`Error::Start`] and [`Error::Failed`].
pub fn run(command: &mut Command, program: &str) -> Result<Output, Error> {
    crate::progress::detail(&format!("running {command:?}"));
    let output =
        command.output().map_err(|source| Error::Start { program: program.to_owned(), source })?;
    if output.status.success() {
        return Ok(output);
    }
    let said = [output.stdout.as_slice(), output.stderr.as_slice()].concat();
    Err(Error::Failed {
        program: program.to_owned(),
        status: output.status,
        output: String::from_utf8_lossy(&said).trim_end().to_owned(),
    })
}

/// Unpacks packages into one root, on all CPUs.
fn unpack_all(packages: &[PathBuf], root: &Path) -> Result<(), Error> {
    deb::prepare_root(root)?;
    let step = Step::items("unpacking the tools", packages.len());
    let wanted = |path: &str| !UNREAD.iter().any(|prefix| path.starts_with(prefix));
    for_each_parallel(packages, |package| {
        deb::unpack(package, root, &wanted)?;
        step.advance(1);
        Ok(())
    })
}

/// Calls a function for each item on all CPUs; returns the first failure.
pub(crate) fn for_each_parallel<T: Sync, E: Send>(
    items: &[T],
    work: impl Fn(&T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    let next = AtomicUsize::new(0);
    let failure = Mutex::new(None);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(item) = items.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Err(error) = work(item) {
                        // Past the end: the other threads stop too.
                        next.store(items.len(), Ordering::Relaxed);
                        if let Ok(mut failure) = failure.lock() {
                            failure.get_or_insert(error);
                        }
                    }
                }
            });
        }
    });
    match failure.into_inner() {
        Ok(Some(error)) => Err(error),
        _ => Ok(()),
    }
}
