//! Unpacks packages into a folder that becomes a system's root: many at a time, and without root.
//!
//! Files belong to whoever runs mkimage. Inside of the sandbox that is root, so only what belongs to
//! others is noted, to be put right there.

use super::package::Package;
use crate::deb::{self, Part};
use crate::fs;
use crate::progress::Step;
use crate::tools::for_each_parallel;
use std::io::{self, Read};
use std::path::Path;
use std::sync::{Mutex, PoisonError};

/// What unpacking a package found.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// The package's paths in its own order, absolute; the root is `/.`.
    pub paths: Vec<String>,
    /// What doesn't belong to root.
    pub owners: Vec<Owner>,
}

/// The owner of a file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// The absolute path.
    pub path: String,
    /// The user's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Permissions, which a change of owner takes away in part.
    pub mode: u32,
}

/// Unpacks packages on all CPUs; the answers are in their order. Nothing is newer than `epoch`.
///
/// # Errors
/// When a package is damaged, or the disk is full.
pub fn unpack(packages: &[&Package], root: &Path, epoch: u64) -> Result<Vec<Unpacked>, deb::Error> {
    deb::prepare_root(root)?;
    fs::set_mode(root, 0o755)?;
    let step = Step::items("unpacking packages", packages.len());
    let answers: Vec<Mutex<Unpacked>> = packages.iter().map(|_| Mutex::default()).collect();
    // Large ones first, so that no CPU is left with one at the end.
    let mut order: Vec<usize> = (0..packages.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(packages.get(*at).map(|package| package.size)));
    for_each_parallel(&order, |at| {
        let (Some(package), Some(answer)) = (packages.get(*at), answers.get(*at)) else {
            return Ok(());
        };
        let mut found = Unpacked::default();
        deb::with_part(&package.path, Part::Data, root, &mut |data| {
            unpack_one(data, root, epoch, &mut found)
        })?;
        *answer.lock().unwrap_or_else(PoisonError::into_inner) = found;
        step.advance(1);
        Ok::<(), deb::Error>(())
    })?;
    Ok(answers
        .into_iter()
        .map(|answer| answer.into_inner().unwrap_or_else(PoisonError::into_inner))
        .collect())
}

fn unpack_one(
    data: &mut dyn Read,
    root: &Path,
    epoch: u64,
    found: &mut Unpacked,
) -> io::Result<()> {
    let mut archive = tar::Archive::new(data);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let header = entry.header();
        let kind = header.entry_type();
        let (uid, gid, mode) = (header.uid()?, header.gid()?, header.mode()? & 0o7777);
        let time = header.mtime()?.min(epoch);
        let name = entry.path_bytes();
        let name = std::str::from_utf8(&name)
            .map_err(|_| io::Error::other("it has a path that isn't UTF-8"))?;
        let path = name.trim_start_matches("./").trim_end_matches('/').to_owned();
        found.paths.push(if path.is_empty() { "/.".to_owned() } else { format!("/{path}") });
        if path.is_empty() {
            continue;
        }
        let target = root.join(&path);
        if kind.is_dir() {
            // Several packages have it, or it is a link of the merged /usr.
            if !target.is_dir() {
                entry.unpack_in(root)?;
                fs::set_mode(&target, mode).map_err(io::Error::other)?;
            }
        } else if kind.is_file() || kind.is_symlink() || kind.is_hard_link() {
            let there = target.read_link().ok();
            if kind.is_symlink() && there.is_some() && there == entry.link_name()?.map(Into::into) {
                continue;
            }
            entry.set_preserve_permissions(true);
            entry.set_preserve_mtime(false);
            if !entry.unpack_in(root)? {
                return Err(io::Error::other(format!("`{path}` leads out of the package")));
            }
            if kind.is_file() {
                let file = std::fs::File::options().write(true).open(&target);
                // A file that is its owner's to read only keeps the time of its unpacking, which
                // the image doesn't: see `Tree`.
                if let Ok(file) = file {
                    file.set_modified(
                        std::time::UNIX_EPOCH + std::time::Duration::from_secs(time),
                    )?;
                }
            }
        } else {
            return Err(io::Error::other(format!("`{path}` is neither file, folder nor link")));
        }
        if (uid, gid) != (0, 0) {
            found.owners.push(Owner { path: format!("/{path}"), uid, gid, mode });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn archive() -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        let mut add = |path: &str, kind, mode, gid, content: &str| {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(kind);
            header.set_mode(mode);
            header.set_uid(0);
            header.set_gid(gid);
            header.set_mtime(5000);
            let (size, link) =
                if kind == tar::EntryType::Symlink { (0, content) } else { (content.len(), "") };
            header.set_size(size as u64);
            if !link.is_empty() {
                header.set_link_name(link).unwrap();
            }
            let bytes = if link.is_empty() { content.as_bytes() } else { b"" };
            builder.append_data(&mut header, path, bytes).unwrap();
        };
        add("./", tar::EntryType::Directory, 0o755, 0, "");
        add("./bin", tar::EntryType::Symlink, 0o777, 0, "usr/bin");
        add("./var/mail/", tar::EntryType::Directory, 0o2775, 8, "");
        add("./usr/bin/chage", tar::EntryType::Regular, 0o2755, 42, "x");
        builder.into_inner().unwrap()
    }

    #[test]
    fn owners_and_modes_are_noted() {
        let folder = tempfile::tempdir().unwrap();
        deb::prepare_root(folder.path()).unwrap();
        let mut found = Unpacked::default();
        unpack_one(&mut archive().as_slice(), folder.path(), 1000, &mut found).unwrap();
        assert_eq!(found.paths, ["/.", "/bin", "/var/mail", "/usr/bin/chage"]);
        let owner = |path: &str, gid, mode| Owner { path: path.to_owned(), uid: 0, gid, mode };
        assert_eq!(
            found.owners,
            [owner("/var/mail", 8, 0o2775), owner("/usr/bin/chage", 42, 0o2755)]
        );
        let meta = folder.path().join("bin/chage").metadata().unwrap();
        assert_eq!(meta.permissions().mode() & 0o7777, 0o2755);
        let time = meta.modified().unwrap().duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(time.as_secs(), 1000);
        let mode = folder.path().join("var/mail").metadata().unwrap().permissions().mode();
        assert_eq!(mode & 0o7777, 0o2775);
    }
}
