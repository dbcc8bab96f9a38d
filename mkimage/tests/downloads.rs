//! Downloads from a server that misbehaves, and an archive that was tampered with.

mod support;

use mkimage::apt::index::Index;
use mkimage::apt::resolve::{Request, resolve};
use mkimage::hash::Sha256;
use mkimage::lock::Locked;
use mkimage::net::archive::Archive;
use mkimage::net::cache::Cache;
use mkimage::net::http::{Error, Expected, Http};
use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;
use support::{Answer, Server, Signer, archive, deb, publish};
use tempfile::TempDir;

fn http() -> Http {
    let mut http = Http::new(false).unwrap();
    http.backoff = Duration::from_millis(1);
    http
}

fn content() -> Vec<u8> {
    (0..200_000_u32).map(|i| (i * 7 % 251) as u8).collect()
}

/// Fetches `/file` with the digest of `content`; returns the result and the progress told.
fn fetch(server: &Server, folder: &TempDir) -> (Result<Vec<u8>, Error>, i64) {
    let bytes = content();
    let expected = Expected { size: bytes.len() as u64, sha256: Sha256::of(&bytes) };
    let told = Cell::new(0);
    let urls = [format!("{}/file", server.url)];
    let progress = |by| told.set(told.get() + by);
    let path = http().blob(&Cache::new(folder.path()), &urls, expected, &progress);
    (path.map(|path| std::fs::read(path).unwrap()), told.get())
}

fn no_partials(folder: &TempDir) -> bool {
    std::fs::read_dir(folder.path().join("partial")).unwrap().next().is_none()
}

#[test]
fn a_broken_transfer_is_resumed() {
    let (server, folder) = (Server::new(), TempDir::new().unwrap());
    let answer = Answer::Truncated { bytes: content(), at: 30_000, times: 9 };
    server.set("/file", answer);
    let (result, told) = fetch(&server, &folder);
    assert_eq!(result.unwrap(), content());
    assert_eq!(told, 200_000);
    let ranges = server.requests.lock().unwrap().clone();
    assert_eq!(ranges[..3], ["/file 0", "/file 30000", "/file 60000"]);
    assert!(no_partials(&folder));
}

#[test]
fn a_later_run_goes_on_where_the_last_one_stopped() {
    let (server, folder) = (Server::new(), TempDir::new().unwrap());
    let answer = Answer::Truncated { bytes: content(), at: 0, times: 99 };
    let partial = Cache::new(folder.path()).partial(Sha256::of(&content()));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::fs::write(&partial, &content()[..50_000]).unwrap();
    server.set("/file", answer);
    let (result, _) = fetch(&server, &folder);
    let error = result.unwrap_err().to_string();
    assert!(error.contains("check the network") && error.contains("/file"), "{error}");
    server.set("/file", Answer::Bytes(content()));
    let (result, told) = fetch(&server, &folder);
    assert_eq!((result.unwrap(), told), (content(), 200_000));
    assert_eq!(server.requests.lock().unwrap().last().unwrap(), "/file 50000");
}

#[test]
fn a_damaged_partial_is_thrown_away() {
    let (server, folder) = (Server::new(), TempDir::new().unwrap());
    let partial = Cache::new(folder.path()).partial(Sha256::of(&content()));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    for damaged in [vec![1; 50_000], vec![1; 200_000], vec![1; 300_000]] {
        std::fs::write(&partial, damaged).unwrap();
        server.set("/file", Answer::Bytes(content()));
        let (result, told) = fetch(&server, &folder);
        assert_eq!((result.unwrap(), told), (content(), 200_000));
        std::fs::remove_dir_all(folder.path().join("blobs")).unwrap();
    }
}

#[test]
fn servers_without_ranges_start_over() {
    let (server, folder) = (Server::new(), TempDir::new().unwrap());
    server.set("/file", Answer::NoRanges { bytes: content(), truncate_first_at: Some(70_000) });
    let (result, told) = fetch(&server, &folder);
    assert_eq!((result.unwrap(), told), (content(), 200_000));
}

#[test]
fn other_content_is_refused_and_nothing_is_left() {
    let (server, folder) = (Server::new(), TempDir::new().unwrap());
    let mut flipped = content();
    flipped[77_777] ^= 1;
    let longer = [content(), vec![0]].concat();
    for bytes in [flipped, longer] {
        server.set("/file", Answer::Bytes(bytes));
        let (result, told) = fetch(&server, &folder);
        let error = result.unwrap_err();
        assert!(matches!(error, Error::Changed { .. }), "{error}");
        assert_eq!(told, 0);
        assert!(no_partials(&folder));
    }
}

#[test]
fn missing_files_failing_servers_and_offline() {
    let (server, folder) = (Server::new(), TempDir::new().unwrap());
    assert!(matches!(fetch(&server, &folder).0, Err(Error::NotFound { status: 404, .. })));
    assert_eq!(server.count("/file"), 1);
    server.set("/file", Answer::Status(503));
    let error = fetch(&server, &folder).0.unwrap_err().to_string();
    assert!(error.contains("HTTP 503"), "{error}");
    assert_eq!(server.count("/file"), 6);
    let error = Http::new(true).unwrap().text("http://x/InRelease").unwrap_err().to_string();
    assert!(error.contains("mkimage fetch"), "{error}");
}

#[test]
fn an_unreachable_mirror_is_one_message() {
    let folder = TempDir::new().unwrap();
    let mut server = Server::new();
    // A port on which nothing listens.
    server.url = "http://127.0.0.1:9".to_owned();
    let error = fetch(&server, &folder).0.unwrap_err().to_string();
    assert!(error.contains("--mirror") && !error.contains('\n'), "{error}");
}

