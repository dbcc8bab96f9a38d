//! A folder of the host as a tree: what is being made into a system is unpacked there as whoever
//! runs mkimage, and belongs to root.

use super::tree::{Content, Kind, Node, Tree};
use crate::fs::{self, Context};
use std::collections::HashMap;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// The tree of everything in a folder: modes, times, links and further names of files are as they
/// are there, all owners are root.
///
/// # Errors
/// When something can't be read, is neither file, folder nor link, or has a name that isn't UTF-8.
pub fn scan(folder: &Path, epoch: u64) -> fs::Result<Tree> {
    let mut scan = Scan { tree: Tree::new(epoch), names: HashMap::new() };
    scan.add_all(folder, "")?;
    Ok(scan.tree)
}

struct Scan {
    tree: Tree,
    /// The first path of each file that has several, by its number.
    names: HashMap<u64, String>,
}

impl Scan {
    fn add_all(&mut self, folder: &Path, below: &str) -> fs::Result<()> {
        for path in fs::list(folder)? {
            let name = path.file_name().and_then(|name| name.to_str());
            let name = name.ok_or_else(|| io::Error::other("its name isn't UTF-8"));
            let inner = format!("{below}{}", name.at("read", &path)?);
            let meta = path.symlink_metadata().at("read", &path)?;
            let kind = self.kind(&path, &inner, &meta)?;
            let is_folder = kind == Kind::Folder;
            let time = u64::try_from(meta.mtime()).ok().filter(|_| !is_folder);
            let mode = meta.mode() & 0o7777;
            let node = Node { kind, uid: 0, gid: 0, mode, time, xattrs: Vec::new() };
            self.tree.insert(&inner, node);
            if is_folder {
                self.add_all(&path, &format!("{inner}/"))?;
            }
        }
        Ok(())
    }

    fn kind(&mut self, path: &Path, inner: &str, meta: &Metadata) -> fs::Result<Kind> {
        if meta.is_dir() {
            return Ok(Kind::Folder);
        }
        if meta.is_symlink() {
            let target = path.read_link().at("read", path)?;
            return Ok(Kind::Link(target.to_string_lossy().into_owned()));
        }
        if !meta.is_file() {
            let reason = io::Error::other("it is neither file, folder nor link");
            return Err(reason).at("pack", path);
        }
        if meta.nlink() > 1 {
            let first = self.names.entry(meta.ino()).or_insert_with(|| inner.to_owned());
            if first != inner {
                return Ok(Kind::Name(first.clone()));
            }
        }
        Ok(Kind::File(Content::Path(path.to_owned())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_times_and_names_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(&at("usr/bin")).unwrap();
        fs::write(&at("usr/bin/su"), "s").unwrap();
        fs::set_mode(&at("usr/bin/su"), 0o4755).unwrap();
        let old = std::time::UNIX_EPOCH + std::time::Duration::from_secs(7);
        std::fs::File::options()
            .write(true)
            .open(at("usr/bin/su"))
            .unwrap()
            .set_modified(old)
            .unwrap();
        std::fs::hard_link(at("usr/bin/su"), at("usr/bin/zu")).unwrap();
        std::os::unix::fs::symlink("usr/bin", at("bin")).unwrap();
        let tree = scan(folder.path(), 100).unwrap();
        let su = tree.get("usr/bin/su").unwrap();
        assert_eq!((su.mode, su.uid, su.time), (0o4755, 0, Some(7)));
        assert_eq!(tree.get("usr/bin/zu").unwrap().kind, Kind::Name("usr/bin/su".into()));
        assert_eq!(tree.get("bin").unwrap().kind, Kind::Link("usr/bin".into()));
        assert_eq!(tree.file("bin/zu").unwrap(), Some(b"s".to_vec()));
    }

    #[test]
    fn what_no_archive_holds_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("door")).unwrap();
        let error = scan(folder.path(), 100).unwrap_err().to_string();
        assert!(error.contains("door: it is neither file"), "{error}");
    }
}
