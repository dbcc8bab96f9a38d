//! The control domain's kernel: its image as packaged, and its modules, out of the .deb.

use super::modules::Tree;
use crate::deb;
use crate::error::Error;
use crate::fs;
use crate::glob;
use crate::lock::Lock;
use crate::net::archive::Archive;
use crate::progress::Step;
use crate::recipe::Recipe;
use crate::scratch::Scratch;
use std::path::PathBuf;

/// An unpacked kernel package.
#[derive(Debug)]
pub struct Kernel {
    /// The boot image, exactly as packaged.
    pub image: PathBuf,
    /// Its modules.
    pub modules: Tree,
    /// The package that it came in.
    pub package: String,
    /// What that says about its licences.
    pub copyright: String,
}

/// Finds the kernel's package in a lock, fetches it and unpacks it into the cache, unless that
/// was done before.
///
/// # Errors
/// When the lock names no such package, or the package is not what it should be.
pub fn prepare(
    archive: impl FnOnce() -> Result<Archive, Error>,
    cache: &crate::net::cache::Cache,
    recipe: &Recipe,
    lock: &Lock,
    pattern: &str,
) -> Result<Kernel, Error> {
    let fits = |package: &&crate::lock::Locked| glob::matches(pattern, &package.name);
    let found: Vec<_> = lock.packages.iter().filter(fits).collect();
    let [package] = found.as_slice() else {
        let names: Vec<&str> = found.iter().map(|package| package.name.as_str()).collect();
        let reason = format!(
            "`package = \"{pattern}\"` must fit exactly one locked package, and fits {}; \
             list the kernel in [packages] and make the pattern fit its name",
            if names.is_empty() { "none".to_owned() } else { names.join(", ") }
        );
        return Err(recipe.wrong("package", &reason).into());
    };
    let root = cache.root().join("kernels").join(package.sha256.short());
    let copyright = format!("usr/share/doc/{}/copyright", package.name);
    if !root.is_dir() {
        archive()?.fetch(&recipe.name, std::slice::from_ref(package))?;
        let _step = Step::spinner("unpacking the kernel");
        let scratch = Scratch::folder(&root)?;
        deb::prepare_root(scratch.path())?;
        let wanted = |path: &str| !path.starts_with("usr/share") || path == copyright;
        deb::unpack(&cache.blob(package.sha256), scratch.path(), &wanted)?;
        scratch.finish_unless_there()?;
    }
    let lacks = |what: &str| {
        let reason = format!("the package {} has no {what}: it is no kernel", package.name);
        Error::Recipe(recipe.wrong("package", &reason))
    };
    let one = |folder: &str, prefix: &str| {
        let files = fs::list(&root.join(folder)).unwrap_or_default();
        let name = |path: &PathBuf| path.file_name().map(|n| n.to_string_lossy().into_owned());
        files.into_iter().find(|path| name(path).is_some_and(|n| n.starts_with(prefix)))
    };
    let image = one("boot", "vmlinuz-").ok_or_else(|| lacks("boot/vmlinuz-*"))?;
    let modules = one("usr/lib/modules", "").ok_or_else(|| lacks("lib/modules"))?;
    let copyright = root.join(copyright);
    let copyright = if copyright.is_file() { fs::read_text(&copyright)? } else { String::new() };
    let (package, modules) = (package.name.clone(), Tree::scan(&modules)?);
    Ok(Kernel { image, modules, package, copyright })
}
