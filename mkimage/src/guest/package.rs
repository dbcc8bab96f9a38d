//! What a package says about itself: its control archive, read before anything is unpacked.

use crate::apt::{deb822, relation};
use crate::deb::{self, Part};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// A control archive is small; one that isn't is no Debian package's.
const LIMIT: u64 = 64 << 20;

/// A package that is to be installed.
#[derive(Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// The .deb.
    pub path: PathBuf,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Its description: the fields of the control file.
    pub control: String,
    /// The other files of its control archive, by name: scripts, lists, triggers.
    pub files: Vec<ControlFile>,
    /// Names that it bears: its own and the virtual ones.
    pub names: Vec<String>,
    /// Groups of alternatives that must be configured before it is unpacked.
    pub pre_depends: Vec<Vec<String>>,
    /// Groups of alternatives that must be configured before it is.
    pub depends: Vec<Vec<String>>,
    /// Whether the system can't do without it.
    pub essential: bool,
}

/// A file of a control archive.
#[derive(Debug)]
pub struct ControlFile {
    /// Its name, such as `postinst`.
    pub name: String,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it is a script.
    pub executable: bool,
}

impl Package {
    /// Reads a package's control archive.
    ///
    /// # Errors
    /// When the package is damaged.
    pub fn read(path: &Path) -> Result<Self, deb::Error> {
        let mut all = Vec::new();
        deb::with_part(path, Part::Control, path, &mut |data| read_files(data, &mut all))?;
        let damaged = |reason: String| deb::Error::Damaged { path: path.to_owned(), reason };
        let at = all.iter().position(|file| file.name == "control");
        let control =
            at.map(|at| all.swap_remove(at).bytes).and_then(|b| String::from_utf8(b).ok());
        let control = control.ok_or_else(|| damaged("it has no control file".to_owned()))?;
        all.sort_by(|a, b| a.name.cmp(&b.name));
        let size = path.metadata().map_or(0, |meta| meta.len());
        Self::parse(control, all, path, size).map_err(damaged)
    }

    /// Reads the control file's text.
    fn parse(
        control: String,
        files: Vec<ControlFile>,
        path: &Path,
        size: u64,
    ) -> Result<Self, String> {
        let stanza = deb822::stanzas(&control).next().and_then(Result::ok);
        let stanza = stanza.ok_or("its control file is malformed")?;
        let name = stanza.get("Package").ok_or("its control file names no package")?.to_owned();
        let groups = |field: &str| -> Result<Vec<Vec<String>>, String> {
            let text = stanza.get(field).unwrap_or_default();
            let groups = relation::parse(text).map_err(|error| format!("{field}: {error}"))?;
            let names = |group: Vec<relation::Relation<'_>>| {
                group.into_iter().map(|relation| relation.name.to_owned()).collect()
            };
            Ok(groups.into_iter().map(names).collect())
        };
        let mut names = vec![name.clone()];
        names.extend(groups("Provides")?.into_iter().flatten());
        let (pre_depends, depends) = (groups("Pre-Depends")?, groups("Depends")?);
        let essential = stanza.get("Essential") == Some("yes");
        let path = path.to_owned();
        Ok(Self { name, path, size, control, files, names, pre_depends, depends, essential })
    }

    /// A file of the control archive as text.
    pub fn text(&self, name: &str) -> Option<&str> {
        let file = self.files.iter().find(|file| file.name == name)?;
        std::str::from_utf8(&file.bytes).ok()
    }

    /// Whether a script prepares the ground before the package's files are there.
    pub fn prepares(&self) -> bool {
        self.files.iter().any(|file| file.name == "preinst")
    }

    /// Whether the initramfs is made of it, or as it says: kernels, their modules, hooks.
    pub fn shapes_initramfs(&self) -> bool {
        let lists = ["md5sums", "conffiles"].into_iter().filter_map(|name| self.text(name));
        let paths = lists.flat_map(str::lines).filter_map(|line| line.split_whitespace().last());
        let shaping = ["boot/vmlinuz-", "usr/lib/modules/"];
        paths.map(|path| path.trim_start_matches('/')).any(|path| {
            path.contains("/initramfs-tools/") || shaping.iter().any(|one| path.starts_with(one))
        })
    }

    /// A field of the control file.
    pub fn field(&self, name: &str) -> Option<&str> {
        deb822::stanzas(&self.control).next()?.ok()?.get(name)
    }
}

fn read_files(data: &mut dyn Read, all: &mut Vec<ControlFile>) -> io::Result<()> {
    let mut archive = tar::Archive::new(data.take(LIMIT));
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-+".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(io::Error::other(format!("`{name}` is no name of a control file")));
        }
        let executable = entry.header().mode()? & 0o111 != 0;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        all.push(ControlFile { name, bytes, executable });
    }
    Ok(())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A package with these fields and, if it has one, a preinst.
    pub fn package(fields: &str, prepares: bool) -> Package {
        let preinst = ControlFile { name: "preinst".into(), bytes: vec![], executable: true };
        let files = if prepares { vec![preinst] } else { vec![] };
        Package::parse(fields.to_owned(), files, Path::new("x.deb"), 1).unwrap()
    }

    #[test]
    fn fields() {
        let read = package(
            "Package: a\nEssential: yes\nProvides: v (= 1), w\nDepends: b (>= 2) | c, d:any\n",
            false,
        );
        assert_eq!(read.names, ["a", "v", "w"]);
        assert_eq!(read.depends, [vec!["b", "c"], vec!["d"]]);
        assert!(read.essential && !read.prepares() && read.pre_depends.is_empty());
        for wrong in ["", "Version: 1\n", "Package: a\nDepends: (\n"] {
            assert!(
                Package::parse(wrong.to_owned(), vec![], Path::new("x"), 1).is_err(),
                "{wrong}"
            );
        }
    }
}
