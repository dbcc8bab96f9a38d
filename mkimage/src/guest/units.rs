//! Units of the service manager: enabled, disabled and masked as `systemctl --root` would.

use super::tree::{Kind, Tree};
use crate::recipe::Units;

/// Where the machine's own units and links are.
const OWN: &str = "etc/systemd/system";
/// Where packages have theirs.
const PACKAGED: &str = "usr/lib/systemd/system";
/// What links below a target's folder mean.
const KINDS: [(&str, &str); 3] =
    [("WantedBy", "wants"), ("RequiredBy", "requires"), ("UpheldBy", "upholds")];

/// Applies a recipe's wishes.
///
/// # Errors
/// The reason in words, when there is no such unit, or it can't be enabled.
pub fn apply(tree: &mut Tree, units: &Units) -> Result<(), String> {
    for unit in &units.disable {
        find(tree, unit)?;
        disable(tree, unit);
    }
    for unit in &units.mask {
        plain(unit)?;
        disable(tree, unit);
        tree.link(&format!("{OWN}/{unit}"), "/dev/null");
    }
    units.enable.iter().try_for_each(|unit| enable(tree, unit))
}

/// Makes a unit start by itself, as its `[Install]` section says.
///
/// # Errors
/// The reason in words, when there is no such unit, or it doesn't say.
pub fn enable(tree: &mut Tree, unit: &str) -> Result<(), String> {
    let mut open = vec![unit.to_owned()];
    let mut done = Vec::new();
    while let Some(unit) = open.pop() {
        if done.contains(&unit) {
            continue;
        }
        let path = find(tree, &unit)?;
        let text = tree.text(&path).map_err(|error| error.to_string())?;
        let install = install_section(&text);
        let values = |key: &str| -> Vec<String> {
            let lines = install.iter().filter(|(name, _)| name == key);
            lines.flat_map(|(_, value)| value.split_whitespace()).map(str::to_owned).collect()
        };
        let target = format!("/{path}");
        let mut links = 0;
        for (key, suffix) in KINDS {
            for wanting in values(key) {
                plain(&wanting)?;
                tree.link(&format!("{OWN}/{wanting}.{suffix}/{unit}"), &target);
                links += 1;
            }
        }
        for alias in values("Alias") {
            plain(&alias)?;
            tree.link(&format!("{OWN}/{alias}"), &target);
            links += 1;
        }
        let also = values("Also");
        if links == 0 && also.is_empty() {
            return Err(format!("`{unit}` has no [Install] section: others start it, or nobody"));
        }
        open.extend(also);
        done.push(unit);
    }
    Ok(())
}

/// Takes all links to a unit away.
fn disable(tree: &mut Tree, unit: &str) {
    let packaged = [format!("/{PACKAGED}/{unit}"), format!("/lib/systemd/system/{unit}")];
    let below = format!("{OWN}/");
    tree.retain(|path, node| {
        let Some(name) = path.strip_prefix(&below) else { return true };
        let Kind::Link(target) = &node.kind else { return true };
        let wanted = name.split_once('/').is_some_and(|(_, name)| name == unit);
        !(wanted || packaged.contains(target))
    });
}

/// Where a unit is, or the template that it is made of.
fn find(tree: &Tree, unit: &str) -> Result<String, String> {
    plain(unit)?;
    let template = unit.split_once('@').and_then(|(name, rest)| {
        let (_, kind) = rest.rsplit_once('.')?;
        Some(format!("{name}@.{kind}"))
    });
    let names = [Some(unit.to_owned()), template];
    let found = names.iter().flatten().find_map(|name| {
        let places = [OWN, PACKAGED].map(|folder| format!("{folder}/{name}"));
        places
            .into_iter()
            .find(|path| tree.get(path).is_some_and(|node| !matches!(&node.kind, Kind::Folder)))
    });
    found.ok_or_else(|| {
        let all = tree.list(PACKAGED);
        let hint = crate::suggest::nearest(unit, all.iter().map(String::as_str));
        let hint = hint.map(|name| format!("; did you mean `{name}`?")).unwrap_or_default();
        format!("there is no unit `{unit}`{hint}")
    })
}

fn plain(unit: &str) -> Result<(), String> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "._-@:\\%".contains(c);
    let kinds = ["service", "socket", "target", "timer", "path", "mount", "slice", "automount"];
    let known = unit.rsplit_once('.').is_some_and(|(_, kind)| kinds.contains(&kind));
    if known && unit.chars().all(fits) {
        Ok(())
    } else {
        Err(format!("`{unit}` is no unit's name, such as `ssh.service`"))
    }
}

/// Keys and values of the `[Install]` section.
fn install_section(text: &str) -> Vec<(String, String)> {
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().map(str::trim) {
        if line.starts_with('[') {
            inside = line == "[Install]";
        } else if let (true, Some((key, value))) = (inside, line.split_once('=')) {
            found.push((key.trim().to_owned(), value.trim().to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree() -> Tree {
        let mut tree = Tree::new(0);
        for (name, install) in [
            (
                "a.service",
                "WantedBy=multi-user.target other.target\nAlias=b.service\nAlso=c.socket",
            ),
            ("c.socket", "RequiredBy=sockets.target"),
            ("getty@.service", "WantedBy=getty.target"),
            ("static.service", ""),
        ] {
            let text = format!("[Unit]\nWantedBy=not.target\n[Install]\n{install}\n");
            tree.write(&format!("{PACKAGED}/{name}"), text);
        }
        tree
    }

    fn links(tree: &Tree) -> Vec<String> {
        let link = |(path, node): (&str, &super::super::tree::Node)| match &node.kind {
            Kind::Link(target) => {
                let path = path.strip_prefix(OWN)?;
                Some(format!("{path} {}", target.rsplit('/').next()?))
            }
            _ => None,
        };
        tree.paths().filter_map(link).collect()
    }

    #[test]
    fn enabling_makes_links_and_disabling_takes_them() {
        let mut tree = tree();
        let enable = vec!["a.service".to_owned(), "getty@hvc0.service".to_owned()];
        apply(&mut tree, &Units { enable, ..Units::default() }).unwrap();
        assert_eq!(
            links(&tree),
            [
                "/b.service a.service",
                "/getty.target.wants/getty@hvc0.service getty@.service",
                "/multi-user.target.wants/a.service a.service",
                "/other.target.wants/a.service a.service",
                "/sockets.target.requires/c.socket c.socket",
            ]
        );
        let (disable, mask) = (vec!["a.service".to_owned()], vec!["c.socket".to_owned()]);
        apply(&mut tree, &Units { disable, mask, ..Units::default() }).unwrap();
        assert_eq!(
            links(&tree),
            ["/c.socket null", "/getty.target.wants/getty@hvc0.service getty@.service"]
        );
    }

    #[test]
    fn refusals() {
        for (unit, reason) in [
            ("static.service", "no [Install] section"),
            ("stattic.service", "did you mean `static.service`?"),
            ("../x.service", "no unit's name"),
            ("ssh", "no unit's name"),
        ] {
            let error = enable(&mut tree(), unit).unwrap_err();
            assert!(error.contains(reason), "{error}");
        }
    }
}
