//! `mkimage diff`.

use crate::error::Error;
use crate::fs;
use crate::guest::inspect;
use crate::lock::Lock;
use crate::progress;
use crate::project::Project;
use std::path::Path;

/// Says what changed between two locks, or between two guests' images.
///
/// # Errors
/// When one can't be read, or they are of different kinds.
pub fn diff(project: &Project, old: &str, new: &str) -> Result<(), Error> {
    let is_image = |name: &str| Path::new(name).extension().is_some_and(|e| e == "img");
    match (is_image(old), is_image(new)) {
        (true, true) => diff_images(Path::new(old), Path::new(new)),
        (false, false) => {
            let (old, new) = (read_lock(project, old)?, read_lock(project, new)?);
            new.changes_since(Some(&old)).iter().for_each(|line| println!("{line}"));
            let size = |lock: &Lock| lock.packages.iter().map(|package| package.size).sum();
            println!("{}", sizes(old.packages.len(), size(&old), new.packages.len(), size(&new)));
            Ok(())
        }
        _ => Err(Error::Image(format!(
            "`{old}` and `{new}` can't be compared: name two images (.img), or two locks or recipes"
        ))),
    }
}

/// A lock by its path, or by its recipe's name.
fn read_lock(project: &Project, name: &str) -> Result<Lock, Error> {
    let given = Path::new(name);
    let path = if given.extension().is_some_and(|extension| extension == "lock") {
        given.to_owned()
    } else {
        project.recipe(name)?.lock_path()
    };
    let text = fs::read_text(&path)?;
    Lock::parse(&text).map_err(|reason| Error::Image(format!("{}: {reason}", path.display())))
}

fn sizes(old_count: usize, old: u64, new_count: usize, new: u64) -> String {
    let (from, to) = (progress::human(old), progress::human(new));
    format!("{old_count} -> {new_count} packages, {from} -> {to}")
}

fn diff_images(old: &Path, new: &Path) -> Result<(), Error> {
    let (old, new) = (inspect::Image::open(old)?, inspect::Image::open(new)?);
    let (old_packages, new_packages) = (old.packages()?, new.packages()?);
    let versions = |a: &String, b: &String| (a != b).then(|| format!("{a} -> {b}"));
    println!("packages:");
    for line in inspect::changes(&old_packages, &new_packages, Clone::clone, versions) {
        println!("{line}");
    }
    println!("files:");
    let (old, new) = (old.files()?, new.files()?);
    let size = |entry: &inspect::Entry| progress::human(entry.size);
    for line in inspect::changes(&old, &new, size, inspect::Entry::difference) {
        println!("{line}");
    }
    let sum = |files: &std::collections::BTreeMap<String, inspect::Entry>| {
        files.values().map(|entry| entry.size).sum()
    };
    println!("{}", sizes(old_packages.len(), sum(&old), new_packages.len(), sum(&new)));
    Ok(())
}
