//! Recipes: what an image consists of, as TOML. The schema is these types; unknown keys are
//! errors, and every error names file, line and way out.

mod appliance;
mod guest;
mod size;

pub use appliance::{Appliance, Entry, EntryKind, Kernel, Layout, plain_arguments};
pub use guest::{Answer, FileSpec, Guest, Hook, Initramfs, Mode, PartitionTable, Units, User};
pub use size::Size;

use crate::fs;
use crate::glob::Globs;
use crate::hash::{Hasher, Sha256};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Why a recipe can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such recipe.
    #[error("there is no recipe `{name}` in {}; known are: {}", .folder.display(), .known.join(", "))]
    Unknown {
        /// What was asked for.
        name: String,
        /// Where recipes are kept.
        folder: PathBuf,
        /// The recipes that exist.
        known: Vec<String>,
    },
    /// TOML, a key or a value is wrong. The reason shows the line.
    #[error("{}: {reason}", .path.display())]
    Malformed {
        /// The recipe.
        path: PathBuf,
        /// Line and reason.
        reason: String,
    },
    /// A value is well-formed and means nothing.
    #[error("{}:{line}: {reason}", .path.display())]
    Value {
        /// The recipe.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// It can't be read.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// What a recipe makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Boot media of the hypervisor and its control domain.
    Appliance,
    /// A disk with a system for a virtual machine.
    Guest,
    /// A tree of programs that mkimage itself runs.
    Tools,
}

impl Kind {
    /// Its name in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Appliance => "appliance",
            Self::Guest => "guest",
            Self::Tools => "tools",
        }
    }
}

/// The archive that packages come from.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Base {
    /// Suites, e.g. `trixie`; a name ending in `-security` is looked up in the security archive.
    pub suites: Vec<String>,
    /// Components.
    #[serde(default = "main_only")]
    pub components: Vec<String>,
    /// Architecture.
    #[serde(default = "amd64")]
    pub arch: String,
}

fn main_only() -> Vec<String> {
    vec!["main".to_owned()]
}

fn amd64() -> String {
    "amd64".to_owned()
}

/// How one listed package is meant. A name with `*` lists nothing: it says how packages that fit
/// it are followed when another one brings them in.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PackageSpec {
    /// Only dependencies whose names match are followed; `[]` takes the package's files alone.
    /// Without it the whole closure is taken.
    pub follow: Option<Globs>,
}

/// A recipe: what an image consists of.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "Recipe")]
struct Text {
    /// A recipe beside this one, to which this one adds. Only guests inherit.
    inherits: Option<String>,
    /// What it makes; inherited unless given.
    kind: Option<Kind>,
    /// One line for people.
    #[serde(default)]
    description: String,
    /// Only the project's tests need it: `mkimage fetch` brings its packages when it is named.
    #[serde(default, rename = "tests-only")]
    tests_only: bool,
    /// The archive that packages come from.
    base: Option<Base>,
    /// The packages. A name with `*` says how packages that fit it are followed.
    #[serde(default)]
    #[schemars(with = "BTreeMap<String, PackageSpec>")]
    packages: BTreeMap<Spanned<String>, PackageSpec>,
    /// Patterns of packages that count as there already.
    #[serde(default)]
    exclude: Globs,
    /// Boot media of the hypervisor.
    appliance: Option<Appliance>,
    /// A system of its own.
    guest: Option<Guest>,
}

/// A recipe that was read and checked.
#[derive(Debug)]
pub struct Recipe {
    /// The file's stem.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it makes.
    pub kind: Kind,
    /// One line for people.
    pub description: String,
    /// Whether only the project's tests need it.
    pub tests_only: bool,
    /// The archive.
    pub base: Base,
    /// The packages, each with what is followed from it.
    pub packages: BTreeMap<String, PackageSpec>,
    /// Packages that count as there: nothing pulls them in.
    pub exclude: Globs,
    /// What kind `appliance` needs; `None` for the other kinds.
    pub appliance: Option<Appliance>,
    /// What kind `guest` needs; `None` for the other kinds.
    pub guest: Option<Guest>,
    /// The texts of the recipes that it inherits from.
    inherited: String,
    text: String,
    lines: BTreeMap<String, usize>,
}

