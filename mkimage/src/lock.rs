//! Lock files: exactly which packages a recipe means. Written beside the recipe by
//! `mkimage lock`; they name no mirror.

use crate::apt::index::{Archive, Package};
use crate::fs;
use crate::hash::{Hasher, Sha256};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

const FORMAT: u32 = 1;

/// One pinned package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Locked {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Architecture, or `all`.
    pub arch: String,
    /// Path below the archive's root.
    pub filename: String,
    /// Size in bytes.
    pub size: u64,
    /// Content hash.
    pub sha256: Sha256,
    /// Which archive the path belongs to.
    #[serde(default, skip_serializing_if = "is_main")]
    pub archive: Archive,
}

fn is_main(archive: &Archive) -> bool {
    *archive == Archive::Main
}

impl From<&Package<'_>> for Locked {
    fn from(package: &Package<'_>) -> Self {
        Self {
            name: package.name.to_owned(),
            version: package.version.to_string(),
            arch: package.arch.to_owned(),
            filename: package.filename.to_owned(),
            size: package.size,
            sha256: package.sha256,
            archive: package.archive,
        }
    }
}

/// A suite that the lock was made from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LockedSuite {
    /// Its name.
    pub name: String,
    /// Date of its signed release.
    pub date: String,
}

/// A lock file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lock {
    format: u32,
    /// Digest of the part of the recipe that the lock answers.
    pub request: Sha256,
    /// The suites, in the recipe's order.
    #[serde(rename = "suite", default)]
    pub suites: Vec<LockedSuite>,
    /// The packages, sorted by name.
    #[serde(rename = "package", default)]
    pub packages: Vec<Locked>,
}

/// Why a lock can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is none.
    #[error("{} is missing; run `mkimage lock {recipe}` to make it", .path.display())]
    Missing {
        /// Where it should be.
        path: PathBuf,
        /// The recipe's name.
        recipe: String,
    },
    /// It isn't a lock.
    #[error("{}: {reason}; run `mkimage lock {recipe}` to make it anew", .path.display())]
    Malformed {
        /// The lock file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
        /// The recipe's name.
        recipe: String,
    },
    /// The recipe asks for other packages by now.
    #[error(
        "{} doesn't fit its recipe any more: suites or packages were changed; run \
         `mkimage lock {recipe}`", .path.display()
    )]
    Stale {
        /// The lock file.
        path: PathBuf,
        /// The recipe's name.
        recipe: String,
    },
    /// It can't be read or written.
    #[error(transparent)]
    File(#[from] fs::Error),
}

impl Lock {
    /// A lock of these packages.
    pub fn new(request: Sha256, suites: Vec<LockedSuite>, packages: Vec<Locked>) -> Self {
        Self { format: FORMAT, request, suites, packages }
    }

    /// Parses a lock file's text.
    ///
    /// # Errors
    /// The reason in words.
    pub fn parse(text: &str) -> Result<Self, String> {
        let lock: Self = toml::from_str(text).map_err(|error| error.to_string())?;
        if lock.format != FORMAT {
            return Err(format!("lock format {} is not known, only {FORMAT}", lock.format));
        }
        for package in &lock.packages {
            let path = &package.filename;
            let escapes = path.starts_with('/') || path.split('/').any(|part| part == "..");
            if escapes || !path.ends_with(".deb") {
                return Err(format!("package `{}` has the odd path `{path}`", package.name));
            }
        }
        Ok(lock)
    }

