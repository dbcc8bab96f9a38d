//! Bills of materials of published images: what `mkimage build` wrote beside an image goes along
//! with it, so that who pulls it can tell what is in it and under which licences.

use super::Error;
use crate::fs::{self, Context};
use crate::hash::Sha256;
use crate::sbom;
use crate::scratch::Scratch;
use catalogue::manifest::Artifact;
use std::path::{Path, PathBuf};

/// What manifests call them, in the order of [`sbom::files`], and how their files end.
const KINDS: [(&str, &str); 2] = [("spdx", ".spdx.json"), ("licences", ".licences.txt")];

/// The bill beside an image whose files are called after `name`: none, or all of it.
///
/// # Errors
/// When only a part is there: then the rest was lost.
pub fn beside(image: &Path, name: &str) -> Result<Vec<PathBuf>, Error> {
    let paths = sbom::files(name).map(|file| image.with_file_name(file));
    let there = paths.iter().filter(|path| path.is_file()).count();
    match paths.iter().find(|path| !path.is_file()) {
        Some(path) if there > 0 => {
            let reason = "it is missing beside the image, and the other part of the bill of \
                          materials is there: build the image again, or move that away";
            Err(Error::Wrong { path: path.clone(), reason: reason.to_owned() })
        }
        Some(_) => Ok(Vec::new()),
        None => Ok(paths.into()),
    }
}

/// Puts a bill into a release folder, under names that follow from what is in it.
///
/// # Errors
/// When a file can't be read or written.
pub fn add(bill: &[PathBuf], name: &str, folder: &Path) -> Result<Vec<Artifact>, Error> {
    let parts = KINDS.iter().zip(bill).map(|((format, ending), path)| {
        let bytes = fs::read(path)?;
        let sha256 = Sha256::of(&bytes);
        let file = format!("{name}.{}{ending}", sha256.short());
        let target = folder.join(&file);
        if Sha256::of_file(&target).map_or(true, |(_, found)| found != sha256) {
            let scratch = Scratch::new(&target)?;
            fs::write(scratch.path(), &bytes)?;
            fs::open(scratch.path())?.sync_all().at("write", &target)?;
            scratch.finish()?;
        }
        let format = (*format).to_owned();
        Ok(Artifact { format, file, size: bytes.len() as u64, sha256 })
    });
    parts.collect()
}

/// Whether a file of a release folder is one.
pub fn is_one(file: &str) -> bool {
    KINDS.iter().any(|(_, ending)| file.ends_with(ending))
}
