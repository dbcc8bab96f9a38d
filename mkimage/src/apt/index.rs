//! The package index (`Packages`): borrowed from its text, looked up by name.

use super::deb822;
use super::relation::{self, Relation};
use super::version::Version;
use crate::hash::Sha256;
use std::collections::{BTreeSet, HashMap};

/// Why an index was refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A line that is not deb822.
    #[error("the package index is malformed: {0}")]
    Syntax(#[from] deb822::SyntaxError),
    /// A package lacks a field or has nonsense in it.
    #[error("the package index is malformed: package `{package}`: field `{field}`")]
    Field {
        /// The package's name, as far as known.
        package: String,
        /// The field.
        field: &'static str,
    },
}

/// Which archive a package comes from; decides the root its path is relative to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Archive {
    /// The main archive.
    #[default]
    Main,
    /// The security archive.
    Security,
}

/// One package of the index. Relation fields stay text until asked for.
#[derive(Debug, Clone)]
pub struct Package<'a> {
    /// Name.
    pub name: &'a str,
    /// Version.
    pub version: Version<'a>,
    /// Architecture, or `all`.
    pub arch: &'a str,
    /// Path of the .deb below the archive's root.
    pub filename: &'a str,
    /// Size of the .deb in bytes.
    pub size: u64,
    /// Hash of the .deb.
    pub sha256: Sha256,
    /// The archive it comes from.
    pub archive: Archive,
    /// Whether every system has it: packages needn't say that they depend on it.
    pub essential: bool,
    /// How much a system needs it: `required`, `important`, `standard` or `optional`.
    pub priority: &'a str,
    depends: &'a str,
    pre_depends: &'a str,
    provides: &'a str,
    conflicts: &'a str,
    breaks: &'a str,
}

/// Groups of alternatives.
pub type Groups<'a> = Vec<Vec<Relation<'a>>>;

impl<'a> Package<'a> {
    fn from_stanza(stanza: &deb822::Stanza<'a>, archive: Archive) -> Result<Self, Error> {
        let name = stanza.get("Package").unwrap_or_default();
        let need = |field: &'static str| {
            let missing = || Error::Field { package: name.to_owned(), field };
            stanza.get(field).filter(|value| !value.is_empty()).ok_or_else(missing)
        };
        let wrong = |field| Error::Field { package: name.to_owned(), field };
        let text = |field| stanza.get(field).unwrap_or_default();
        let filename = need("Filename")?;
        if filename.starts_with('/') || filename.split('/').any(|part| part == "..") {
            return Err(wrong("Filename"));
        }
        Ok(Self {
            name: need("Package")?,
            version: Version::new(need("Version")?),
            arch: need("Architecture")?,
            filename,
            size: need("Size")?.parse().map_err(|_| wrong("Size"))?,
            sha256: need("SHA256")?.parse().map_err(|_| wrong("SHA256"))?,
            archive,
            essential: text("Essential") == "yes",
            priority: text("Priority"),
            depends: text("Depends"),
            pre_depends: text("Pre-Depends"),
            provides: text("Provides"),
            conflicts: text("Conflicts"),
            breaks: text("Breaks"),
        })
    }

    /// The rank of its priority: the more a system needs it, the smaller.
    pub fn importance(&self) -> usize {
        const RANKS: [&str; 4] = ["required", "important", "standard", "optional"];
        RANKS.iter().position(|rank| *rank == self.priority).unwrap_or(RANKS.len())
    }

    /// What must be there too: pre-dependencies, then dependencies.
    ///
    /// # Errors
    /// [`Error::Field`] when a relation can't be read.
    pub fn dependencies(&self) -> Result<Groups<'a>, Error> {
        let mut groups = self.relations(self.pre_depends, "Pre-Depends")?;
        groups.extend(self.relations(self.depends, "Depends")?);
        Ok(groups)
    }

    /// What must not be there: conflicts and breaks, one relation each.
    ///
    /// # Errors
    /// [`Error::Field`] when a relation can't be read.
    pub fn conflicts(&self) -> Result<Vec<Relation<'a>>, Error> {
        let mut groups = self.relations(self.conflicts, "Conflicts")?;
        groups.extend(self.relations(self.breaks, "Breaks")?);
        Ok(groups.into_iter().flatten().collect())
    }

    /// The virtual packages that this one provides.
    ///
    /// # Errors
    /// [`Error::Field`] when a relation can't be read.
    pub fn provides(&self) -> Result<Vec<Relation<'a>>, Error> {
        Ok(self.relations(self.provides, "Provides")?.into_iter().flatten().collect())
    }

    fn relations(&self, text: &'a str, field: &'static str) -> Result<Groups<'a>, Error> {
        relation::parse(text).map_err(|_| Error::Field { package: self.name.to_owned(), field })
    }
}

/// Number of a package in its index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PackageId(usize);

/// All packages of the suites that a recipe uses.
#[derive(Debug, Default)]
pub struct Index<'a> {
    packages: Vec<Package<'a>>,
    by_name: HashMap<&'a str, Vec<PackageId>>,
    providers: HashMap<&'a str, Vec<(PackageId, Option<Version<'a>>)>>,
}

