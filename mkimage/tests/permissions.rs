//! A system's files have the permissions that packages give them, whatever the builder's own files
//! get. A process has one mask for all its threads, so this test is alone in its program.

mod support;

use mkimage::guest::package::{ControlFile, Package};
use mkimage::guest::{database, unpack};
use rustix::fs::Mode;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

fn modes(folder: &Path, found: &mut Vec<(String, u32)>) {
    for path in mkimage::fs::list(folder).unwrap() {
        let meta = path.symlink_metadata().unwrap();
        if meta.is_symlink() {
            continue;
        }
        found.push((path.display().to_string(), meta.permissions().mode() & 0o7777));
        if meta.is_dir() {
            modes(&path, found);
        }
    }
}

#[test]
fn a_builders_mask_leaves_no_trace() {
    let folder = tempfile::tempdir().unwrap();
    let (path, root) = (folder.path().join("a.deb"), folder.path().join("root"));
    std::fs::write(&path, support::deb("./usr/lib/a", "text")).unwrap();
    let script = ControlFile { name: "postinst".to_owned(), bytes: Vec::new(), executable: false };
    let package = Package {
        name: "a".to_owned(),
        path,
        size: 1,
        control: "Package: a\nVersion: 1\n".to_owned(),
        files: vec![script],
        names: Vec::new(),
        pre_depends: Vec::new(),
        depends: Vec::new(),
        essential: false,
    };
    rustix::process::umask(Mode::from_raw_mode(0o077));
    let unpacked = unpack::unpack(&[&package], &root, 1000).unwrap();
    database::write(&root, &[(&package, &unpacked[0])]).unwrap();
    let mut found = Vec::new();
    modes(&root, &mut found);
    assert!(found.len() > 10, "{found:?}");
    let ours = |path: &str| path.contains("/var/lib/dpkg/") || path.contains("/root/usr");
    for (path, mode) in found.into_iter().filter(|(path, _)| ours(path)) {
        let expected = if Path::new(&path).is_dir() { 0o755 } else { 0o644 };
        assert_eq!(mode, expected, "{path}");
    }
}
