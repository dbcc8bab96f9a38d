//! `mkimage verify`: builds again, from nothing that earlier builds left but downloads, and compares.

use crate::assemble::{self, Medium, Output, Request};
use crate::disk::compare;
use crate::error::Error;
use crate::fs::{self, Context};
use crate::guest::{self, inspect};
use crate::project::Project;
use crate::recipe::{Kind, Recipe};
use crate::scratch::Scratch;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Bytes that are compared at once.
const PIECE: usize = 1 << 18;

/// Builds a recipe's image anew, and compares it with one that is there, or with what a build
/// leaves.
///
/// # Errors
/// When it can't be built, or the two differ: then the first difference is named.
pub fn verify(project: &Project, name: &str, image: Option<PathBuf>) -> Result<(), Error> {
    let recipe = project.recipe(name)?;
    let work = Scratch::folder(&project.cache().root().join("verify").join(&recipe.name))?;
    match recipe.kind {
        Kind::Guest => verify_guest(project, &recipe, image, work.path()),
        Kind::Appliance => verify_appliance(project, name, image, work.path()),
        Kind::Tools => Err(recipe.wrong("kind", "this recipe makes no image to verify").into()),
    }
}

fn verify_guest(
    project: &Project,
    recipe: &Recipe,
    image: Option<PathBuf>,
    work: &Path,
) -> Result<(), Error> {
    let image = match image {
        Some(image) => image,
        None => guest::build(project, recipe, &Output::Cache)?.disk()?.to_owned(),
    };
    fs::open(&image)?;
    let again = guest::build_again(project, recipe, work)?;
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

/// `image` is a medium, or the folder of all of them.
fn verify_appliance(
    project: &Project,
    name: &str,
    image: Option<PathBuf>,
    work: &Path,
) -> Result<(), Error> {
    let old = match image {
        Some(image) => image,
        None => {
            let request = Request::new(name, &Medium::ALL);
            assemble::appliance(project, &request, &Output::Cache)?.folder
        }
    };
    fs::open(&old)?;
    let names = assemble::again(project, name, work)?;
    let pairs = pairs(&old, work, &names)?;
    for (old, new) in &pairs {
        if let Some(at) = first_difference(old, new)? {
            let place = compare::place(old, new, at).map(|place| format!(", {place}"));
            return Err(Error::Image(format!(
                "{} differs from a new build at byte {at}{}",
                old.display(),
                place.unwrap_or_default()
            )));
        }
    }
    for (old, _) in &pairs {
        println!("{}: the same bytes as a new build", old.display());
    }
    Ok(())
}

/// Files to compare: those whose difference says most come first, which are the ones of the network
/// boot tree. The others hold the same.
fn pairs(old: &Path, new: &Path, names: &[String]) -> Result<Vec<(PathBuf, PathBuf)>, Error> {
    if old.is_file() {
        let end = old.extension();
        let same_end = |name: &&String| end.is_some() && Path::new(name).extension() == end;
        let name = names.iter().find(same_end).ok_or_else(|| {
            let reason = format!("{}: it is none of {}", old.display(), names.join(", "));
            Error::Image(reason)
        })?;
        return Ok(vec![(old.to_owned(), new.join(name))]);
    }
    let (mut trees, mut others) = (Vec::new(), Vec::new());
    for name in names.iter().filter(|name| old.join(name).exists()) {
        let (old, new) = (old.join(name), new.join(name));
        if new.is_dir() {
            for file in below(&old, &new)? {
                trees.push((old.join(&file), new.join(&file)));
            }
        } else {
            others.push((old, new));
        }
    }
    trees.extend(others);
    if trees.is_empty() {
        let reason = format!("{}: nothing of {} is there", old.display(), names.join(", "));
        return Err(Error::Image(reason));
    }
    Ok(trees)
}

/// Paths of files that are in one of two folders.
fn below(one: &Path, two: &Path) -> Result<Vec<PathBuf>, Error> {
    let (mut found, mut open) = (std::collections::BTreeSet::new(), vec![PathBuf::new()]);
    while let Some(folder) = open.pop() {
        for root in [one, two] {
            if !root.join(&folder).is_dir() {
                continue;
            }
            for path in fs::list(&root.join(&folder))? {
                let inner = folder.join(path.file_name().unwrap_or_default());
                if path.is_dir() {
                    open.push(inner);
                } else {
                    found.insert(inner);
                }
            }
        }
    }
    Ok(found.into_iter().collect())
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
    fn trees_come_first_and_nothing_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let (old, new) = (folder.path().join("old"), folder.path().join("new"));
        for (root, names) in [
            (&old, &["a.img", "pxe/kernel", "pxe/deep/x"][..]),
            (&new, &["a.img", "a.iso", "pxe/kernel", "pxe/deep/y"]),
        ] {
            for name in names {
                fs::create_dir(root.join(name).parent().unwrap()).unwrap();
                fs::write(&root.join(name), "").unwrap();
            }
        }
        let names = ["a.img", "a.iso", "pxe"].map(str::to_owned);
        let found = pairs(&old, &new, &names).unwrap();
        let found: Vec<_> =
            found.iter().map(|(old_path, _)| old_path.strip_prefix(&old).unwrap()).collect();
        let expected = ["pxe/deep/x", "pxe/deep/y", "pxe/kernel", "a.img"].map(Path::new);
        assert_eq!(found, expected);
        let one = pairs(&old.join("a.img"), &new, &names).unwrap();
        assert_eq!(one, [(old.join("a.img"), new.join("a.img"))]);
        let none = pairs(&old.join("pxe/kernel"), &new, &names).unwrap_err().to_string();
        assert!(none.contains("none of a.img, a.iso, pxe"), "{none}");
        assert!(pairs(&old.join("pxe"), &new, &names).is_err());
    }

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