impl Recipe {
    /// Reads `recipes/NAME.toml`; a path to a file is taken too.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn find(folder: &Path, name: &str) -> Result<Self, Error> {
        let given = Path::new(name);
        if given.extension().is_some_and(|extension| extension == "toml") && given.exists() {
            return Self::read(given);
        }
        let path = folder.join(format!("{name}.toml"));
        if !path.exists() || name.contains('/') {
            let known = known(folder);
            return Err(Error::Unknown { name: name.to_owned(), folder: folder.to_owned(), known });
        }
        Self::read(&path)
    }

    /// Reads a recipe file.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        Self::parse(path, fs::read_text(path)?)
    }

    /// Parses a recipe's text; the path is for its name, for messages, and for the recipes beside
    /// it that it inherits from.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn parse(path: &Path, text: String) -> Result<Self, Error> {
        Self::parse_below(path, text, &[])
    }

    /// As [`Self::parse`], for a recipe that others inherit from.
    fn parse_below(path: &Path, text: String, heirs: &[&str]) -> Result<Self, Error> {
        let malformed = |error: toml::de::Error| Error::Malformed {
            path: path.to_owned(),
            reason: error.to_string().trim_end().to_owned(),
        };
        let parsed: Text = toml::from_str(&text).map_err(malformed)?;
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let mut recipe = Self {
            name,
            path: path.to_owned(),
            // Until it is known to be there.
            kind: parsed.kind.unwrap_or(Kind::Guest),
            description: parsed.description,
            tests_only: parsed.tests_only,
            base: parsed.base.unwrap_or_default(),
            packages: BTreeMap::new(),
            exclude: parsed.exclude,
            appliance: parsed.appliance,
            guest: parsed.guest,
            inherited: String::new(),
            text,
            lines: BTreeMap::new(),
        };
        for (key, spec) in parsed.packages {
            recipe.lines.insert(key.get_ref().clone(), line_of(&recipe.text, key.span().start));
            recipe.packages.insert(key.into_inner(), spec);
        }
        if let Some(guest) = &mut recipe.guest {
            let folder = path.parent().unwrap_or(Path::new("."));
            guest.overlays = guest.overlay.iter().map(|overlay| folder.join(overlay)).collect();
        }
        match parsed.inherits {
            Some(parent) => recipe.inherit(&parent, parsed.kind, heirs)?,
            None if parsed.kind.is_none() => {
                let reason = "`kind` is missing: appliance, guest or tools";
                return Err(recipe.wrong("kind", reason));
            }
            None => {}
        }
        recipe.check()?;
        Ok(recipe)
    }

    /// Adds what another recipe says.
    fn inherit(&mut self, parent: &str, kind: Option<Kind>, heirs: &[&str]) -> Result<(), Error> {
        let wrong = |reason: &str| self.wrong("inherits", reason);
        if heirs.contains(&parent) || parent == self.name {
            return Err(wrong(&format!("`{parent}` inherits from itself")));
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let path = folder.join(format!("{parent}.toml"));
        if parent.contains('/') || !path.exists() {
            let known = known(folder).join(", ");
            return Err(wrong(&format!("there is no recipe `{parent}`; known are: {known}")));
        }
        let heirs: Vec<&str> = heirs.iter().copied().chain([self.name.as_str()]).collect();
        let parent = Self::parse_below(&path, fs::read_text(&path)?, &heirs)?;
        if parent.kind != Kind::Guest || kind.is_some_and(|kind| kind != parent.kind) {
            return Err(wrong("only guests inherit, and only from guests"));
        }
        self.kind = parent.kind;
        if self.base.suites.is_empty() {
            self.base = parent.base;
        }
        for (name, spec) in parent.packages {
            self.packages.entry(name).or_insert(spec);
        }
        self.exclude.extend(parent.exclude);
        self.guest.get_or_insert_default().inherit(parent.guest.unwrap_or_default());
        self.inherited = parent.inherited + &parent.text;
        Ok(())
    }

    fn check(&self) -> Result<(), Error> {
        if self.base.suites.is_empty() {
            return Err(self.wrong("suites", "`suites` is empty; name one, e.g. [\"trixie\"]"));
        }
        if self.packages.is_empty() {
            return Err(self.wrong("[packages]", "`packages` is empty; list what the image needs"));
        }
        let (appliance, guest) = (&self.appliance, &self.guest);
        for (kind, table, there) in [
            (Kind::Appliance, "[appliance]", appliance.is_some()),
            (Kind::Guest, "[guest]", guest.is_some()),
        ] {
            let name = self.kind.name();
            match (self.kind == kind, there) {
                (true, false) => {
                    let reason = format!("kind = \"{name}\" needs a table {table}");
                    return Err(self.wrong("kind", &reason));
                }
                (false, true) => {
                    let reason = format!("kind = \"{name}\" has no table {table}");
                    return Err(self.wrong(table, &reason));
                }
                _ => {}
            }
        }
        let checked = appliance.as_ref().map_or(Ok(()), Appliance::check);
        let checked = checked.and_then(|()| guest.as_ref().map_or(Ok(()), Guest::check));
        checked.map_err(|(key, reason)| self.wrong(key, &reason))
    }

    /// An error at the first line that holds `key`.
    pub fn wrong(&self, key: &str, reason: &str) -> Error {
        let at = self.text.lines().position(|line| {
            let line = line.trim_start();
            line.starts_with(key) || line.contains(&format!("\"{key}\""))
        });
        let line = at.map_or(1, |at| at + 1);
        Error::Value { path: self.path.clone(), line, reason: reason.to_owned() }
    }

    /// An error about a listed package.
    pub fn wrong_package(&self, package: &str, reason: &str) -> Error {
        let line = self.lines.get(package).copied().unwrap_or(1);
        Error::Value { path: self.path.clone(), line, reason: reason.to_owned() }
    }

    /// The recipe as written, after those that it inherits from.
    pub fn text(&self) -> String {
        format!("{}{}", self.inherited, self.text)
    }

    /// Where its lock is.
    pub fn lock_path(&self) -> PathBuf {
        self.path.with_extension("lock")
    }

    /// A path of the recipe, which is relative to the recipe's folder.
    pub fn resolve(&self, path: &str) -> PathBuf {
        self.path.parent().unwrap_or(Path::new(".")).join(path)
    }

    /// Digest of the part that the lock answers: suites, packages, exclusions.
    pub fn request_digest(&self) -> Sha256 {
        let mut hasher = Hasher::default();
        let mut list = |tag: &str, items: &mut dyn Iterator<Item = &str>| {
            hasher.part(tag);
            for item in items {
                hasher.part(item);
            }
        };
        list("suites", &mut self.base.suites.iter().map(String::as_str));
        list("components", &mut self.base.components.iter().map(String::as_str));
        list("arch", &mut std::iter::once(self.base.arch.as_str()));
        // A guest's lock holds the packages that every system has.
        if self.kind == Kind::Guest {
            list("kind", &mut std::iter::once("guest"));
        }
        list("exclude", &mut self.exclude.iter());
        for (name, spec) in &self.packages {
            list("package", &mut std::iter::once(name.as_str()));
            if let Some(follow) = &spec.follow {
                list("follow", &mut follow.iter());
            }
        }
        hasher.finish()
    }
}

/// The schema of recipes, for editors: JSON Schema, draft 2020-12.
pub fn schema() -> String {
    let schema = schemars::schema_for!(Text);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// The names of the recipes in a folder.
pub fn known(folder: &Path) -> Vec<String> {
    let files = fs::list(folder).unwrap_or_default();
    let toml = files.iter().filter(|path| path.extension().is_some_and(|e| e == "toml"));
    toml.filter_map(|path| Some(path.file_stem()?.to_string_lossy().into_owned())).collect()
}

fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|byte| *byte == b'\n').count() + 1
}

#[cfg(test)]
mod tests;
