//! The project's folders, and how this run reaches and configures packages.

use crate::apt::keyring::Keyring;
use crate::apt::sources::Mirror;
use crate::error::Error;
use crate::guest::isolation::Isolation;
use crate::lock::Lock;
use crate::net::archive::Archive;
use crate::net::cache::Cache;
use crate::net::http::Http;
use crate::recipe::{self, Recipe};
use crate::tools::Tools;
use std::path::{Path, PathBuf};

/// How packages are reached and configured: the global options.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// The archive's address; the host's configuration when `None`.
    pub mirror: Option<String>,
    /// Use the cache alone.
    pub offline: bool,
    /// The cache; `.cache/mkimage` of the project when `None`.
    pub cache: Option<PathBuf>,
    /// Where packages' own programs run.
    pub isolation: Isolation,
}

impl Options {
    /// Options as the environment gives them, for programs without a command line (tests).
    pub fn from_environment() -> Self {
        Self {
            mirror: std::env::var("MKIMAGE_MIRROR").ok(),
            offline: std::env::var_os("MKIMAGE_OFFLINE").is_some(),
            cache: std::env::var_os("MKIMAGE_CACHE").map(PathBuf::from),
            isolation: Isolation::default(),
        }
    }
}

/// A checkout of the project.
#[derive(Debug)]
pub struct Project {
    root: PathBuf,
    options: Options,
}

impl Project {
    /// The project that holds the working folder, else the one that this program was built from.
    ///
    /// # Errors
    /// [`Error::NoProject`] when neither exists.
    pub fn find(options: Options) -> Result<Self, Error> {
        let built_from = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
        let here = std::env::current_dir().unwrap_or_default();
        let mut candidates = here.ancestors().chain(built_from);
        let is_project =
            |folder: &&Path| folder.join("Cargo.toml").is_file() && folder.join("recipes").is_dir();
        let root = candidates.find(is_project).ok_or(Error::NoProject)?.to_owned();
        Ok(Self { root, options })
    }

    /// The checkout's root.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The cache.
    pub fn cache(&self) -> Cache {
        let default = || self.root.join(".cache/mkimage");
        Cache::new(&self.options.cache.clone().unwrap_or_else(default))
    }

    /// Where packages' own programs run.
    pub fn isolation(&self) -> Isolation {
        self.options.isolation
    }

    /// Where recipes are kept.
    pub fn recipes(&self) -> PathBuf {
        self.root.join("recipes")
    }

    /// Where channels are defined.
    pub fn releases(&self) -> PathBuf {
        self.root.join("releases")
    }

    /// Reads a recipe by name or path.
    ///
    /// # Errors
    /// When it is missing or wrong.
    pub fn recipe(&self, name: &str) -> Result<Recipe, Error> {
        Ok(Recipe::find(&self.recipes(), name)?)
    }

    /// The named recipes, or all of them when none is named.
    ///
    /// # Errors
    /// When one is missing or wrong.
    pub fn recipes_named(&self, names: &[String]) -> Result<Vec<Recipe>, Error> {
        let all = if names.is_empty() { recipe::known(&self.recipes()) } else { names.to_vec() };
        all.iter().map(|name| self.recipe(name)).collect()
    }

    /// The package archive, reached as the options say. Offline, no mirror is needed.
    ///
    /// # Errors
    /// When no mirror is known.
    pub fn archive(&self) -> Result<Archive, Error> {
        let mirror = match (&self.options.mirror, self.options.offline) {
            (Some(uri), _) => Mirror::given(uri),
            (None, true) => Mirror::given("the archive"),
            (None, false) => Mirror::of_host()?,
        };
        let http = Http::new(self.options.offline)?;
        Ok(Archive::new(mirror, http, Keyring::debian()?, self.cache()))
    }

    /// The lock of a recipe, if it fits.
    ///
    /// # Errors
    /// When it is missing, malformed or stale.
    pub fn lock(&self, recipe: &Recipe) -> Result<Lock, Error> {
        Ok(Lock::read(&recipe.lock_path(), &recipe.name, recipe.request_digest())?)
    }

    /// The tools tree of `recipes/tools.toml`, prepared if need be. That takes the cache's lock, so
    /// the caller must not hold it.
    ///
    /// # Errors
    /// When a package can't be fetched or unpacked.
    pub fn tools(&self) -> Result<Tools, Error> {
        self.tools_of("tools")
    }

    /// The tree of another recipe of kind `tools`, as [`Self::tools`].
    ///
    /// # Errors
    /// When there is no such recipe, or a package can't be fetched or unpacked.
    pub fn tools_of(&self, recipe: &str) -> Result<Tools, Error> {
        let recipe = self.recipe(recipe)?;
        let lock = self.lock(&recipe)?;
        if let Some(tools) = Tools::existing(&self.cache(), &lock) {
            return Ok(tools);
        }
        let archive = self.archive()?;
        let _lock = self.cache().lock()?;
        Ok(Tools::prepare(&archive, &recipe.name, &lock)?)
    }
}
