//! Unpacks Debian packages: an `ar` archive with a compressed `tar` in it. No package script is
//! ever run.

use crate::fs::{self, Context};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Folders that merged-/usr systems have as links.
const MERGED: [&str; 4] = ["bin", "lib", "lib64", "sbin"];

/// What is read of one text, in bytes.
const TEXT_LIMIT: u64 = 4 << 20;

/// Why a package wasn't unpacked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of ours.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The package is damaged, or of a kind that is not known.
    #[error("{}: {reason}", .path.display())]
    Damaged {
        /// The package.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Unpacking into the folder failed.
    #[error("can't unpack {} into {}: {}", .package.display(), .into.display(), innermost(.source))]
    Unpack {
        /// The package.
        package: PathBuf,
        /// The folder.
        into: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The tar crate wraps the reason in its own words: the last line is the one that counts.
fn innermost(error: &io::Error) -> String {
    let mut inner: &dyn std::error::Error = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}

/// Prepares a folder for packages: the merged-/usr links.
///
/// # Errors
/// When they can't be made.
pub fn prepare_root(root: &Path) -> fs::Result<()> {
    for name in MERGED {
        let target = root.join("usr").join(name);
        fs::create_dir(&target)?;
        fs::set_mode(&target, 0o755)?;
        let link = root.join(name);
        std::os::unix::fs::symlink(Path::new("usr").join(name), &link).at("link", &link)?;
    }
    fs::set_mode(&root.join("usr"), 0o755)
}

/// One of the two archives in a package.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// The package's description and its scripts.
    Control,
    /// Its files.
    Data,
}

impl Part {
    const fn prefix(self) -> &'static str {
        match self {
            Self::Control => "control.tar",
            Self::Data => "data.tar",
        }
    }
}

/// Calls a function with one of a package's archives, decompressed.
///
/// # Errors
/// When the package is damaged, or the function fails, which counts as a failure to unpack `into`.
pub fn with_part(
    package: &Path,
    part: Part,
    into: &Path,
    work: &mut dyn FnMut(&mut dyn Read) -> io::Result<()>,
) -> Result<(), Error> {
    let damaged =
        |reason: &str| Error::Damaged { path: package.to_owned(), reason: reason.to_owned() };
    let failed =
        |source| Error::Unpack { package: package.to_owned(), into: into.to_owned(), source };
    let mut archive = ar::Archive::new(BufReader::with_capacity(1 << 18, fs::open(package)?));
    while let Some(member) = archive.next_entry() {
        let member = member.map_err(|_| damaged("it is no Debian package"))?;
        let name = String::from_utf8_lossy(member.header().identifier()).into_owned();
        let Some(suffix) = name.trim_end_matches('/').strip_prefix(part.prefix()) else { continue };
        let mut data = decoder(suffix, member)
            .ok_or_else(|| damaged(&format!("its data is compressed as `{suffix}`, not known")))?;
        return work(&mut data).map_err(failed);
    }
    Err(damaged(&format!("it has no {}", part.prefix())))
}

/// Unpacks the files of a package whose path (relative, without `./`) is wanted.
///
/// # Errors
/// See [`Error`].
pub fn unpack(package: &Path, into: &Path, wanted: &dyn Fn(&str) -> bool) -> Result<(), Error> {
    with_part(package, Part::Data, into, &mut |data| unpack_tar(data, into, wanted))
}

/// A small file of a package as text, by its path (relative, without `./`); `None` when there is none.
///
/// # Errors
/// See [`Error`].
pub fn text(package: &Path, wanted: &str) -> Result<Option<String>, Error> {
    let mut found = None;
    with_part(package, Part::Data, package, &mut |data| {
        for entry in tar::Archive::new(data).entries()? {
            let entry = entry?;
            let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
            if path.trim_start_matches("./") == wanted && entry.header().entry_type().is_file() {
                let mut bytes = Vec::new();
                entry.take(TEXT_LIMIT).read_to_end(&mut bytes)?;
                found = Some(String::from_utf8_lossy(&bytes).into_owned());
                break;
            }
        }
        Ok(())
    })?;
    Ok(found)
}

