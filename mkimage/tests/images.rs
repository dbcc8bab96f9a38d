//! Finished media: the same bytes from the same inputs, and nothing else left behind.

use mkimage::assemble::{self, Built, Medium, Output, Request};
use mkimage::hash::Sha256;
use mkimage::manifest::Manifest;
use mkimage::project::{Options, Project};
use std::collections::BTreeMap;
use std::path::Path;

/// Bytes that the disk image may hold.
const MOST_CONTENT: u64 = 100_000_000;

fn build(inputs: &Path, out: &Path) -> Built {
    let project = Project::find(Options::from_environment()).unwrap();
    // Stand-ins: this is about media, and the real binaries take minutes to compile.
    for (name, byte) in [("hypervisor", 1), ("init", 2)] {
        std::fs::write(inputs.join(name), vec![byte; 700_000]).unwrap();
    }
    let request = Request {
        hypervisor: Some(inputs.join("hypervisor")),
        dom0_init: Some(inputs.join("init")),
        ..Request::new("appliance", &Medium::ALL)
    };
    let built = assemble::appliance(&project, &request, &Output::Folder(out.to_owned()));
    built.unwrap_or_else(|error| panic!("can't build the appliance: {error}"))
}

/// Every file below a folder, with its digest.
fn contents(folder: &Path, below: &str, all: &mut BTreeMap<String, Sha256>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = format!("{below}{}", path.file_name().unwrap().to_string_lossy());
        if path.is_dir() {
            contents(&path, &format!("{name}/"), all);
        } else {
            all.insert(name, Sha256::of_file(&path).unwrap().1);
        }
    }
}

#[test]
fn two_builds_are_byte_identical_and_complete() {
    use std::os::unix::fs::MetadataExt;
    let folder = tempfile::tempdir().unwrap();
    let mut found = Vec::new();
    for name in ["first", "second with a longer name"] {
        let (inputs, out) =
            (folder.path().join(format!("{name} inputs")), folder.path().join(name));
        std::fs::create_dir(&inputs).unwrap();
        assert!(build(&inputs, &out).fresh);
        assert!(!build(&inputs, &out).fresh, "an unchanged build is not repeated");
        let mut all = BTreeMap::new();
        contents(&out, "", &mut all);
        found.push(all);
    }
    let (first, second) = (&found[0], &found[1]);
    let names: Vec<&String> = first.keys().collect();
    assert_eq!(names, second.keys().collect::<Vec<_>>());
    for (name, digest) in first {
        assert_eq!(second[name], *digest, "{name} differs between two builds");
    }
    let out = folder.path().join("first");
    let manifest = std::fs::read_to_string(out.join("manifest.json")).unwrap();
    let manifest: Manifest = serde_json::from_str(&manifest).unwrap();
    let listed: BTreeMap<String, Sha256> =
        manifest.files.into_iter().map(|file| (file.path, file.sha256)).collect();
    let mut expected = first.clone();
    expected.remove("manifest.json");
    assert_eq!(listed, expected, "the manifest lists exactly what is there");
    let image = out.join("xenolith-appliance.img").metadata().unwrap();
    assert!(image.blocks() * 512 < MOST_CONTENT, "{} bytes", image.blocks() * 512);
}
