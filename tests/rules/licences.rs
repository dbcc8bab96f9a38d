//! Licences and sources of the dependencies, by the lists in `deny.toml`: the same check as
//! `cargo deny check licenses sources`, for machines without that tool.

use spdx::{Expression, ParseMode};
use xenolith_tests::tree;

/// The list of strings at a path of `deny.toml`.
fn list(table: &str, key: &str) -> Vec<String> {
    let text = std::fs::read_to_string(tree::root().join("deny.toml")).expect("deny.toml");
    let config: toml::Table = text.parse().expect("deny.toml is TOML");
    let values = config.get(table).and_then(|table| table.get(key)).and_then(|v| v.as_array());
    let values = values.unwrap_or_else(|| panic!("deny.toml has no list {table}.{key}"));
    values.iter().map(|value| value.as_str().expect("a string").to_owned()).collect()
}

#[test]
fn licences_are_allowed() {
    let allowed = list("licenses", "allow");
    for package in tree::metadata().packages {
        let (name, version) = (&package.name, &package.version);
        let licence = package.license.as_deref();
        let licence = licence.unwrap_or_else(|| panic!("{name} {version} states no licence"));
        let expression = Expression::parse_mode(licence, ParseMode::LAX)
            .unwrap_or_else(|error| panic!("{name} {version}: licence {licence:?}: {error}"));
        let verdict = expression.evaluate(|wanted| allowed.contains(&wanted.to_string()));
        assert!(
            verdict,
            "{name} {version} comes under {licence}, which deny.toml does not allow: use another \
             package"
        );
    }
}

/// Everything comes from the one registry, locked by checksum, or from this tree.
#[test]
fn sources_are_known() {
    for package in tree::metadata().packages {
        if let Some(source) = &package.source {
            let (name, version) = (&package.name, &package.version);
            assert!(source.is_crates_io(), "{name} {version} comes from {source}");
        }
    }
}
