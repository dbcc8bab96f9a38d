//! Keys, signatures and release folders, judged by minisign, by hosts, and by what a publisher may
//! get wrong.

mod support;

use catalogue::client::{Client, Expected};
use catalogue::hash::Sha256;
use catalogue::keys::KeySet;
use catalogue::names;
use mkimage::project::{Options, Project};
use mkimage::release::keys::PASSWORD_VARIABLE;
use mkimage::tools::{self, Tools};
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};
use support::{command, mkimage, refused};
use tempfile::TempDir;

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn minisign(tools: &Tools, words: &[&str]) -> Result<String, String> {
    let mut command = tools.command("minisign").unwrap();
    let output = tools::run(command.args(words), "minisign");
    output
        .map(|output| String::from_utf8_lossy(&output.stdout).into_owned())
        .map_err(|error| error.to_string())
}

/// A place to publish from: keys `a` and `b`, a channel of `a`, an image.
struct Publisher {
    folder: TempDir,
}

impl Publisher {
    fn new() -> Self {
        let publisher = Self { folder: TempDir::new().unwrap() };
        for key in ["a", "b"] {
            mkimage(&["key", "new", "--no-password", text(&publisher.at(key))]);
        }
        publisher.channel(1, 1, &["a"]);
        publisher.image("debian-13", b"first");
        publisher
    }

    fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn channel(&self, generation: u64, threshold: u32, keys: &[&str]) {
        let files: Vec<String> = keys.iter().map(|key| format!("\"{key}.pub\"")).collect();
        let text = format!(
            "product = \"guests\"\nchannel = \"stable\"\narch = \"amd64\"\nexpires-days = 30\n\
             formats = [\"raw.zst\", \"qcow2\"]\n[keys]\ngeneration = {generation}\n\
             threshold = {threshold}\nfiles = [{}]\n",
            files.join(", ")
        );
        std::fs::write(self.at("channel.toml"), text).unwrap();
    }

    fn image(&self, name: &str, content: &[u8]) -> PathBuf {
        let path = self.at(&format!("{name}.img"));
        let file = std::fs::File::create(&path).unwrap();
        file.set_len(4 << 20).unwrap();
        file.write_all_at(content, 1 << 20).unwrap();
        path
    }

    fn words(&self, keys: &[&str], more: &[&str]) -> Vec<String> {
        let mut words = vec!["publish".to_owned(), text(&self.at("channel.toml")).to_owned()];
        words.extend(["--to".to_owned(), text(&self.at("public")).to_owned()]);
        for key in keys {
            words.extend(["--key".to_owned(), text(&self.at(&format!("{key}.key"))).to_owned()]);
        }
        words.extend(more.iter().map(|word| (*word).to_owned()));
        words
    }