impl<'a> Index<'a> {
    /// Adds the packages of one verified index text that fit an architecture.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn add(&mut self, text: &'a str, arch: &str, archive: Archive) -> Result<(), Error> {
        for stanza in deb822::stanzas(text) {
            let package = Package::from_stanza(&stanza?, archive)?;
            if package.arch != arch && package.arch != "all" {
                continue;
            }
            let id = PackageId(self.packages.len());
            for provided in package.provides()? {
                let version = provided.constraint.map(|(_, version)| version);
                self.providers.entry(provided.name).or_default().push((id, version));
            }
            self.by_name.entry(package.name).or_default().push(id);
            self.packages.push(package);
        }
        Ok(())
    }

    /// The package with a number; `None` for a number of another index.
    pub fn get(&self, id: PackageId) -> Option<&Package<'a>> {
        self.packages.get(id.0)
    }

    /// All versions of a real package.
    pub fn versions(&self, name: &str) -> &[PackageId] {
        self.by_name.get(name).map_or(&[], Vec::as_slice)
    }

    /// The newest version of a real package; of equals, the first.
    pub fn newest(&self, name: &str) -> Option<PackageId> {
        let version = |id: &PackageId| self.get(*id).map(|package| package.version);
        self.versions(name).iter().copied().rev().max_by(|a, b| version(a).cmp(&version(b)))
    }

    /// The packages that satisfy a relation by providing its name, not by bearing it.
    pub fn providers(&self, relation: &Relation<'_>) -> Vec<PackageId> {
        let all = self.providers.get(relation.name).map_or(&[][..], Vec::as_slice);
        let fits = |version: &Option<Version<'_>>| match version {
            Some(version) => relation.allows(*version),
            None => relation.constraint.is_none(),
        };
        all.iter().filter(|(_, version)| fits(version)).map(|(id, _)| *id).collect()
    }

    /// Names close to a wrong one, for messages.
    pub fn similar(&self, name: &str) -> Option<&'a str> {
        crate::suggest::nearest(name, self.by_name.keys().copied())
    }

    /// Names of the packages that every system has: the essential ones, and those of priority
    /// `required`.
    pub fn required(&self) -> BTreeSet<&'a str> {
        let needed = |package: &&Package<'_>| package.essential || package.priority == "required";
        self.packages.iter().filter(needed).map(|package| package.name).collect()
    }

    /// All packages with their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (PackageId, &Package<'a>)> {
        self.packages.iter().enumerate().map(|(at, package)| (PackageId(at), package))
    }

    /// Number of packages.
    pub fn len(&self) -> usize {
        self.packages.len()
    }

    /// Whether there is no package.
    pub fn is_empty(&self) -> bool {
        self.packages.is_empty()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A stanza with the fields that every package has.
    pub fn stanza(name: &str, version: &str, more: &str) -> String {
        let sha = Sha256::of(name.as_bytes());
        format!(
            "Package: {name}\nVersion: {version}\nArchitecture: amd64\nFilename: pool/{name}.deb\n\
             Size: 1\nSHA256: {sha}\n{more}\n"
        )
    }

    #[test]
    fn lookup_and_providers() {
        let text = [
            stanza("mta-a", "1", "Provides: mta\n"),
            stanza("mta-b", "1", "Provides: mta (= 2), other\n"),
        ]
        .concat();
        let mut index = Index::default();
        index.add(&text, "amd64", Archive::Main).unwrap();
        assert_eq!(index.versions("mta-a").len(), 1);
        let relations = relation::parse("mta, mta (>= 2), mta (>= 3)").unwrap();
        let counts: Vec<usize> = relations.iter().map(|r| index.providers(&r[0]).len()).collect();
        assert_eq!(counts, [2, 1, 0]);
        assert_eq!(index.similar("mta-c"), Some("mta-a"));
    }

    #[test]
    fn every_system_has_the_required_ones() {
        let text = [
            stanza("a", "1", "Essential: yes\n"),
            stanza("b", "1", "Priority: required\n"),
            stanza("c", "1", "Priority: important\nEssential: no\n"),
        ]
        .concat();
        let mut index = Index::default();
        index.add(&text, "amd64", Archive::Main).unwrap();
        assert_eq!(index.required().into_iter().collect::<Vec<_>>(), ["a", "b"]);
    }

    #[test]
    fn a_bad_field_is_named() {
        let text = stanza("a", "1", "").replace("Size: 1", "Size: one");
        let error = Index::default().add(&text, "amd64", Archive::Main).unwrap_err().to_string();
        assert!(error.contains("`a`") && error.contains("`Size`"), "{error}");
    }

    #[test]
    fn paths_out_of_the_archive_are_refused() {
        let text = stanza("a", "1", "").replace("pool/a.deb", "../../etc/a.deb");
        assert!(Index::default().add(&text, "amd64", Archive::Main).is_err());
    }
}
