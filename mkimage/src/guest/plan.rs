//! In which order packages are unpacked and configured.
//!
//! Most packages are only files until they are configured: mkimage unpacks those itself, all at
//! once. A package with a `preinst` script wants to prepare the ground before its files are there:
//! dpkg unpacks it, in the system, when what it depends on to do so is configured. What dpkg itself
//! needs, the essential packages and all that they depend on, mkimage unpacks in any case.
//!
//! What the initramfs is made of is configured first of the rest, so that it can be made beside.

use super::package::Package;
use std::collections::{BTreeSet, HashMap};

/// Something that dpkg does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Unpacks packages over what is there, before anything can be configured.
    Bootstrap(Vec<usize>),
    /// Unpacks packages.
    Unpack(Vec<usize>),
    /// Configures packages.
    Configure(Vec<usize>),
}

/// The order for some packages, which are named by their position.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Plan {
    /// What mkimage unpacks, in no order.
    pub extracted: BTreeSet<usize>,
    /// Those of them that count as unpacked packages; the rest dpkg unpacks again.
    pub unpacked: BTreeSet<usize>,
    /// What dpkg does then.
    pub steps: Vec<Step>,
    /// What it configures next: what the initramfs waits for. All that is left comes afterwards.
    pub initramfs: Vec<usize>,
}

/// Who satisfies whom.
struct Graph<'a> {
    packages: &'a [Package],
    bearers: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Graph<'a> {
    fn new(packages: &'a [Package]) -> Self {
        let mut bearers: HashMap<&str, Vec<usize>> = HashMap::new();
        for (at, package) in packages.iter().enumerate() {
            for name in &package.names {
                bearers.entry(name).or_default().push(at);
            }
        }
        Self { packages, bearers }
    }

    fn bearers<'g>(&'g self, groups: &'g [Vec<String>]) -> impl Iterator<Item = usize> + 'g {
        let names = groups.iter().flatten();
        names.filter_map(|name| self.bearers.get(name.as_str())).flatten().copied()
    }

    /// Some packages and everything that they depend on.
    fn closure(&self, start: impl IntoIterator<Item = usize>) -> BTreeSet<usize> {
        let mut found = BTreeSet::new();
        let mut open: Vec<usize> = start.into_iter().collect();
        while let Some(at) = open.pop() {
            if let (true, Some(package)) = (found.insert(at), self.packages.get(at)) {
                open.extend(self.bearers(&package.pre_depends));
                open.extend(self.bearers(&package.depends));
            }
        }
        found
    }
}

/// Orders some packages.
pub fn plan(packages: &[Package]) -> Plan {
    let graph = Graph::new(packages);
    let select = |wanted: &dyn Fn(&Package) -> bool| -> BTreeSet<usize> {
        packages.iter().enumerate().filter(|(_, p)| wanted(p)).map(|(at, _)| at).collect()
    };
    let essential = graph.closure(select(&|package| package.essential));
    let preparing = select(&Package::prepares);
    let plain = select(&|package| !package.prepares());
    let mut plan = Plan {
        extracted: plain.union(&essential).copied().collect(),
        unpacked: plain.clone(),
        ..Plan::default()
    };
    let mut unpacked = plain;
    let mut configured = BTreeSet::new();
    let bootstrap: Vec<usize> = essential.intersection(&preparing).copied().collect();
    unpacked.extend(&bootstrap);
    if !bootstrap.is_empty() {
        plan.steps.push(Step::Bootstrap(bootstrap));
    }
    if !essential.is_empty() {
        plan.steps.push(Step::Configure(essential.iter().copied().collect()));
        configured.extend(essential);
    }
    loop {
        let waiting: Vec<usize> = preparing.difference(&unpacked).copied().collect();
        if waiting.is_empty() {
            let shaping = graph.closure(select(&Package::shapes_initramfs));
            plan.initramfs = shaping.difference(&configured).copied().collect();
            return plan;
        }
        let needs = |at: usize| {
            packages.get(at).map_or_else(BTreeSet::new, |package| {
                graph.closure(graph.bearers(&package.pre_depends))
            })
        };
        let needs: Vec<(usize, BTreeSet<usize>)> =
            waiting.into_iter().map(|at| (at, needs(at))).collect();
        let mut ready: Vec<&(usize, BTreeSet<usize>)> =
            needs.iter().filter(|(_, needs)| needs.is_subset(&unpacked)).collect();
        if ready.is_empty() {
            // Pre-dependencies never form a circle in Debian; dpkg says so if they do.
            ready = needs.iter().collect();
        }
        let all = ready.iter().flat_map(|(_, needs)| needs).copied();
        let first: BTreeSet<usize> = all.filter(|at| !configured.contains(at)).collect();
        if !first.is_empty() {
            match plan.steps.last_mut() {
                Some(Step::Configure(all)) => all.extend(&first),
                _ => plan.steps.push(Step::Configure(first.iter().copied().collect())),
            }
            configured.extend(first);
        }
        let ready: Vec<usize> = ready.iter().map(|(at, _)| *at).collect();
        unpacked.extend(&ready);
        plan.steps.push(Step::Unpack(ready));
    }
}

#[cfg(test)]
mod tests {
    use super::super::package::ControlFile;
    use super::super::package::tests::package;
    use super::*;

    #[test]
    fn packages_that_prepare_wait_for_what_they_need() {
        let packages = [
            package("Package: libc\nProvides: libc-virtual\n", true),
            package("Package: shell\nEssential: yes\nPre-Depends: libc-virtual | other\n", false),
            package("Package: adduser\nDepends: passwd\n", true),
            package("Package: passwd\n", false),
            package("Package: server\nPre-Depends: adduser\nDepends: tool\n", true),
            package("Package: tool\n", false),
        ];
        let plan = plan(&packages);
        assert_eq!(plan.extracted, BTreeSet::from([0, 1, 3, 5]));
        assert_eq!(plan.unpacked, BTreeSet::from([1, 3, 5]));
        assert_eq!(
            plan.steps,
            [
                Step::Bootstrap(vec![0]),
                Step::Configure(vec![0, 1]),
                Step::Unpack(vec![2]),
                Step::Configure(vec![2, 3]),
                Step::Unpack(vec![4]),
            ]
        );
    }

    #[test]
    fn dpkg_starts_once_where_once_is_enough() {
        let packages = [
            package("Package: shell\nEssential: yes\n", false),
            package("Package: tool\n", false),
            package("Package: server\nPre-Depends: tool\n", true),
        ];
        assert_eq!(plan(&packages).steps, [Step::Configure(vec![0, 1]), Step::Unpack(vec![2])]);
    }

    #[test]
    fn what_the_initramfs_needs_comes_first() {
        let kernel = ControlFile {
            name: "md5sums".to_owned(),
            bytes: b"00 usr/lib/modules/6/a.ko\n".to_vec(),
            executable: false,
        };
        let mut packages = [
            package("Package: shell\nEssential: yes\n", false),
            package("Package: kernel\nDepends: kmod, shell\n", false),
            package("Package: kmod\n", false),
            package("Package: server\nDepends: kmod\n", false),
        ];
        packages[1].files.push(kernel);
        assert_eq!(plan(&packages).initramfs, [1, 2]);
    }

    #[test]
    fn circles_end() {
        let packages = [
            package("Package: a\nPre-Depends: b\n", true),
            package("Package: b\nPre-Depends: a\n", true),
        ];
        let plan = plan(&packages);
        let all = Step::Unpack(vec![0, 1]);
        assert_eq!(plan.steps.last(), Some(&all));
    }
}
