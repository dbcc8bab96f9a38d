//! A Debian system whose own programs a test runs: the packages of `recipes/mmdebstrap.toml`, as
//! they were packed, in mkimage's sandbox. None of them was configured; the programs that are run
//! here don't mind.

use crate::images;
use crate::workbench::Folder;
use mkimage::deb;
use mkimage::error::Error;
use mkimage::guest::package::Package;
use mkimage::guest::sandbox::Sandbox;
use mkimage::lock::Locked;
use mkimage::net::cache::Cache;
use mkimage::tools::Tools;
use std::fmt::Write;
use std::path::{Path, PathBuf};

const RECIPE: &str = "mmdebstrap";
/// What configuring the packages would have made.
const PREPARE: &str = "
cp /usr/share/base-passwd/passwd.master /etc/passwd
cp /usr/share/base-passwd/group.master /etc/group
ln -sf mawk /usr/bin/awk
echo localhost >/etc/hostname
: >/etc/resolv.conf
mkdir -p /var/tmp
chmod 1777 /var/tmp
ldconfig
";

/// An unpacked system; removed when dropped.
#[derive(Debug)]
pub struct Debian {
    tools: Tools,
    folder: Folder,
}

impl Debian {
    /// Fetches and unpacks the packages; `name` must be the only one of its kind in the process.
    pub fn new(name: &str) -> Self {
        let project = images::project();
        let debs = project.recipe(RECIPE).and_then(|recipe| {
            let lock = project.lock(&recipe)?;
            Ok(project.archive()?.fetch(RECIPE, &lock.packages)?)
        });
        let debs = debs.unwrap_or_else(|error| panic!("{RECIPE} can't be fetched: {error}"));
        let tools = project.tools().unwrap_or_else(|error| panic!("{error}"));
        let debian = Self { tools, folder: Folder::new(name) };
        let root = debian.root();
        deb::prepare_root(&root).unwrap_or_else(|error| panic!("{error}"));
        for package in &debs {
            deb::unpack(package, &root, &|_| true).unwrap_or_else(|error| panic!("{error}"));
        }
        debian.run("preparing a Debian system", PREPARE);
        debian
    }

    fn root(&self) -> PathBuf {
        self.folder.file("root")
    }

    /// The host's path of a file of the system.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    /// Runs a script as the system's root, without network; returns what it printed.
    pub fn run(&self, what: &str, script: &str) -> String {
        let (root, log) = (self.root(), self.folder.file("log"));
        let sandbox = Sandbox::new(&self.tools, &root, &log);
        let said = sandbox.run(what, script, |output| {
            let mut text = String::new();
            output.read_to_string(&mut text).map(|_| text)
        });
        said.unwrap_or_else(|error| panic!("{error}"))
    }
}

impl Drop for Debian {
    fn drop(&mut self) {
        // Best effort: some files belong to users that only the sandbox has.
        let _ = Sandbox::new(&self.tools, &self.root(), &self.folder.file("log")).empty();
    }
}

/// Lays locked packages of a cache out as an archive that apt reads: in one folder, unsigned.
///
/// # Errors
/// When a package isn't there, or damaged.
pub fn archive(cache: &Cache, packages: &[Locked], folder: &Path) -> Result<(), Error> {
    mkimage::fs::create_dir(folder)?;
    let mut index = String::new();
    for package in packages {
        let deb = cache.blob(package.sha256);
        let control = Package::read(&deb)?.control;
        let name = package.filename.rsplit('/').next().unwrap_or_default();
        mkimage::fs::copy(&deb, &folder.join(name))?;
        // Writing to a string can't fail.
        let _ = write!(
            index,
            "{}\nFilename: ./{name}\nSize: {}\nSHA256: {}\n\n",
            control.trim_end(),
            package.size,
            package.sha256
        );
    }
    Ok(mkimage::fs::write(&folder.join("Packages"), index)?)
}
