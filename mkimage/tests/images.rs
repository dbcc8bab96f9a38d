//! Finished media: the same bytes from the same inputs, and nothing else left behind.

use mkimage::assemble::{self, Built, Medium, Output, Request};
use mkimage::formats::Form;
use mkimage::guest::disk::Disk;
use mkimage::guest::inspect::Image;
use mkimage::guest::tree::Tree;
use mkimage::hash::Sha256;
use mkimage::manifest::Manifest;
use mkimage::project::{Options, Project};
use mkimage::recipe::PartitionTable;
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
        ..Request::new(&recipe(inputs), &Medium::ALL)
    };
    let built = assemble::appliance(&project, &request, &Output::Folder(out.to_owned()));
    built.unwrap_or_else(|error| panic!("can't build the appliance: {error}"))
}

/// The appliance's recipe, with its disk image in all forms; returns its path.
fn recipe(folder: &Path) -> String {
    let recipes = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("recipes");
    let text = std::fs::read_to_string(recipes.join("appliance.toml")).unwrap();
    let names: Vec<&str> = Form::all().map(Form::name).collect();
    let overlay = recipes.with_file_name("overlays");
    let text = text.replace("\"../overlays", &format!("\"{}", overlay.display()));
    let text = text.replace("\ntimeout", &format!("\nformats = {names:?}\ntimeout"));
    let path = folder.join("appliance.toml");
    std::fs::write(&path, text).unwrap();
    std::fs::copy(recipes.join("appliance.lock"), folder.join("appliance.lock")).unwrap();
    path.display().to_string()
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
    for form in Form::all() {
        assert!(listed.contains_key(&form.file("xenolith-appliance")), "{}", form.name());
    }
    let bill = std::fs::read(out.join("xenolith-appliance.spdx.json")).unwrap();
    let bill: serde_json::Value = serde_json::from_slice(&bill).unwrap();
    let licences: BTreeMap<&str, &str> = bill["packages"]
        .as_array()
        .unwrap()
        .iter()
        .map(|part| (part["name"].as_str().unwrap(), part["licenseDeclared"].as_str().unwrap()))
        .collect();
    let kernel = licences.iter().find(|(name, _)| name.starts_with("linux-image-"));
    assert!(kernel.is_some_and(|(_, licence)| licence.contains("GPL-2.0")), "{licences:?}");
    assert!(licences["grub-common"].contains("GPL-3.0"), "{licences:?}");
    let image = out.join("xenolith-appliance.img").metadata().unwrap();
    assert!(image.blocks() * 512 < MOST_CONTENT, "{} bytes", image.blocks() * 512);
}

#[test]
fn a_guests_disk_has_partitions_or_is_its_file_system() {
    let project = Project::find(Options::from_environment()).unwrap();
    let tools = project.tools().unwrap_or_else(|error| panic!("{error}"));
    let folder = tempfile::tempdir().unwrap();
    let mut tree = Tree::new(1);
    tree.write("etc/hostname", "tiny\n");
    let write = |name: &str, table| {
        let disk = Disk { id: Sha256::of(b""), size: 256 << 20, epoch: 1, table, tools: &tools };
        let path = folder.path().join(name);
        disk.write(&path, &tree, folder.path()).unwrap_or_else(|error| panic!("{error}"));
        path
    };
    let (disk, bare) = (write("disk", PartitionTable::Gpt), write("bare", PartitionTable::None));
    let files = |path: &Path| Image::open(path).unwrap().files().unwrap();
    assert!(files(&disk).contains_key("/etc/hostname"));
    assert_eq!(files(&disk), files(&bare));
    assert_eq!(Sha256::of_file(&bare).unwrap(), {
        let again = write("again", PartitionTable::None);
        Sha256::of_file(&again).unwrap()
    });
    let marks = |path: &Path| {
        let bytes = std::fs::read(path).unwrap();
        (&bytes[512..520] == b"EFI PART", bytes[0x438..0x43a] == [0x53, 0xef])
    };
    assert_eq!((marks(&disk), marks(&bare)), ((true, false), (false, true)));
}
