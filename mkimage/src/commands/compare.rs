//! `mkimage diff` and `mkimage verify`.

use crate::assemble::Output;
use crate::error::Error;
use crate::fs::{self, Context};
use crate::guest::{self, inspect};
use crate::lock::Lock;
use crate::progress;
use crate::project::Project;
use crate::recipe::Kind;
use crate::scratch::Scratch;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that are compared at once.
const PIECE: usize = 1 << 18;

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

/// Builds a guest's image from its packages, using nothing that earlier builds left, and compares
/// it with one that is there, or with what a build leaves.
///
/// # Errors
/// When it can't be built, or the two differ: then the first difference is named.
pub fn verify(project: &Project, name: &str, image: Option<PathBuf>) -> Result<(), Error> {
    let recipe = project.recipe(name)?;
    if recipe.kind != Kind::Guest {
        return Err(recipe.wrong("kind", "only guests' images are verified").into());
    }
    let image = match image {
        Some(image) => image,
        None => guest::build(project, &recipe, &Output::Cache)?.disk()?.to_owned(),
    };
    fs::open(&image)?;
    let work = Scratch::folder(&project.cache().root().join("verify").join(&recipe.name))?;
    let again = guest::build_again(project, &recipe, work.path())?;
    let Some(at) = first_difference(&image, &again)? else {
        println!("{}: the same bytes as a new build", image.display());
        return Ok(());
    };
    let mut reason = format!("{} differs from a new build at byte {at}", image.display());
    let (old, new) = (inspect::Image::open(&image)?, inspect::Image::open(&again)?);
    let (old, new) = (old.files()?, new.files()?);
    let size = |entry: &inspect::Entry| format!("({} bytes)", entry.size);
    let lines = inspect::changes(&old, &new, size, inspect::Entry::difference);
    match lines.first() {
        Some(line) => reason += &format!("; the first of {} different files: {line}", lines.len()),
        None => reason += "; all files are the same, so it is in how they are stored",
    }
    Err(Error::Image(reason))
}

/// The first byte in which two files differ, or where one of them ends.
fn first_difference(one: &Path, two: &Path) -> Result<Option<u64>, Error> {
    let (mut a, mut b) = (fs::open(one)?, fs::open(two)?);
    let (mut left, mut right) = (Vec::with_capacity(PIECE), Vec::with_capacity(PIECE));
    let mut at = 0;
    loop {
        left.clear();
        right.clear();
        a.by_ref().take(PIECE as u64).read_to_end(&mut left).at("read", one)?;
        b.by_ref().take(PIECE as u64).read_to_end(&mut right).at("read", two)?;
        if left != right {
            let same = left.iter().zip(&right).take_while(|(a, b)| a == b).count();
            return Ok(Some(at + same as u64));
        }
        if left.is_empty() {
            return Ok(None);
        }
        at += left.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        let mut bytes = vec![7; PIECE + 10];
        std::fs::write(&one, &bytes).unwrap();
        std::fs::write(&two, &bytes).unwrap();
        assert_eq!(first_difference(&one, &two).unwrap(), None);
        bytes[PIECE + 3] = 8;
        std::fs::write(&two, &bytes).unwrap();
        assert_eq!(first_difference(&one, &two).unwrap(), Some(PIECE as u64 + 3));
        std::fs::write(&two, &bytes[..PIECE]).unwrap();
        assert_eq!(first_difference(&one, &two).unwrap(), Some(PIECE as u64));
    }
}