/// The decompressor for a member's suffix.
fn decoder<'a>(suffix: &str, data: impl Read + 'a) -> Option<Box<dyn Read + 'a>> {
    Some(match suffix {
        "" => Box::new(data),
        ".gz" => Box::new(flate2::read::GzDecoder::new(data)),
        ".xz" => Box::new(liblzma::read::XzDecoder::new(data)),
        ".zst" => Box::new(ruzstd::decoding::StreamingDecoder::new(data).ok()?),
        _ => return None,
    })
}

/// Unpacks a tar; `tar` itself refuses paths and links that lead out of the folder.
fn unpack_tar(data: &mut dyn Read, into: &Path, wanted: &dyn Fn(&str) -> bool) -> io::Result<()> {
    let mut archive = tar::Archive::new(data);
    archive.set_preserve_mtime(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let kind = entry.header().entry_type();
        let path = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let path = path.trim_start_matches("./").trim_end_matches('/');
        if path.is_empty() || !wanted(path) {
            continue;
        }
        // A folder that is there already may be a merged-/usr link: leave it.
        if kind.is_dir() && into.join(path).is_dir() {
            continue;
        }
        let device = kind.is_character_special() || kind.is_block_special() || kind.is_fifo();
        if !device && !entry.unpack_in(into)? {
            return Err(io::Error::other(format!("`{path}` leads out of the package")));
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use std::io::Write;

    /// A package with these files (path, content).
    pub fn package(files: &[(&str, &str)]) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        for (path, content) in files {
            let mut header = tar::Header::new_gnu();
            header.set_size(content.len() as u64);
            header.set_mode(0o755);
            // Set the name by hand: the builder refuses the paths that a test wants to see refused.
            header.as_old_mut().name[..path.len()].copy_from_slice(path.as_bytes());
            header.set_cksum();
            tar.append(&header, content.as_bytes()).unwrap();
        }
        let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 1);
        xz.write_all(&tar.into_inner().unwrap()).unwrap();
        let data = xz.finish().unwrap();
        let mut archive = ar::Builder::new(Vec::new());
        for (name, bytes) in [("debian-binary", &b"2.0\n"[..]), ("data.tar.xz", &data)] {
            let header = ar::Header::new(name.as_bytes().to_vec(), bytes.len() as u64);
            archive.append(&header, bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Result<(), Error>) {
        let folder = tempfile::tempdir().unwrap();
        let (deb, root) = (folder.path().join("a.deb"), folder.path().join("root"));
        std::fs::write(&deb, bytes).unwrap();
        prepare_root(&root).unwrap();
        let result = unpack(&deb, &root, &|path| !path.contains("doc"));
        (folder, result)
    }

    #[test]
    fn files_land_through_merged_links() {
        let bytes =
            package(&[("./lib/x/liba.so", "a"), ("./usr/bin/b", "b"), ("./usr/doc/c", "c")]);
        let (folder, result) = unpacked(&bytes);
        result.unwrap();
        let root = folder.path().join("root");
        assert_eq!(std::fs::read_to_string(root.join("usr/lib/x/liba.so")).unwrap(), "a");
        assert!(root.join("usr/bin/b").exists() && !root.join("usr/doc").exists());
        let deb = folder.path().join("a.deb");
        assert_eq!(text(&deb, "usr/doc/c").unwrap().as_deref(), Some("c"));
        assert_eq!(text(&deb, "usr/doc/d").unwrap(), None);
    }

    #[test]
    fn damage_is_reported() {
        for bytes in [&b"no archive"[..], b"!<arch>\n", &package(&[("./a", "a")])[..200]] {
            let (_folder, result) = unpacked(bytes);
            let error = result.unwrap_err().to_string();
            assert!(error.contains("a.deb"), "{error}");
        }
    }

    #[test]
    fn paths_that_lead_out_are_refused() {
        let (folder, result) = unpacked(&package(&[("../evil", "x")]));
        assert!(result.is_err());
        assert!(!folder.path().join("evil").exists());
    }
}
