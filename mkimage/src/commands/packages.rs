//! `mkimage fetch`, `mkimage check` and `mkimage tools`.

use crate::error::Error;
use crate::progress;
use crate::project::Project;

/// Brings every package of recipes into the cache; when none is named, of all but those that only
/// tests need.
///
/// # Errors
/// When a lock doesn't fit, or a download fails.
pub fn fetch(project: &Project, names: &[String]) -> Result<(), Error> {
    let archive = project.archive()?;
    let _lock = project.cache().lock()?;
    let all = project.recipes_named(names)?.into_iter();
    for recipe in all.filter(|recipe| !(names.is_empty() && recipe.tests_only)) {
        let lock = project.lock(&recipe)?;
        archive.fetch(&recipe.name, &lock.packages)?;
        let size: u64 = lock.packages.iter().map(|package| package.size).sum();
        let (count, size) = (lock.packages.len(), progress::human(size));
        println!("{}: {count} packages, {size}, all in the cache", recipe.name);
    }
    Ok(())
}

/// Checks recipes (all of them when none is named) and their locks, without the network.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(project: &Project, names: &[String]) -> Result<(), Error> {
    for recipe in project.recipes_named(names)? {
        let lock = project.lock(&recipe)?;
        let own = recipe.appliance.as_ref().and_then(|appliance| appliance.overlay.as_ref());
        let mut overlays: Vec<_> = own.iter().map(|overlay| recipe.resolve(overlay)).collect();
        overlays.extend(recipe.guest.iter().flat_map(|guest| guest.overlays.clone()));
        if let Some(missing) = overlays.iter().find(|folder| !folder.is_dir()) {
            let reason = format!("the overlay folder {} doesn't exist", missing.display());
            return Err(recipe.wrong("overlay", &reason).into());
        }
        println!("{}: ok ({} packages locked)", recipe.name, lock.packages.len());
    }
    Ok(())
}

/// Prepares the tools tree and prints where it is.
///
/// # Errors
/// When a package can't be fetched or unpacked.
pub fn tools(project: &Project) -> Result<(), Error> {
    println!("{}", project.tools()?.root().display());
    Ok(())
}
