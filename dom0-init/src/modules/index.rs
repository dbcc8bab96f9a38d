//! The module index: `modules.dep`, `modules.alias` and `modules.softdep`, as `depmod` writes
//! them. Dashes and underscores in names are the same, as everywhere with modules.

use std::collections::HashMap;

use super::pattern;

/// Which modules there are, what they need, and which names and devices they answer to.
#[derive(Debug, Clone, Default)]
pub struct Index {
    modules: HashMap<String, Module>,
    /// Alias patterns by their bus (what precedes the first colon or dash).
    aliases: HashMap<String, Vec<(String, String)>>,
    soft: HashMap<String, Soft>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Module {
    path: String,
    needs: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Soft {
    before: Vec<String>,
    after: Vec<String>,
}

/// A module's file, and whether loading it may fail without harm to what asked for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The module's name.
    pub name: String,
    /// Its file, relative to the modules' folder.
    pub path: String,
    /// Only wished for (a soft dependency).
    pub optional: bool,
}

impl Index {
    /// Reads the three files' texts; a missing one is an empty one.
    pub fn parse(dependencies: &str, aliases: &str, soft_dependencies: &str) -> Self {
        let mut index = Self::default();
        dependencies.lines().for_each(|line| index.add_module(line));
        aliases.lines().for_each(|line| index.add_alias(line));
        soft_dependencies.lines().for_each(|line| index.add_soft_dependencies(line));
        index
    }

    /// How many modules there are.
    pub fn len(&self) -> usize {
        self.modules.len()
    }

    /// `kernel/fs/ext4/ext4.ko.xz: kernel/fs/jbd2/jbd2.ko.xz ...`
    fn add_module(&mut self, line: &str) {
        let Some((path, needs)) = line.split_once(':') else { return };
        let module = Module {
            path: path.to_owned(),
            needs: needs.split_whitespace().map(name_of_file).collect(),
        };
        self.modules.insert(name_of_file(path), module);
    }

    /// `alias PATTERN MODULE`
    fn add_alias(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("alias"), Some(pattern), Some(module)) =
            (words.next(), words.next(), words.next())
        else {
            return;
        };
        let pattern = normal(pattern);
        self.aliases.entry(bus(&pattern)).or_default().push((pattern, normal(module)));
    }

    /// `softdep MODULE pre: A B post: C`
    fn add_soft_dependencies(&mut self, line: &str) {
        let mut words = line.split_whitespace();
        let (Some("softdep"), Some(module)) = (words.next(), words.next()) else { return };
        let soft = self.soft.entry(normal(module)).or_default();
        let mut list = None;
        for word in words {
            match word {
                "pre:" => list = Some(&mut soft.before),
                "post:" => list = Some(&mut soft.after),
                name => {
                    if let Some(list) = list.as_mut() {
                        list.push(normal(name));
                    }
                }
            }
        }
    }

    /// The modules that answer to a module's name or to an alias, in the index's order.
    pub fn find(&self, name_or_alias: &str) -> Vec<String> {
        let wanted = normal(name_or_alias);
        if self.modules.contains_key(&wanted) {
            return vec![wanted];
        }
        let mut found: Vec<String> = Vec::new();
        // A pattern such as `acpi*:PNP0C0C:*` has its wildcard before the colon.
        for key in [bus(&wanted), String::new()] {
            for (pattern, module) in self.aliases.get(&key).into_iter().flatten() {
                if !found.contains(module) && pattern::matches(pattern, &wanted) {
                    found.push(module.clone());
                }
            }
        }
        found
    }

    /// What to load for a module, in order: what it needs first, itself, what it wishes after.
    pub fn plan(&self, module: &str) -> Vec<Step> {
        let mut steps = Vec::new();
        self.plan_into(&normal(module), false, &mut Vec::new(), &mut steps);
        steps
    }

    fn plan_into(
        &self,
        name: &str,
        optional: bool,
        visited: &mut Vec<String>,
        steps: &mut Vec<Step>,
    ) {
        if visited.iter().any(|v| v == name) {
            return;
        }
        visited.push(name.to_owned());
        let Some(module) = self.modules.get(name) else { return };
        let soft = self.soft.get(name);
        for wish in soft.iter().flat_map(|s| &s.before).flat_map(|wish| self.find(wish)) {
            self.plan_into(&wish, true, visited, steps);
        }
        // `modules.dep` lists what is needed with the most basic last.
        for need in module.needs.iter().rev() {
            self.plan_into(need, optional, visited, steps);
        }
        steps.push(Step { name: name.to_owned(), path: module.path.clone(), optional });
        for wish in soft.iter().flat_map(|s| &s.after).flat_map(|wish| self.find(wish)) {
            self.plan_into(&wish, true, visited, steps);
        }
    }
}

