//! The project's own binaries: built by cargo, with the flags that each needs, into a target
//! folder of their own so that other builds keep their caches.

use crate::error::Error;
use crate::fs;
use crate::progress;
use crate::project::Project;
use crate::scratch::Scratch;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where binaries are built, below the project.
const FOLDER: &str = "target/appliance";
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// Variables that cargo and rustup set for their children, or that would change flags: with them
/// a build would differ between `cargo mkimage` and `cargo test`.
const DROPPED: [&str; 9] = [
    "RUSTFLAGS",
    "CARGO_ENCODED_RUSTFLAGS",
    "CARGO_BUILD_RUSTFLAGS",
    "CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS",
    "CARGO_BUILD_TARGET",
    "CARGO_TARGET_DIR",
    "LD_LIBRARY_PATH",
    "OUT_DIR",
    "CARGO_CRATE_NAME",
];
const DROPPED_PREFIXES: [&str; 4] =
    ["CARGO_PKG_", "CARGO_MANIFEST_", "CARGO_BIN_", "CARGO_PROFILE_"];

/// The appliance's own binaries.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The hypervisor's ELF file.
    pub hypervisor: PathBuf,
    /// The control domain's PID 1.
    pub dom0_init: PathBuf,
}

impl Binaries {
    /// Builds them in a folder, with nothing that other builds left.
    ///
    /// # Errors
    /// See [`hypervisor`] and [`dom0_init`].
    pub fn build_in(project: &Project, folder: &Path) -> Result<Self, Error> {
        let hypervisor = hypervisor_in(project, folder)?;
        Ok(Self { hypervisor, dom0_init: dom0_init_in(project, folder)? })
    }
}

/// Builds the hypervisor, unless that is done; returns its ELF file, which has a symbol table for
/// backtraces and nothing that isn't loaded.
///
/// # Errors
/// When cargo fails, or the symbols don't fit.
pub fn hypervisor(project: &Project) -> Result<PathBuf, Error> {
    hypervisor_in(project, &place(project))
}

fn hypervisor_in(project: &Project, folder: &Path) -> Result<PathBuf, Error> {
    let config = project.root().join("hypervisor/build.toml");
    let profile = ["--profile", "hypervisor", "--config"];
    let (package, config) = ("hypervisor", Some(config));
    let linked =
        Build { project, folder, package, profile: &profile, config, flags: &[] }.binary()?;
    let image = hv_symbols::embed(&fs::read(&linked)?).map_err(|error| Error::Artifact {
        package: "hypervisor".to_owned(),
        reason: error.to_string(),
    })?;
    let target = folder.join("hypervisor.elf");
    // Unchanged content keeps its file: others may have it open.
    if fs::read(&target).is_ok_and(|old| old == image) {
        return Ok(target);
    }
    let scratch = Scratch::new(&target)?;
    fs::write(scratch.path(), image)?;
    scratch.finish()?;
    Ok(target)
}

/// Builds the control domain's PID 1, unless that is done; returns its static binary.
///
/// # Errors
/// When cargo fails; it has said why by then.
pub fn dom0_init(project: &Project) -> Result<PathBuf, Error> {
    dom0_init_in(project, &place(project))
}

fn dom0_init_in(project: &Project, folder: &Path) -> Result<PathBuf, Error> {
    let (profile, flags) = (["--profile", "appliance"], ["-Ctarget-feature=+crt-static"]);
    let package = "dom0-init";
    Build { project, folder, package, profile: &profile, config: None, flags: &flags }.binary()
}

/// Where binaries are built.
fn place(project: &Project) -> PathBuf {
    project.root().join(FOLDER)
}

/// Paths out of the binaries, which are the same wherever the checkout lies.
fn remaps(project: &Project) -> Vec<String> {
    let home = std::env::var("CARGO_HOME")
        .ok()
        .or_else(|| std::env::var("HOME").ok().map(|home| format!("{home}/.cargo")));
    let mut pairs = vec![(project.root().display().to_string(), "/xenolith")];
    pairs.extend(home.map(|home| (home, "/cargo")));
    pairs.into_iter().map(|(from, to)| format!("--remap-path-prefix={from}={to}")).collect()
}

/// A crate that a binary of the project is made of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Crate {
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Its licence, as an expression of SPDX; empty when it has only a text.
    pub licence: String,
}

