//! The errors of whole commands: each is one of the modules' own, passed on as it is.

use crate::apt::{index, keyring, resolve, sources};
use crate::net::{archive, http};
use crate::{deb, fs, lock, recipe, tools};

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Not inside a checkout.
    #[error("no project here: run mkimage inside a checkout that has a recipes folder")]
    NoProject,
    /// See [`sources::NoMirror`].
    #[error(transparent)]
    NoMirror(#[from] sources::NoMirror),
    /// See [`recipe::Error`].
    #[error(transparent)]
    Recipe(#[from] recipe::Error),
    /// See [`lock::Error`].
    #[error(transparent)]
    Lock(#[from] lock::Error),
    /// See [`archive::Error`].
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// See [`http::Error`].
    #[error(transparent)]
    Http(#[from] http::Error),
    /// See [`keyring::Error`].
    #[error(transparent)]
    Keyring(#[from] keyring::Error),
    /// See [`index::Error`].
    #[error(transparent)]
    Index(#[from] index::Error),
    /// A request that can't be resolved, with the recipe it came from.
    #[error("{}: {source}", .recipe.display())]
    Resolve {
        /// The recipe.
        recipe: std::path::PathBuf,
        /// Why.
        source: resolve::Error,
    },
    /// See [`deb::Error`].
    #[error(transparent)]
    Deb(#[from] deb::Error),
    /// See [`tools::Error`].
    #[error(transparent)]
    Tools(#[from] tools::Error),
    /// A binary of the project that cargo did not build.
    #[error("can't build {package}: {reason}")]
    Artifact {
        /// The package.
        package: String,
        /// What cargo said.
        reason: String,
    },
    /// See [`crate::qemu::Error`].
    #[error(transparent)]
    Qemu(#[from] crate::qemu::Error),
    /// A medium that can't be made.
    #[error("{0}")]
    Image(String),
    /// See [`crate::stage::modules::Error`].
    #[error(transparent)]
    Modules(#[from] crate::stage::modules::Error),
    /// See [`crate::guest::sandbox::Error`].
    #[error(transparent)]
    Sandbox(#[from] crate::guest::sandbox::Error),
    /// See [`fs::Error`].
    #[error(transparent)]
    File(#[from] fs::Error),
    /// See [`crate::formats::Error`].
    #[error(transparent)]
    Format(#[from] crate::formats::Error),
    /// See [`crate::flash::Error`].
    #[error(transparent)]
    Flash(#[from] crate::flash::Error),
    /// See [`crate::release::Error`].
    #[error(transparent)]
    Release(#[from] crate::release::Error),
}