/// `kernel/drivers/usb-storage.ko.xz` is the module `usb_storage`.
fn name_of_file(path: &str) -> String {
    let file = path.rsplit('/').next().unwrap_or(path);
    normal(file.split(".ko").next().unwrap_or(file))
}

/// Dashes become underscores, but not those inside a pattern's sets.
fn normal(name: &str) -> String {
    let mut in_set = false;
    name.chars()
        .map(|character| {
            match character {
                '[' => in_set = true,
                ']' => in_set = false,
                _ => {}
            }
            if character == '-' && !in_set { '_' } else { character }
        })
        .collect()
}

/// What comes before the first colon; empty when that holds a wildcard.
fn bus(alias: &str) -> String {
    match alias.split_once(':') {
        Some((bus, _)) if !bus.contains(['*', '?', '[']) => bus.to_owned(),
        Some(_) => String::new(),
        None if alias.contains(['*', '?', '[']) => String::new(),
        None => alias.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DEPENDENCIES: &str = "\
kernel/fs/mbcache.ko.xz:
kernel/fs/jbd2/jbd2.ko.xz:
kernel/lib/crc16.ko.xz:
kernel/fs/ext4/ext4.ko.xz: kernel/lib/crc16.ko.xz kernel/fs/mbcache.ko.xz kernel/fs/jbd2/jbd2.ko.xz
kernel/crypto/crc32c_generic.ko.xz:
kernel/arch/x86/crypto/crc32c-intel.ko.xz:
kernel/drivers/net/net_failover.ko.xz: kernel/net/core/failover.ko.xz
kernel/net/core/failover.ko.xz:
kernel/drivers/net/virtio_net.ko.xz: kernel/drivers/net/net_failover.ko.xz kernel/net/core/failover.ko.xz
kernel/drivers/acpi/button.ko.xz:
kernel/a.ko: kernel/b.ko
kernel/b.ko: kernel/a.ko
";
    const ALIASES: &str = "\
# Aliases extracted from modules themselves.
alias fs-ext4 ext4
alias crypto-crc32c crc32c_generic
alias crypto-crc32c crc32c_intel
alias virtio:d00000001v* virtio_net
alias acpi*:LNXPWRBN:* button
alias cpu:type:x86,ven*fam*mod*:feature:*0094* crc32c_intel
alias broken
";
    const SOFT: &str = "softdep ext4 pre: crypto-crc32c post: button\nsoftdep jbd2 pre: crc32c\n";

    fn index() -> Index {
        Index::parse(DEPENDENCIES, ALIASES, SOFT)
    }

    fn names(steps: &[Step]) -> Vec<&str> {
        steps.iter().map(|s| s.name.as_str()).collect()
    }

    #[test]
    fn names_and_aliases_are_found() {
        let index = index();
        assert_eq!(index.len(), 12);
        assert_eq!(index.find("crc32c-intel"), ["crc32c_intel"]);
        assert_eq!(index.find("fs-ext4"), ["ext4"]);
        assert_eq!(index.find("crypto-crc32c"), ["crc32c_generic", "crc32c_intel"]);
        assert_eq!(index.find("virtio:d00000001v00001AF4"), ["virtio_net"]);
        assert_eq!(index.find("acpi:LNXPWRBN:"), ["button"]);
        assert_eq!(index.find("virtio:d00000002v00001AF4"), Vec::<String>::new());
    }

    #[test]
    fn what_is_needed_comes_first() {
        let index = index();
        assert_eq!(
            names(&index.plan("ext4")),
            ["crc32c_generic", "crc32c_intel", "jbd2", "mbcache", "crc16", "ext4", "button"]
        );
        assert_eq!(names(&index.plan("virtio-net")), ["failover", "net_failover", "virtio_net"]);
        assert!(index.plan("ext4")[0].optional && !index.plan("ext4")[5].optional);
    }

    #[test]
    fn loops_and_strangers_end() {
        assert_eq!(names(&index().plan("a")), ["b", "a"]);
        assert_eq!(names(&index().plan("nothing")), Vec::<&str>::new());
    }
}