/// The crates whose code is in a package's binary.
///
/// # Errors
/// When cargo fails.
pub fn crates(project: &Project, package: &str) -> Result<Vec<Crate>, Error> {
    let mut command = cargo(project);
    command.args(["tree", "--locked", "--package", package, "--target", TARGET]);
    command.args(["--edges", "normal,no-proc-macro", "--prefix", "none", "--no-dedupe"]);
    command.args(["--format", "{p}|{l}"]);
    let text = run(&mut command, package)?;
    let mut all: Vec<Crate> = text.lines().filter_map(listed).collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// A line `NAME vVERSION (PLACE)|LICENCE` of `cargo tree`.
fn listed(line: &str) -> Option<Crate> {
    let (package, licence) = line.split_once('|')?;
    let mut words = package.split(' ');
    let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
    // As it was written before there were expressions.
    let licence = licence.replace('/', " OR ");
    Some(Crate { name: name.to_owned(), version: version.to_owned(), licence })
}

/// Builds a package's binary for the machine, unless that is done; returns it.
///
/// # Errors
/// When cargo fails; it has said why by then.
pub fn build(
    project: &Project,
    package: &str,
    profile: &[&str],
    config: Option<PathBuf>,
    flags: &[&str],
) -> Result<PathBuf, Error> {
    Build { project, folder: &place(project), package, profile, config, flags }.binary()
}

/// Builds all binaries of a package for the machine, unless that is done; returns their folder.
///
/// # Errors
/// When cargo fails; it has said why by then.
pub fn build_all(
    project: &Project,
    package: &str,
    profile: &str,
    config: &str,
) -> Result<PathBuf, Error> {
    let arguments = ["--bins", "--profile", profile, "--config", config];
    let folder = place(project);
    Build { project, folder: &folder, package, profile: &arguments, config: None, flags: &[] }
        .run()?;
    Ok(folder.join(TARGET).join(profile))
}

/// What cargo is to build, and how.
struct Build<'a> {
    project: &'a Project,
    /// The target folder.
    folder: &'a Path,
    package: &'a str,
    profile: &'a [&'a str],
    /// More of cargo's configuration; the last of `profile` announces it.
    config: Option<PathBuf>,
    /// For the compiler.
    flags: &'a [&'a str],
}

impl Build<'_> {
    /// Builds; returns the package's binary.
    fn binary(&self) -> Result<PathBuf, Error> {
        let messages = self.run()?;
        let path = messages.lines().rev().find_map(|line| executable(line, self.package));
        path.ok_or_else(|| Error::Artifact {
            package: self.package.to_owned(),
            reason: "cargo built no binary of that name".to_owned(),
        })
    }

    /// Builds; returns cargo's messages.
    fn run(&self) -> Result<String, Error> {
        let mut command = cargo(self.project);
        command.args(["build", "--package", self.package]).args(self.profile);
        command.args(&self.config).args(["--target", TARGET]);
        command.arg("--target-dir").arg(self.folder);
        let mut flags: Vec<String> = self.flags.iter().map(|flag| (*flag).to_owned()).collect();
        flags.extend(remaps(self.project));
        // A list in --config is joined to the one in a --config file before it.
        let list = toml::Value::from(flags).to_string();
        command.arg("--config").arg(format!("build.rustflags={list}"));
        command.args(["--message-format", "json-render-diagnostics"]);
        if !progress::is_verbose() {
            command.arg("--quiet");
        }
        run(&mut command, self.package)
    }
}

/// Cargo, as if nobody else's build had started it.
fn cargo(project: &Project) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(project.root());
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if DROPPED.contains(&text.as_ref()) || DROPPED_PREFIXES.iter().any(|p| text.starts_with(p))
        {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs cargo; returns its messages.
fn run(command: &mut Command, package: &str) -> Result<String, Error> {
    progress::detail(&format!("running {command:?}"));
    let _step = progress::Step::spinner(&format!("building {package}"));
    let failed = |reason: String| Error::Artifact { package: package.to_owned(), reason };
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .map_err(|error| failed(format!("cargo can't be started: {error}")))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(failed(format!("cargo failed ({}):\n{}", output.status, said.trim_end())));
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The `executable` of a cargo message about the package's own binary.
fn executable(line: &str, name: &str) -> Option<PathBuf> {
    let message: serde_json::Value = serde_json::from_str(line).ok()?;
    let target = message.get("target")?;
    let kinds = target.get("kind")?.as_array()?;
    let ours = target.get("name")?.as_str()? == name && kinds.iter().any(|kind| kind == "bin");
    ours.then(|| message.get("executable")?.as_str().map(PathBuf::from)).flatten()
}

/// A binary given by the user instead of one that is built.
///
/// # Errors
/// When the file doesn't exist.
pub fn given(path: &std::path::Path) -> Result<PathBuf, Error> {
    use fs::Context;
    Ok(path.canonicalize().at("find", path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_crates() {
        let read = listed("a-b v1.2.3 (/work/a)|MIT/Apache-2.0").unwrap();
        assert_eq!((read.name.as_str(), read.version.as_str()), ("a-b", "1.2.3"));
        assert_eq!(read.licence, "MIT OR Apache-2.0");
        assert_eq!(listed("a v1|").unwrap().licence, "");
        assert_eq!(listed("[dev-dependencies]"), None);
    }

    #[test]
    fn crates_of_the_hypervisor() {
        let project = Project::find(crate::project::Options::from_environment()).unwrap();
        let all = crates(&project, "hypervisor").unwrap();
        let licence = |name: &str| all.iter().find(|one| one.name == name).map(|one| &*one.licence);
        assert_eq!(licence("xen-abi"), Some("MIT OR Apache-2.0"));
        assert_eq!(licence("mkimage"), None);
    }

    #[test]
    fn cargo_messages() {
        let line = r#"{"reason":"compiler-artifact","target":{"kind":["bin"],"name":"hv"},"executable":"/t/hv"}"#;
        assert_eq!(executable(line, "hv"), Some(PathBuf::from("/t/hv")));
        assert_eq!(executable(line, "other"), None);
        assert_eq!(executable(&line.replace("bin", "lib"), "hv"), None);
        assert_eq!(executable("warning: text", "hv"), None);
    }
}
