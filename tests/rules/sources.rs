//! Source files: where `unsafe` may stand, how long they may be, what they may not name.

use std::collections::BTreeSet;
use std::path::Path;
use xenolith_tests::tree;

/// Lines of a file, without those of its test module.
const LONGEST: usize = 800;

/// The packages that are safe code alone.
const SAFE: &[&str] = &[
    "dom0-init/qcow2",
    "hypervisor/abi",
    "hypervisor/boot",
    "hypervisor/core",
    "hypervisor/loader",
    "hypervisor/x86",
    "hypervisor/x86defs",
    "mkimage/catalogue",
    "mkimage/formats",
];

/// Each file with its text.
fn rust_files() -> impl Iterator<Item = (String, String)> {
    tree::files(".rs").into_iter().map(|path| {
        let text = tree::text(&path).expect("Rust source is UTF-8");
        (path.display().to_string(), text)
    })
}

/// The lint that denies `unsafe` is lifted with `expect` and a reason, or not at all.
#[test]
fn unsafe_is_expected_with_a_reason() {
    for (path, text) in rust_files() {
        // This file would find itself.
        if path == "tests/rules/sources.rs" {
            continue;
        }
        assert!(!text.contains("allow(unsafe_code"), "{path}: use expect(unsafe_code, reason)");
        for (start, _) in text.match_indices("expect(unsafe_code") {
            let attribute = &text[start..];
            let end = attribute.find(")]").unwrap_or(attribute.len());
            assert!(
                attribute[..end].contains("reason"),
                "{path}: expect(unsafe_code) says no reason"
            );
        }
    }
}

#[test]
fn safe_packages_forbid_unsafe() {
    for package in SAFE {
        let path = format!("{package}/src/lib.rs");
        let text = tree::text(Path::new(&path)).expect("Rust source is UTF-8");
        assert!(text.contains("#![forbid(unsafe_code)]"), "{path} lacks #![forbid(unsafe_code)]");
    }
}

#[test]
fn files_are_short() {
    for (path, text) in rust_files() {
        let code = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
        let lines = code.lines().count();
        assert!(lines <= LONGEST, "{path} has {lines} lines: split it by concept ({LONGEST})");
    }
}

/// Modules of tests are part of the module that they test.
#[test]
fn files_say_what_they_do() {
    for (path, text) in rust_files().filter(|(path, _)| !path.ends_with("/tests.rs")) {
        let first = text.lines().find(|line| !line.starts_with("#![") && !line.is_empty());
        assert!(first.is_some_and(|line| line.starts_with("//!")), "{path} has no //! header");
    }
}

/// Mirrors come from the host's package configuration or from an option, never from the tree.
#[test]
fn no_file_names_a_package_mirror() {
    let hosts = configured_hosts();
    for path in tree::files("") {
        let Some(text) = tree::text(&path) else { continue };
        for host in &hosts {
            let line = text.lines().position(|line| line.contains(host.as_str()));
            if let Some(line) = line {
                panic!("{}:{} names the package mirror {host}", path.display(), line + 1);
            }
        }
    }
}

/// The hosts that this machine's package managers are configured with.
fn configured_hosts() -> BTreeSet<String> {
    let home = std::env::var("HOME").unwrap_or_default();
    let mut files = vec![
        "/etc/apt/sources.list".to_owned(),
        "/etc/pip.conf".to_owned(),
        format!("{home}/.cargo/config.toml"),
        format!("{home}/.config/pip/pip.conf"),
        format!("{home}/.npmrc"),
    ];
    let parts = std::fs::read_dir("/etc/apt/sources.list.d").into_iter().flatten().flatten();
    files.extend(parts.map(|entry| entry.path().display().to_string()));
    let texts = files.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    texts.flat_map(|text| hosts(&text)).collect()
}

/// The hosts of all addresses in the lines of a text that aren't comments.
fn hosts(text: &str) -> Vec<String> {
    let lines = text.lines().filter(|line| !line.trim_start().starts_with(['#', ';']));
    let rests = lines.flat_map(|line| line.split("://").skip(1));
    let hosts = rests.filter_map(|rest| rest.split(['/', ' ', '"', '\'', ':']).next());
    let hosts = hosts.map(|host| host.rsplit('@').next().unwrap_or(host).to_owned());
    hosts.filter(|host| host.contains('.')).collect()
}

#[test]
fn hosts_of_package_configurations() {
    let text = "# deb http://no.example/x\ndeb [a=b] http://mirror.example/debian x main\n\
                registry = \"sparse+https://u@index.example:8080/\"\n";
    assert_eq!(hosts(text), ["mirror.example", "index.example"]);
}