#[test]
fn a_full_disk_is_one_message() {
    let server = Server::new();
    server.set("/file", Answer::Bytes(content()));
    let folder = TempDir::new().unwrap();
    let partial = Cache::new(folder.path()).partial(Sha256::of(&content()));
    std::fs::create_dir_all(partial.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink("/dev/full", &partial).unwrap();
    let error = fetch(&server, &folder).0.unwrap_err().to_string();
    assert!(error.contains("disk is full") && error.contains("--cache"), "{error}");
}

/// An archive with two packages, and what a lock would say about them.
fn setup(folder: &TempDir) -> (Server, Signer, Archive, Vec<Locked>) {
    let (server, signer) = (Server::new(), Signer::new());
    publish(&server, &signer, &[("app", "1", "Depends: lib (>= 2)\n"), ("lib", "2", "")]);
    let archive = archive(&server, &signer, folder.path());
    let suite = archive.suite("trixie", &["main".to_owned()], "amd64").unwrap();
    let mut index = Index::default();
    index.add(&suite.indices[0].text, "amd64", suite.indices[0].origin).unwrap();
    let mut request = Request::default();
    request.packages.insert("app".to_owned(), None);
    let ids = resolve(&index, "trixie", &request).unwrap();
    let locked = ids.into_iter().map(|id| Locked::from(index.get(id).unwrap())).collect();
    (server, signer, archive, locked)
}

#[test]
fn packages_are_resolved_fetched_and_cached() {
    let folder = TempDir::new().unwrap();
    let (server, _, archive, locked) = setup(&folder);
    let paths = archive.fetch("test", &locked).unwrap();
    assert_eq!(std::fs::read(&paths[1]).unwrap(), deb("usr/share/lib", "2"));
    archive.fetch("test", &locked).unwrap();
    assert_eq!(server.count("/debian/pool/main/lib_2_amd64.deb"), 1);
}

#[test]
fn an_index_is_unpacked_once() {
    let folder = TempDir::new().unwrap();
    let (server, _, archive, _) = setup(&folder);
    let asked = |server: &Server| server.requests.lock().unwrap().len();
    let before = asked(&server);
    let packed: Vec<_> = blobs(folder.path()).into_iter().filter(|path| is_xz(path)).collect();
    assert_eq!(packed.len(), 1);
    std::fs::remove_file(&packed[0]).unwrap();
    let suite = archive.suite("trixie", &["main".to_owned()], "amd64").unwrap();
    assert!(suite.indices[0].text.contains("Package: lib"));
    assert_eq!(asked(&server), before + 1, "only the signed release is read again");
}

fn blobs(cache: &Path) -> Vec<PathBuf> {
    let list = |folder: PathBuf| mkimage::fs::list(&folder).unwrap();
    list(cache.join("blobs/sha256")).into_iter().flat_map(list).collect()
}

fn is_xz(path: &Path) -> bool {
    std::fs::read(path).unwrap().starts_with(b"\xfd7zXZ")
}

#[test]
fn a_tampered_index_is_refused() {
    let folder = TempDir::new().unwrap();
    let (server, signer, ..) = setup(&folder);
    let paths: Vec<String> = server.requests.lock().unwrap().clone();
    let index = paths.iter().find(|path| path.contains("by-hash")).unwrap();
    let index = index.split(' ').next().unwrap();
    let fresh = TempDir::new().unwrap();
    let components = ["main".to_owned()];
    let other = archive(&server, &signer, fresh.path());
    server.set(index, Answer::Bytes(b"something else".to_vec()));
    let error = other.suite("trixie", &components, "amd64").unwrap_err().to_string();
    assert!(error.contains("not the expected one"), "{error}");
    // Without by-hash, the plain name is asked for.
    server.remove(index);
    assert!(other.suite("trixie", &components, "amd64").is_ok());
}

#[test]
fn a_tampered_release_is_refused() {
    let folder = TempDir::new().unwrap();
    let (server, signer, archive, _) = setup(&folder);
    let changed = signer.sign("Suite: stable\n").replace("stable", "stablf");
    server.set("/debian/dists/trixie/InRelease", Answer::Bytes(changed.into_bytes()));
    let error = archive.suite("trixie", &["main".to_owned()], "amd64").unwrap_err().to_string();
    assert!(error.contains("InRelease: no valid signature"), "{error}");
    assert!(error.contains("it was changed"), "{error}");
}

#[test]
fn a_tampered_package_is_named() {
    let folder = TempDir::new().unwrap();
    let (server, _, archive, locked) = setup(&folder);
    let mut bytes = deb("usr/share/lib", "2");
    *bytes.last_mut().unwrap() ^= 1;
    server.set("/debian/pool/main/lib_2_amd64.deb", Answer::Bytes(bytes));
    let error = archive.fetch("test", &locked).unwrap_err().to_string();
    assert!(error.starts_with("package lib 2: ") && error.contains("not the expected"), "{error}");
}

#[test]
fn a_package_that_left_the_archive_has_a_way_out() {
    let folder = TempDir::new().unwrap();
    let (server, _, archive, locked) = setup(&folder);
    let path = "/debian/pool/main/lib_2_amd64.deb";
    server.remove(path);
    let error = archive.fetch("test", &locked).unwrap_err().to_string();
    assert!(error.contains("mkimage lock --update test"), "{error}");
    // The security archive may still have it.
    let moved = "/debian-security/pool/updates/main/lib_2_amd64.deb";
    server.set(moved, Answer::Bytes(deb("usr/share/lib", "2")));
    archive.fetch("test", &locked).unwrap();
    assert_eq!(server.count(moved), 2);
}
