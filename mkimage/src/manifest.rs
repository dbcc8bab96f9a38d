//! `manifest.json`: what a build wrote, with sizes and digests.

use crate::fs::{self, Context};
use crate::hash::{Hasher, Sha256};
use disk_formats::disk::Disk;
use disk_formats::raw::Raw;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io;
use std::path::Path;

/// Bytes that are hashed at once.
const PIECE: usize = 1 << 20;

/// One file of a build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Path below the output folder.
    pub path: String,
    /// Size in bytes.
    pub size: u64,
    /// Content hash.
    pub sha256: Sha256,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Product name.
    pub product: String,
    /// Its version.
    pub version: String,
    /// Architecture.
    pub arch: String,
    /// Time stamp of the content, in seconds of Unix time.
    pub epoch: u64,
    /// The files, sorted by path.
    pub files: Vec<Entry>,
}

impl Manifest {
    /// The JSON text.
    pub fn to_text(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }
}

/// Lists files, and everything below folders, of an output folder.
///
/// # Errors
/// When one can't be read.
pub fn entries(root: &Path, paths: &[String]) -> fs::Result<Vec<Entry>> {
    let mut all = Vec::new();
    for path in paths {
        add(root, path, &mut all)?;
    }
    all.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(all)
}

fn add(root: &Path, path: &str, all: &mut Vec<Entry>) -> fs::Result<()> {
    let full = root.join(path);
    if !full.is_dir() {
        let (size, sha256) = digest(&full)?;
        all.push(Entry { path: path.to_owned(), size, sha256 });
        return Ok(());
    }
    for inner in fs::list(&full)? {
        let name = inner.file_name().unwrap_or_default().to_string_lossy();
        add(root, &format!("{path}/{name}"), all)?;
    }
    Ok(())
}

/// Size and digest of a file. An image is mostly holes: those aren't read.
fn digest(path: &Path) -> fs::Result<(u64, Sha256)> {
    let hash = || -> disk_formats::Result<(u64, Sha256)> {
        let mut raw = Raw::open(File::open(path)?)?;
        let (size, mut hasher) = (raw.size(), Hasher::default());
        let (zeros, mut buffer) = (vec![0; PIECE], vec![0; PIECE]);
        let mut at = 0;
        while at < size {
            let data = raw.next_data(at)?.unwrap_or(size..size);
            let is_hole = at < data.start;
            let end = if is_hole { data.start } else { data.end };
            let bytes = usize::try_from(end - at).map_or(PIECE, |bytes| bytes.min(PIECE));
            if is_hole {
                hasher.update(&zeros[..bytes]);
            } else {
                raw.read_at(at, &mut buffer[..bytes])?;
                hasher.update(&buffer[..bytes]);
            }
            at += bytes as u64;
        }
        Ok((size, hasher.finish()))
    };
    hash().map_err(io::Error::other).at("read", path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_count_as_zeros() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::NamedTempFile::new().unwrap();
        for (size, places) in
            [(0, &[][..]), (5, &[4]), (3_000_001, &[0, 1_500_000]), (2 << 20, &[])]
        {
            file.as_file().set_len(0).unwrap();
            file.as_file().set_len(size).unwrap();
            for at in places {
                file.as_file().write_all_at(b"x", *at).unwrap();
            }
            let plain = Sha256::of_file(file.path()).unwrap();
            assert_eq!(digest(file.path()).unwrap(), plain, "{size} bytes");
        }
    }

    #[test]
    fn files_of_folders_are_listed() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("pxe")).unwrap();
        std::fs::write(folder.path().join("pxe/b"), "b").unwrap();
        std::fs::write(folder.path().join("a.img"), "aa").unwrap();
        let files = entries(folder.path(), &["pxe".to_owned(), "a.img".to_owned()]).unwrap();
        let paths: Vec<&str> = files.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(paths, ["a.img", "pxe/b"]);
        assert_eq!((files[0].size, files[0].sha256), (2, Sha256::of(b"aa")));
        let manifest = Manifest {
            product: "p".to_owned(),
            version: "1".to_owned(),
            arch: "amd64".to_owned(),
            epoch: 0,
            files,
        };
        assert_eq!(serde_json::from_str::<Manifest>(&manifest.to_text()).unwrap(), manifest);
    }
}
