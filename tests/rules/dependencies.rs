//! Dependencies point one way: structures <- policy <- mechanism.

use cargo_metadata::DependencyKind;
use std::collections::{BTreeMap, BTreeSet};
use xenolith_tests::tree;

/// Packages and the only packages of the workspace that each may use. `mkimage`, `dom0-init`
/// and the tests are at the edge: nothing here may use them.
const MAY_USE: &[(&str, &[&str])] = &[
    ("xen-abi", &[]),
    ("x86defs", &[]),
    ("hv-symbols", &[]),
    ("hv-boot", &["xen-abi", "x86defs", "hv-core"]),
    ("hv-core", &["xen-abi", "x86defs"]),
    ("hv-x86", &["xen-abi", "x86defs", "hv-core"]),
    ("hv-loader", &["xen-abi", "x86defs", "hv-core"]),
    ("xenctl", &["xen-abi"]),
    ("xenstore", &["xen-abi"]),
    ("toolstack", &["xen-abi", "hv-core", "hv-loader", "xenctl", "xenstore"]),
    ("qcow2", &[]),
    ("catalogue", &[]),
    ("disk-formats", &[]),
    (
        "dom0-init",
        &["catalogue", "disk-formats", "xen-abi", "qcow2", "toolstack", "xenctl", "xenstore"],
    ),
    ("mkimage", &["catalogue", "disk-formats", "hv-symbols"]),
    ("xenolith-test-guests", &["xen-abi", "x86defs"]),
];

/// For each package of the workspace, the packages of the workspace that it uses, not counting
/// those for its own tests.
fn edges() -> BTreeMap<String, BTreeSet<String>> {
    let metadata = tree::metadata();
    let members = metadata.workspace_packages();
    let names: BTreeSet<_> = members.iter().map(|package| package.name.to_string()).collect();
    let uses = members.iter().map(|package| {
        let used = package.dependencies.iter();
        let used = used.filter(|used| used.kind != DependencyKind::Development);
        let used = used.map(|used| used.name.clone()).filter(|name| names.contains(name));
        (package.name.to_string(), used.collect())
    });
    uses.collect()
}

#[test]
fn dependencies_point_one_way() {
    let edges = edges();
    for (package, allowed) in MAY_USE {
        let Some(used) = edges.get(*package) else { continue };
        for name in used {
            assert!(
                allowed.contains(&name.as_str()),
                "{package} uses {name}: it may use only {allowed:?}; move what it needs there"
            );
        }
    }
}

#[test]
fn nothing_uses_the_hypervisor_binary_or_the_tests() {
    for (package, used) in edges() {
        for edge in ["hypervisor", "dom0-init", "xenolith-tests", "xenolith-test-guests"] {
            assert!(!used.contains(edge), "{package} uses {edge}, which is no library");
        }
    }
}

#[test]
fn every_package_obeys_the_workspace_lints() {
    for package in tree::metadata().workspace_packages() {
        let text = std::fs::read_to_string(&package.manifest_path).expect("a manifest");
        let manifest: toml::Table = text.parse().expect("a manifest is TOML");
        let inherits = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        assert_eq!(
            inherits.and_then(toml::Value::as_bool),
            Some(true),
            "{} lacks `[lints] workspace = true`",
            package.manifest_path
        );
    }
}