    /// Reads the lock of a recipe and checks that it answers the recipe's present request.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path, recipe: &str, request: Sha256) -> Result<Self, Error> {
        let (path, recipe) = (path.to_owned(), recipe.to_owned());
        if !path.exists() {
            return Err(Error::Missing { path, recipe });
        }
        match Self::parse(&fs::read_text(&path)?) {
            Ok(lock) if lock.request == request => Ok(lock),
            Ok(_) => Err(Error::Stale { path, recipe }),
            Err(reason) => Err(Error::Malformed { path, reason, recipe }),
        }
    }

    /// The lock file's text.
    pub fn to_text(&self) -> String {
        let body = toml::to_string(self).unwrap_or_default();
        format!("# Written by `mkimage lock`; change the recipe instead.\n{body}")
    }

    /// Names what is unpacked from this lock: it depends on nothing but the packages' content.
    pub fn digest(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        for package in &self.packages {
            hasher.part(&package.name).part(package.sha256.bytes());
        }
        hasher.finish()
    }

    /// The package with a name.
    pub fn find(&self, name: &str) -> Option<&Locked> {
        self.packages.iter().find(|package| package.name == name)
    }

    /// What changed since an earlier lock, one line each.
    pub fn changes_since(&self, old: Option<&Self>) -> Vec<String> {
        let old_packages = old.map_or(&[][..], |old| &old.packages);
        let mut lines = Vec::new();
        for new in &self.packages {
            match old_packages.iter().find(|package| package.name == new.name) {
                None => lines.push(format!("+ {} {}", new.name, new.version)),
                Some(old) if old.version != new.version => {
                    lines.push(format!("~ {} {} -> {}", new.name, old.version, new.version));
                }
                Some(old) if old.sha256 != new.sha256 => {
                    lines.push(format!("~ {} {}: other content", new.name, new.version));
                }
                Some(_) => {}
            }
        }
        let gone = old_packages.iter().filter(|package| self.find(&package.name).is_none());
        lines.extend(gone.map(|package| format!("- {} {}", package.name, package.version)));
        lines
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn locked(name: &str, version: &str) -> Locked {
        Locked {
            name: name.to_owned(),
            version: version.to_owned(),
            arch: "amd64".to_owned(),
            filename: format!("pool/{name}_{version}.deb"),
            size: 7,
            sha256: Sha256::of(version.as_bytes()),
            archive: Archive::Main,
        }
    }

    fn lock(packages: Vec<Locked>) -> Lock {
        let suite = LockedSuite { name: "trixie".to_owned(), date: "today".to_owned() };
        Lock::new(Sha256::of(b"request"), vec![suite], packages)
    }

    #[test]
    fn text_round_trips() {
        let mut security = locked("b", "2");
        security.archive = Archive::Security;
        let lock = lock(vec![locked("a", "1"), security]);
        assert_eq!(Lock::parse(&lock.to_text()).unwrap(), lock);
    }

    #[test]
    fn refusals() {
        let good = lock(vec![locked("a", "1")]).to_text();
        for (from, to, reason) in [
            ("format = 1", "format = 9", "format 9"),
            ("pool/a_1.deb", "../../a.deb", "odd path"),
            ("size = 7", "size = \"7\"", "size"),
            ("name = \"a\"", "nome = \"a\"", "nome"),
        ] {
            let error = Lock::parse(&good.replace(from, to)).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }

    #[test]
    fn missing_and_stale() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.lock");
        let request = Sha256::of(b"request");
        let error = Lock::read(&path, "x", request).unwrap_err().to_string();
        assert!(error.contains("mkimage lock x"), "{error}");
        fs::write(&path, lock(vec![]).to_text()).unwrap();
        assert!(Lock::read(&path, "x", request).is_ok());
        assert!(matches!(Lock::read(&path, "x", Sha256::of(b"")), Err(Error::Stale { .. })));
    }

    #[test]
    fn changes() {
        let old = lock(vec![locked("a", "1"), locked("b", "1")]);
        let new = lock(vec![locked("a", "2"), locked("c", "1")]);
        assert_eq!(new.changes_since(Some(&old)), ["~ a 1 -> 2", "+ c 1", "- b 1"]);
        assert_ne!(old.digest(), new.digest());
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_survived(text in "(format = 1|\\[\\[package\\]\\]|name = \"a\"|size = [0-9]+|\n|[a-z= \"]){0,20}") {
            let _ = Lock::parse(&text);
        }
    }
}
