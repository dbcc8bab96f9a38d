//! Texts and files from outside, changed at random: whatever comes, parsers answer, and never panic.
//! Those of manifests, signatures, OVF descriptors, block maps and disk images are tested so where
//! they are (`catalogue`, `disk-formats`).

mod support;

use mkimage::apt::index::{Archive, Index};
use mkimage::apt::release::Release;
use mkimage::lock::Lock;
use mkimage::recipe::Recipe;
use mkimage::release::channel::Channel;
use mkimage::{deb, fs};
use proptest::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// What is done to an input: at a place, some bytes are taken out and others put in.
#[derive(Debug, Clone)]
struct Change {
    at: usize,
    cut: usize,
    put: Vec<u8>,
}

/// Pieces that mean something to one parser or another, and bytes that mean nothing.
fn changes() -> impl Strategy<Value = Vec<Change>> {
    let words = prop::sample::select(vec![
        "\n",
        "\n\n",
        " ",
        ":",
        "=",
        "[",
        "]",
        "[[package]]",
        "{",
        "}",
        "\"",
        "'",
        ",",
        "|",
        "(>= ",
        ")",
        "#",
        "-1",
        "18446744073709551616",
        "../",
        "\\u0000",
        "é",
        "true",
        "1e999",
        "Package: ",
        "0",
    ]);
    let put = prop_oneof![
        words.prop_map(|word| word.as_bytes().to_vec()),
        prop::collection::vec(any::<u8>(), 0..6),
    ];
    let one = (any::<usize>(), 0_usize..40, put).prop_map(|(at, cut, put)| Change { at, cut, put });
    prop::collection::vec(one, 1..6)
}

fn changed(input: &[u8], changes: &[Change]) -> Vec<u8> {
    let mut bytes = input.to_vec();
    for Change { at, cut, put } in changes {
        let at = at % (bytes.len() + 1);
        let end = (at + cut).min(bytes.len());
        bytes.splice(at..end, put.iter().copied());
    }
    bytes
}

fn changed_text(input: &str, changes: &[Change]) -> String {
    String::from_utf8_lossy(&changed(input.as_bytes(), changes)).into_owned()
}

fn recipes() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../recipes")
}

/// The tree's own recipes and locks, cut to what a parser needs to see.
fn real(extension: &str) -> Vec<String> {
    let files = fs::list(&recipes()).unwrap();
    let files = files.iter().filter(|path| path.extension().is_some_and(|end| end == extension));
    let texts = files.map(|path| fs::read_text(path).unwrap());
    texts.map(|text| text.lines().take(60).map(|line| format!("{line}\n")).collect()).collect()
}

static RECIPES: LazyLock<Vec<String>> = LazyLock::new(|| real("toml"));
static LOCKS: LazyLock<Vec<String>> = LazyLock::new(|| real("lock"));

const INDEX: &str = "Package: libc6\nArchitecture: amd64\nVersion: 2:2.41-12+deb13u4~x\n\
    Depends: libgcc-s1 (>= 3.0), a | b:any (<< 1), c [amd64] <!nocheck>\nProvides: x (= 1), y\n\
    Filename: pool/main/g/glibc/libc6_2.41_amd64.deb\nSize: 2848912\n\
    SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n\
    Description: GNU C Library\n Multi-line\n .\n\nPackage: b\nVersion: 1\nArchitecture: all\n\
    Filename: pool/b.deb\nSize: 1\n\
    SHA256: e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\n";

const RELEASE: &str = "Suite: stable\nCodename: trixie\nDate: Sat, 12 Sep 2026 07:55:41 UTC\n\
    Valid-Until: Sat, 19 Sep 2027 07:55:41 UTC\nAcquire-By-Hash: yes\nSHA256:\n \
    e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 77 main/binary-amd64/Packages.xz\n";

proptest! {
    #[test]
    fn recipes_are_answered(which in any::<prop::sample::Index>(), changes in changes()) {
        let text = changed_text(which.get::<String>(&RECIPES), &changes);
        if let Err(error) = Recipe::parse(Path::new("r.toml"), text) {
            prop_assert!(error.to_string().contains("r.toml"), "{error}");
        }
    }

    #[test]
    fn locks_are_answered(which in any::<prop::sample::Index>(), changes in changes()) {
        let text = changed_text(which.get::<String>(&LOCKS), &changes);
        if let Ok(lock) = Lock::parse(&text) {
            prop_assert!(lock.packages.iter().all(|package| !package.filename.contains("../")));
        }
    }

    #[test]
    fn package_indices_are_answered(changes in changes()) {
        let text = changed_text(INDEX, &changes);
        let mut index = Index::default();
        let _ = index.add(&text, "amd64", Archive::Main);
    }

    #[test]
    fn releases_are_answered(changes in changes()) {
        let text = changed_text(RELEASE, &changes);
        let _ = Release::parse(&text, "trixie", 1_789_200_000);
    }

    #[test]
    fn channels_are_answered(changes in changes()) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("channel.toml");
        let good = "product = \"guests\"\nchannel = \"stable\"\narch = \"amd64\"\n\
            expires-days = 30\nformats = [\"raw.zst\"]\n[keys]\ngeneration = 1\nthreshold = 1\n\
            files = [\"a.pub\"]\n";
        std::fs::write(&path, changed(good.as_bytes(), &changes)).unwrap();
        let _ = Channel::find(folder.path(), "channel");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn packages_are_answered_and_stay_in_their_folder(changes in changes()) {
        static DEB: LazyLock<Vec<u8>> = LazyLock::new(|| support::deb("usr/share/app/file", "content"));
        let folder = tempfile::tempdir().unwrap();
        let (package, root) = (folder.path().join("a.deb"), folder.path().join("inner/root"));
        std::fs::write(&package, changed(&DEB, &changes)).unwrap();
        std::fs::create_dir_all(&root).unwrap();
        if let Err(error) = deb::unpack(&package, &root, &|_| true) {
            prop_assert!(error.to_string().contains("a.deb"), "{error}");
        }
        let names = |folder: &Path| std::fs::read_dir(folder).unwrap().count();
        prop_assert_eq!((names(folder.path()), names(&folder.path().join("inner"))), (2, 1));
    }
}