    fn publish(&self, keys: &[&str], more: &[&str]) -> String {
        let words = self.words(keys, more);
        mkimage(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn refused(&self, keys: &[&str], more: &[&str]) -> String {
        let words = self.words(keys, more);
        refused(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    fn read(&self, name: &str) -> Vec<u8> {
        let path = self.at("public").join(name);
        std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.at("public")).unwrap();
        let mut names: Vec<String> = entries
            .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
            .collect();
        names.sort();
        names
    }

    /// A host that trusts a key.
    fn host(&self, key: &str) -> Client {
        let public = std::fs::read_to_string(self.at(&format!("{key}.pub"))).unwrap();
        let key = public.lines().nth(1).unwrap().to_owned();
        let text = |text: &str| text.to_owned();
        let expected =
            Expected { product: text("guests"), channel: text("stable"), arch: text("amd64") };
        Client::new(expected, KeySet { generation: 1, threshold: 1, keys: vec![key] }, None)
    }

    /// A file's signatures.
    fn signatures(&self, name: &str) -> Vec<String> {
        let place = |place| self.at("public").join(names::signature(name, place));
        (0..16).map_while(|n| std::fs::read_to_string(place(n)).ok()).collect()
    }
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

#[test]
fn minisign_and_mkimage_take_each_others_keys_and_signatures() {
    let project = Project::find(Options::from_environment()).unwrap();
    let tools = project.tools_of("interop").unwrap_or_else(|error| panic!("{error}"));
    let folder = TempDir::new().unwrap();
    let at = |name: &str| folder.path().join(name);
    std::fs::write(at("file"), "content").unwrap();

    // Ours, with a password; minisign verifies.
    let mut new = command(&["key", "new", text(&at("ours"))]);
    assert!(new.env(PASSWORD_VARIABLE, "secret").output().unwrap().status.success());
    let said = refused(&["sign", text(&at("file")), "--key", text(&at("ours.key"))]);
    assert!(said.contains(PASSWORD_VARIABLE), "{said}");
    let sign = |password: &str| {
        let mut sign = command(&["sign", text(&at("file")), "--key", text(&at("ours.key"))]);
        sign.env(PASSWORD_VARIABLE, password).output().unwrap()
    };
    let wrong = sign("wrong");
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(!wrong.status.success() && said.contains("Wrong password"), "{said}");
    assert!(!at("file.minisig").exists());
    assert!(sign("secret").status.success());
    let verify = ["-V", "-m", text(&at("file")), "-p", text(&at("ours.pub"))].map(str::to_owned);
    let verify: Vec<&str> = verify.iter().map(String::as_str).collect();
    let said = minisign(&tools, &verify).unwrap();
    assert!(said.contains("Signature and comment signature verified"), "{said}");
    std::fs::write(at("file"), "contend").unwrap();
    let said = minisign(&tools, &verify).unwrap_err();
    assert!(said.contains("verification failed"), "{said}");

    // minisign's, whose key signs here; it verifies again.
    let (public, secret) = (at("theirs.pub"), at("theirs.key"));
    std::fs::write(at("password"), "secret\nsecret\n").unwrap();
    let mut generate = tools.command("minisign").unwrap();
    generate.args(["-G", "-p", text(&public), "-s", text(&secret)]);
    generate.stdin(std::fs::File::open(at("password")).unwrap());
    tools::run(&mut generate, "minisign").unwrap_or_else(|error| panic!("{error}"));
    let (file, password) = (at("file"), at("password"));
    let words = ["--key", text(&secret), "--password-file", text(&password)];
    mkimage(&[&["sign", text(&file)], &words[..]].concat());
    minisign(&tools, &["-V", "-m", text(&at("file")), "-p", text(&public)]).unwrap();
}

#[test]
fn a_release_is_complete_and_hosts_accept_it() {
    let project = Project::find(Options::from_environment()).unwrap();
    let tools = project.tools_of("interop").unwrap_or_else(|error| panic!("{error}"));
    let publisher = Publisher::new();
    let said = publisher.publish(&["a"], &[text(&publisher.at("debian-13.img"))]);
    assert!(said.contains("version 1 of guests stable with 1 image,"), "{said}");
    let public = std::fs::read_to_string(publisher.at("a.pub")).unwrap();
    let line = format!(
        "(image-catalogue 'https://HOST/FOLDER key={} product=guests channel=stable')",
        public.lines().nth(1).unwrap()
    );
    assert!(said.lines().any(|found| found == line), "{line}: {said}");
    let manifest = publisher.read(names::MANIFEST);
    let signatures = publisher.signatures(names::MANIFEST);
    let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
    let accepted = publisher.host("a").accept(&manifest, &signatures, now()).unwrap();
    let image = accepted.manifest.image("debian-13").unwrap();
    let (size, sha256) = Sha256::of_file(&publisher.at("debian-13.img")).unwrap();
    assert_eq!((image.disk.size, image.disk.sha256), (size, sha256));
    for artifact in &image.artifacts {
        let bytes = publisher.read(&artifact.file);
        assert_eq!((bytes.len() as u64, Sha256::of(&bytes)), (artifact.size, artifact.sha256));
    }
    // By other programs: minisign, and sha256sum's form.
    for name in [names::MANIFEST, names::SUMS] {
        let path = publisher.at("public").join(name);
        minisign(&tools, &["-V", "-m", text(&path), "-p", text(&publisher.at("a.pub"))]).unwrap();
    }
    let sums = String::from_utf8(publisher.read(names::SUMS)).unwrap();
    assert_eq!(sums.lines().count(), 4, "{sums}");
    for line in sums.lines() {
        let (sum, name) = line.split_once("  ").unwrap();
        assert_eq!(Sha256::of(&publisher.read(name)).to_string(), sum, "{name}");
    }
    // As virt-builder's own parser has it: a section, keys, no spaces around `=`.
    let index = String::from_utf8(publisher.read(names::INDEX)).unwrap();
    let qcow2 = image.artifact("qcow2").unwrap();
    for line in ["[debian-13]", "arch=x86_64", "format=qcow2", "size=4194304", "revision=1"] {
        assert!(index.lines().any(|found| found == line), "{line}: {index}");
    }
    assert!(index.contains(&format!("file={}\nchecksum[sha512]=", qcow2.file)), "{index}");
}

#[test]
fn bills_of_materials_are_signed_with_their_images() {
    let publisher = Publisher::new();
    let image = text(&publisher.at("debian-13.img")).to_owned();
    let said = |words: &[String]| {
        let output = command(&words.iter().map(String::as_str).collect::<Vec<_>>()).output();
        String::from_utf8_lossy(&output.unwrap().stderr).into_owned()
    };
    let without = said(&publisher.words(&["a"], &[&image]));
    assert!(without.contains("no debian-13.spdx.json beside it"), "{without}");
    std::fs::write(publisher.at("debian-13.spdx.json"), "{}").unwrap();
    let half = publisher.refused(&["a"], &[&image]);
    assert!(half.contains("debian-13.licences.txt: it is missing"), "{half}");
    std::fs::write(publisher.at("debian-13.licences.txt"), "dash: BSD-3-Clause\n").unwrap();
    // Another name in the release doesn't change whose bill it is.
    publisher.publish(&["a"], &[&format!("trixie={image}"), "--remove", "debian-13"]);

    let manifest = publisher.read(names::MANIFEST);
    let signatures = publisher.signatures(names::MANIFEST);
    let signatures: Vec<&str> = signatures.iter().map(String::as_str).collect();
    let accepted = publisher.host("a").accept(&manifest, &signatures, now()).unwrap();
    let image = accepted.manifest.image("trixie").unwrap();
    let sums = String::from_utf8(publisher.read(names::SUMS)).unwrap();
    for (format, expected) in [("spdx", "{}"), ("licences", "dash: BSD-3-Clause\n")] {
        let part = image.artifact(format).unwrap();
        assert_eq!(publisher.read(&part.file), expected.as_bytes());
        let digest = Sha256::of(expected.as_bytes());
        assert_eq!((part.size, part.sha256), (expected.len() as u64, digest));
        assert!(sums.contains(&format!("{digest}  {}\n", part.file)), "{sums}");
    }
    // Two releases later, it is gone with its image.
    publisher.publish(&["a"], &["--remove", "trixie"]);
    assert!(publisher.files().iter().any(|name| name.ends_with(".spdx.json")));
    publisher.publish(&["a"], &[]);
    assert!(!publisher.files().iter().any(|name| name.starts_with("trixie")));
}

/// A folder with a program that runs one of the tools tree: virt-builder starts virt-resize.
fn wrapper(tools: &Tools, program: &str, folder: &Path) {
    let words: Vec<String> =
        tools.words(program).unwrap().iter().map(|word| format!("'{word}'")).collect();
    std::fs::create_dir_all(folder).unwrap();
    let path = folder.join(program);
    std::fs::write(&path, format!("#!/bin/sh\nexec {} \"$@\"\n", words.join(" "))).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn virt_builder_lists_a_release() {
    let project = Project::find(Options::from_environment()).unwrap();
    let tools = project.tools_of("virt-builder").unwrap_or_else(|error| panic!("{error}"));
    let publisher = Publisher::new();
    publisher.publish(&["a"], &[text(&publisher.at("debian-13.img"))]);
    wrapper(&tools, "virt-resize", &publisher.at("bin"));
    let run = |program: &str, words: &[&str]| {
        let mut command = tools.command(program).unwrap();
        command.env("HOME", publisher.folder.path());
        command.env("PATH", format!("{}:/usr/bin:/bin", publisher.at("bin").display()));
        let output = tools::run(command.args(words), program);
        let output = output.unwrap_or_else(|error| panic!("{error}"));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let index = publisher.at("public").join(names::INDEX);
    run("virt-index-validate", &[text(&index)]);
    let source = format!("file://{}", index.display());
    let words = ["--list", "--no-check-signature", "--no-cache", "--source", &source];
    let listed = run("virt-builder", &words);
    assert_eq!(listed.split_whitespace().collect::<Vec<_>>(), ["debian-13", "x86_64", "debian-13"]);
}

#[test]
fn releases_follow_each_other() {
    let publisher = Publisher::new();
    let first = text(&publisher.at("debian-13.img")).to_owned();
    publisher.publish(&["a"], &[&first]);
    let router = publisher.image("router", b"router");
    let before = publisher.files();
    // Only what is new is written, and what was there stays.
    let old: Vec<_> = before.iter().filter(|name| name.starts_with("debian")).collect();
    let time =
        |name: &str| publisher.at("public").join(name).metadata().unwrap().modified().unwrap();
    let times: Vec<_> = old.iter().map(|name| time(name)).collect();
    let said = publisher.publish(&["a"], &[&first, text(&router)]);
    assert!(said.contains("version 2") && said.contains("2 images"), "{said}");
    assert_eq!(old.iter().map(|name| time(name)).collect::<Vec<_>>(), times);
    // Another content: the last one's files stay for those who are fetching them, until the next.
    publisher.image("debian-13", b"second");
    publisher.publish(&["a"], &[&first]);
    assert!(old.iter().all(|name| publisher.files().contains(name)));
    let said = publisher.publish(&["a"], &["--remove", "router"]);
    assert!(said.contains("version 4") && said.contains("1 image,"), "{said}");
    assert!(old.iter().all(|name| !publisher.files().contains(name)), "{:?}", publisher.files());
    publisher.publish(&["a"], &[]);
    assert!(!publisher.files().iter().any(|name| name.starts_with("router")));
    let said = publisher.refused(&["a"], &["--release", "3"]);
    assert!(said.contains("isn't above 5"), "{said}");
}

#[test]
fn keys_change_only_in_order() {
    let publisher = Publisher::new();
    let image = text(&publisher.at("debian-13.img")).to_owned();
    let said = publisher.refused(&["b"], &[&image]);
    assert!(said.contains("1 keys of generation 1 must sign, and 0 have"), "{said}");
    assert!(!publisher.at("public").join(names::MANIFEST).exists());
    publisher.publish(&["a"], &[&image]);
    publisher.channel(1, 1, &["b"]);
    assert!(publisher.refused(&["b"], &[]).contains("make their generation 2"));
    publisher.channel(2, 1, &["b"]);
    assert!(publisher.refused(&["b"], &[]).contains("generation 1 must sign"));
    assert!(publisher.refused(&["a"], &[]).contains("generation 2 must sign"));
    publisher.publish(&["a", "b"], &[]);
    publisher.publish(&["b"], &[]);

    // A host that was away since the first one goes along.
    let mut host = publisher.host("a");
    let name = names::rotation(host.next_generation());
    let step = publisher.signatures(&name);
    let step: Vec<&str> = step.iter().map(String::as_str).collect();
    host.follow(&publisher.read(&name), &step).unwrap();
    let current = publisher.signatures(names::MANIFEST);
    let current: Vec<&str> = current.iter().map(String::as_str).collect();
    let accepted = host.accept(&publisher.read(names::MANIFEST), &current, now()).unwrap();
    assert_eq!((accepted.manifest.version, accepted.memory.keys.generation), (3, 2));
}

#[test]
fn what_a_publisher_gets_wrong() {
    let publisher = Publisher::new();
    let image = text(&publisher.at("debian-13.img")).to_owned();
    let said = publisher.refused(&["a"], &[&format!("Web Server={image}")]);
    assert!(said.contains("lower-case"), "{said}");
    let said = publisher.refused(&["a"], &[text(&publisher.at("none.img"))]);
    assert!(said.contains("none.img"), "{said}");
    publisher.publish(&["a"], &[&image]);
    let channel = publisher.at("channel.toml");
    let good = std::fs::read_to_string(&channel).unwrap();
    for (from, to, words) in [
        ("a.pub", "c.pub", "mkimage key new"),
        ("a.pub", "a.key", "no public key"),
        ("threshold = 1", "threshold = 2", "2 of 1 keys"),
        ("qcow2", "vdi", "`vdi` is no format"),
        ("expires-days", "expires", "unknown field"),
        ("\"guests\"", "\"others\"", "the folder holds guests stable"),
    ] {
        std::fs::write(&channel, good.replace(from, to)).unwrap();
        let said = publisher.refused(&["a"], &[]);
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn no_secret_is_in_the_tree() {
    let project = Project::find(Options::from_environment()).unwrap();
    for entry in std::fs::read_dir(project.releases()).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(!text.contains("secret key\nRW") && path.extension().is_none_or(|e| e != "key"));
    }
}
