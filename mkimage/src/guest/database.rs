//! dpkg's database of a system whose packages are unpacked and not yet configured.

use super::package::Package;
use super::unpack::Unpacked;
use crate::fs;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

/// Where it is, below the root.
const PLACE: &str = "var/lib/dpkg";
/// Control files that dpkg keeps elsewhere.
const KEPT_ELSEWHERE: [&str; 1] = ["control"];

/// Writes the database of some packages.
///
/// # Errors
/// When a file can't be written.
pub fn write(root: &Path, packages: &[(&Package, &Unpacked)]) -> fs::Result<()> {
    let base = root.join(PLACE);
    for folder in ["info", "triggers", "updates", "alternatives", "parts"] {
        fs::create_dir(&base.join(folder))?;
        fs::set_mode(&base.join(folder), 0o755)?;
    }
    let mut status = String::new();
    let mut triggers = Triggers::default();
    for (package, unpacked) in packages {
        status += &stanza(package);
        let name = info_name(package);
        let info = |suffix: &str| base.join("info").join(format!("{name}.{suffix}"));
        write_file(&info("list"), unpacked.paths.join("\n") + "\n")?;
        for file in &package.files {
            if !KEPT_ELSEWHERE.contains(&file.name.as_str()) {
                let path = info(&file.name);
                fs::write(&path, &file.bytes)?;
                fs::set_mode(&path, if file.executable { 0o755 } else { 0o644 })?;
            }
        }
        triggers.add(&package.name, package.text("triggers").unwrap_or_default());
    }
    write_file(&base.join("status"), status)?;
    write_file(&base.join("available"), "")?;
    write_file(&base.join("info/format"), "1\n")?;
    for (name, text) in &triggers.files {
        write_file(&base.join("triggers").join(name), text)?;
    }
    Ok(())
}

/// Writes a file that everybody may read, whoever builds.
fn write_file(path: &Path, bytes: impl AsRef<[u8]>) -> fs::Result<()> {
    fs::write(path, bytes)?;
    fs::set_mode(path, 0o644)
}

/// What files about a package are called: several architectures of some can be there.
fn info_name(package: &Package) -> String {
    match (package.field("Multi-Arch"), package.field("Architecture")) {
        (Some("same"), Some(arch)) => format!("{}:{arch}", package.name),
        _ => package.name.clone(),
    }
}

/// A package's entry in the list of all.
fn stanza(package: &Package) -> String {
    let mut text = String::new();
    for line in package.control.trim_end().lines() {
        text += line;
        text += "\n";
        if line.starts_with("Package:") {
            text += "Status: install ok unpacked\n";
        }
    }
    let conffiles = package.text("conffiles").unwrap_or_default();
    let mut lines = conffiles.lines().map(str::trim).filter(|line| !line.is_empty()).peekable();
    if lines.peek().is_some() {
        text += "Conffiles:\n";
        for line in lines {
            // A hash that no file has: dpkg takes the file's own when it configures the package.
            let _ = match line.strip_prefix("remove-on-upgrade ") {
                Some(path) => writeln!(text, " {path} newconffile remove-on-upgrade"),
                None => writeln!(text, " {line} newconffile"),
            };
        }
    }
    text + "\n"
}

/// Who wants to be called when something happens, by the file that says so.
#[derive(Debug, Default)]
struct Triggers {
    files: BTreeMap<String, String>,
}

impl Triggers {
    /// Adds what a package's `triggers` file is interested in.
    fn add(&mut self, package: &str, text: &str) {
        for line in text.lines() {
            let line = line.split('#').next().unwrap_or_default();
            let mut words = line.split_whitespace();
            let (Some(verb), Some(what)) = (words.next(), words.next()) else { continue };
            let no_wait = match verb {
                "interest" | "interest-await" => "",
                "interest-noawait" => "/noawait",
                _ => continue,
            };
            if what.starts_with('/') {
                let file = self.files.entry("File".to_owned()).or_default();
                *file += &format!("{what} {package}{no_wait}\n");
            } else if !what.contains('/') {
                let file = self.files.entry(what.to_owned()).or_default();
                *file += &format!("{package}{no_wait}\n");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::package::ControlFile;
    use super::super::package::tests::package;
    use super::*;

    #[test]
    fn entries_as_dpkg_writes_them() {
        let folder = tempfile::tempdir().unwrap();
        let mut lib = package(
            "Package: lib\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1\nDescription: a\n b\n",
            false,
        );
        let file = |name: &str, text: &str| ControlFile {
            name: name.to_owned(),
            bytes: text.as_bytes().to_vec(),
            executable: name == "postinst",
        };
        lib.files.push(file("conffiles", "/etc/a\nremove-on-upgrade /etc/b\n"));
        lib.files.push(file(
            "triggers",
            "# c\ninterest-noawait /usr/lib\ninterest ldconfig\nactivate x\n",
        ));
        lib.files.push(file("postinst", "#!/bin/sh\n"));
        let unpacked = Unpacked { paths: vec!["/.".into(), "/etc".into()], owners: vec![] };
        write(folder.path(), &[(&lib, &unpacked)]).unwrap();
        let read = |path: &str| fs::read_text(&folder.path().join(PLACE).join(path)).unwrap();
        assert_eq!(
            read("status"),
            "Package: lib\nStatus: install ok unpacked\nArchitecture: amd64\nMulti-Arch: same\n\
             Version: 1\nDescription: a\n b\nConffiles:\n /etc/a newconffile\n \
             /etc/b newconffile remove-on-upgrade\n\n"
        );
        assert_eq!(read("info/lib:amd64.list"), "/.\n/etc\n");
        assert_eq!(read("triggers/File"), "/usr/lib lib/noawait\n");
        assert_eq!(read("triggers/ldconfig"), "lib\n");
        assert!(!folder.path().join(PLACE).join("triggers/x").exists());
    }
}
