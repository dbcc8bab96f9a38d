//! The kernel modules of an image: the ones that a recipe names and what they need, with the
//! index files (`modules.dep` and its siblings) that Debian's package leaves to `depmod`.

use super::modinfo::{self, ModInfo, normal};
use crate::fs;
use crate::glob;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::{Path, PathBuf};

/// Why a set of modules can't be made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A module can't be read.
    #[error(transparent)]
    Module(#[from] modinfo::Error),
    /// The tree can't be read.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// A name or pattern of the recipe fits nothing.
    #[error("the kernel {version} has no module `{wanted}`{}", .similar.as_ref().map(|s| format!("; did you mean `{s}`?")).unwrap_or_default())]
    Unknown {
        /// As the recipe writes it.
        wanted: String,
        /// The kernel's version.
        version: String,
        /// A close name.
        similar: Option<String>,
    },
    /// A module needs another one that the package lacks.
    #[error("the module `{module}` needs `{needs}`, which the kernel package lacks: it is damaged")]
    MissingDependency {
        /// The module.
        module: String,
        /// What it needs.
        needs: String,
    },
    /// A module asks for something by an alias, and no selected module answers to it: what the
    /// first one does would fail once it runs.
    #[error(
        "the module `{module}` asks for `{wish}`, which none of the selected modules is: add one to \
         `modules`{}",
        if .candidates.is_empty() { String::new() } else { format!(", for example {}", .candidates.join(" or ")) }
    )]
    Unanswered {
        /// The module.
        module: String,
        /// The name or alias that it asks for.
        wish: String,
        /// Modules whose name looks like it.
        candidates: Vec<String>,
    },
}

/// All modules of a kernel package.
#[derive(Debug)]
pub struct Tree {
    /// `.../lib/modules/VERSION`.
    root: PathBuf,
    version: String,
    /// Paths below the root, by normal name.
    paths: BTreeMap<String, String>,
    /// Normal names of what is built into the kernel.
    builtin: BTreeSet<String>,
    /// The aliases of that, normal too.
    builtin_aliases: BTreeSet<String>,
}

impl Tree {
    /// Lists the modules below `.../lib/modules/VERSION`.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn scan(root: &Path) -> Result<Self, Error> {
        let mut paths = BTreeMap::new();
        collect(root, "kernel", &mut paths)?;
        let builtin = fs::read_text(&root.join("modules.builtin"))?;
        let builtin = builtin.lines().filter_map(name_of).collect();
        let described = root.join("modules.builtin.modinfo");
        let described = if described.is_file() { fs::read(&described)? } else { Vec::new() };
        let builtin_aliases = modinfo::builtin_aliases(&described).map(|a| normal(&a)).collect();
        let version = root.file_name().unwrap_or_default().to_string_lossy().into_owned();
        Ok(Self { root: root.to_owned(), version, paths, builtin, builtin_aliases })
    }

    /// The kernel's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where a module of the tree is.
    pub fn file(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// The modules that a recipe names, with everything that they need.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn select(&self, wanted: &[String]) -> Result<Selection, Error> {
        let mut open: Vec<String> = Vec::new();
        for name in wanted {
            open.extend(self.matching(name)?);
        }
        let mut modules: BTreeMap<String, Module> = BTreeMap::new();
        while let Some(name) = open.pop() {
            if modules.contains_key(&name) {
                continue;
            }
            let Some(path) = self.paths.get(&name) else { continue };
            let info = ModInfo::read(&self.file(path))?;
            for needs in &info.depends {
                if !self.paths.contains_key(needs) && !self.builtin.contains(needs) {
                    let (module, needs) = (name.clone(), needs.clone());
                    return Err(Error::MissingDependency { module, needs });
                }
            }
            open.extend(info.depends.iter().cloned());
            // Those that are aliases are checked in the end.
            open.extend(info.soft_names().filter(|name| self.paths.contains_key(name)));
            modules.insert(name, Module { path: path.clone(), info });
        }
        let selection = Selection { modules };
        self.check_soft_dependencies(&selection)?;
        Ok(selection)
    }

    /// A soft dependency is often an alias, and which modules of the kernel answer to it isn't
    /// known without reading all of them: it is up to the recipe to name one.
    fn check_soft_dependencies(&self, selection: &Selection) -> Result<(), Error> {
        for (name, module) in &selection.modules {
            for wish in module.info.soft_names() {
                let builtin = self.builtin.contains(&wish) || self.builtin_aliases.contains(&wish);
                if !builtin && !selection.answers(&wish) {
                    let plain = wish.rsplit('_').next().unwrap_or(&wish);
                    let alike = self.names().filter(|name| name.starts_with(plain));
                    let candidates = alike.map(|name| format!("`{name}`")).collect();
                    return Err(Error::Unanswered { module: name.clone(), wish, candidates });
                }
            }
        }
        Ok(())
    }

    /// The modules behind one line of a recipe; none when it is built in.
    fn matching(&self, wanted: &str) -> Result<Vec<String>, Error> {
        let found: Vec<String> = if wanted.contains('/') {
            let fits = |path: &str| {
                let path = path.strip_prefix("kernel/").unwrap_or(path);
                let stem = path.split(".ko").next().unwrap_or(path);
                glob::matches(wanted, stem)
            };
            let all = self.paths.iter().filter(|(_, path)| fits(path));
            all.map(|(name, _)| name.clone()).collect()
        } else {
            let wanted = normal(wanted);
            if self.builtin.contains(&wanted) {
                return Ok(Vec::new());
            }
            self.paths.keys().filter(|name| glob::matches(&wanted, name)).cloned().collect()
        };
        if found.is_empty() {
            let similar = crate::suggest::nearest(&normal(wanted), self.names());
            return Err(Error::Unknown {
                wanted: wanted.to_owned(),
                version: self.version.clone(),
                similar: similar.map(str::to_owned),
            });
        }
        Ok(found)
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.paths.keys().map(String::as_str)
    }
}

/// Collects the modules below a folder: normal name to path.
fn collect(root: &Path, below: &str, paths: &mut BTreeMap<String, String>) -> Result<(), Error> {
    for path in fs::list(&root.join(below))? {
        let file = path.file_name().unwrap_or_default().to_string_lossy();
        let relative = format!("{below}/{file}");
        if path.is_dir() {
            collect(root, &relative, paths)?;
        } else if let Some(name) = name_of(&file) {
            paths.insert(name, relative);
        }
    }
    Ok(())
}

/// The normal name of a module file, whatever its compression.
fn name_of(path: &str) -> Option<String> {
    let file = path.rsplit('/').next()?;
    let (stem, rest) = file.split_once(".ko")?;
    (rest.is_empty() || rest.starts_with('.')).then(|| normal(stem))
}

#[derive(Debug)]
struct Module {
    path: String,
    info: ModInfo,
}

/// A set of modules that is closed under dependencies.
#[derive(Debug)]
pub struct Selection {
    modules: BTreeMap<String, Module>,
}

impl Selection {
    /// Paths of the modules, below `lib/modules/VERSION`.
    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.modules.values().map(|module| module.path.as_str())
    }

    /// Whether a module has this normal name or answers to it.
    fn answers(&self, wish: &str) -> bool {
        let mut infos = self.modules.values().map(|module| &module.info);
        self.modules.contains_key(wish)
            || infos.any(|info| info.aliases.iter().any(|a| glob::matches(&normal(a), wish)))
    }

    /// The index files, by name.
    pub fn indices(&self) -> Vec<(&'static str, String)> {
        vec![
            ("modules.dep", self.dep()),
            ("modules.alias", self.alias()),
            ("modules.softdep", self.softdep()),
            ("modules.devname", self.devname()),
        ]
    }

    /// Dependencies of one module: each before those that it needs itself, so loading goes from
    /// the last to the first.
    fn needs(&self, name: &str) -> Vec<&str> {
        let mut order = Vec::new();
        self.visit(name, &mut order);
        order.reverse();
        order.into_iter().filter(|needed| *needed != name).collect()
    }

    /// Depth-first: what is needed comes before what needs it.
    fn visit<'a>(&'a self, name: &str, order: &mut Vec<&'a str>) {
        let Some((name, module)) = self.modules.get_key_value(name) else { return };
        if order.contains(&name.as_str()) {
            return;
        }
        for needed in &module.info.depends {
            self.visit(needed, order);
        }
        order.push(name);
    }

    fn dep(&self) -> String {
        let mut text = String::new();
        for (name, module) in &self.modules {
            let needs = self.needs(name);
            let paths = needs.iter().filter_map(|name| self.modules.get(*name));
            let paths: Vec<String> = paths.map(|module| format!(" {}", module.path)).collect();
            // Writing to a string can't fail.
            let _ = writeln!(text, "{}:{}", module.path, paths.concat());
        }
        text
    }

    fn alias(&self) -> String {
        self.lines(|name, info, text| {
            for alias in &info.aliases {
                let _ = writeln!(text, "alias {alias} {name}");
            }
        })
    }

    fn softdep(&self) -> String {
        self.lines(|name, info, text| {
            for softdep in &info.softdeps {
                let _ = writeln!(text, "softdep {name} {softdep}");
            }
        })
    }

    /// Device nodes that load their module when they are opened: `NAME NODE cMAJOR:MINOR`.
    fn devname(&self) -> String {
        self.lines(|name, info, text| {
            let find = |prefix| info.aliases.iter().find_map(|alias| alias.strip_prefix(prefix));
            let Some(node) = find("devname:") else { return };
            let numbers = [("char-major-", 'c'), ("block-major-", 'b')];
            let device = numbers.into_iter().find_map(|(prefix, kind)| {
                let (major, minor) = find(prefix)?.split_once('-')?;
                (minor != "*").then(|| format!("{kind}{major}:{minor}"))
            });
            if let Some(device) = device {
                let _ = writeln!(text, "{name} {node} {device}");
            }
        })
    }

    fn lines(&self, write: impl Fn(&str, &ModInfo, &mut String)) -> String {
        let mut text = String::new();
        for (name, module) in &self.modules {
            write(name, &module.info, &mut text);
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A minimal ELF64 relocatable with a `.modinfo` section, whose items are separated by spaces;
    /// a `~` stands for a space inside one.
    fn module(modinfo: &str) -> Vec<u8> {
        let names = b"\0.modinfo\0.shstrtab\0";
        let info = modinfo.replace(' ', "\0").replace('~', " ");
        let (info_at, names_at) = (64_u64, 64 + info.len() as u64);
        let headers_at = names_at + names.len() as u64;
        let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
        elf.extend([1_u16, 62].iter().flat_map(|half| half.to_le_bytes()));
        elf.extend(1_u32.to_le_bytes());
        elf.extend([0_u64, 0, headers_at].iter().flat_map(|word| word.to_le_bytes()));
        elf.extend(0_u32.to_le_bytes());
        elf.extend([64_u16, 0, 0, 64, 3, 2].iter().flat_map(|half| half.to_le_bytes()));
        elf.extend(info.as_bytes());
        elf.extend(names);
        let mut section = |name: u32, kind: u32, at: u64, size: u64| {
            elf.extend([name, kind].iter().flat_map(|word| word.to_le_bytes()));
            let words = [0, 0, at, size, 0, 1, 0_u64];
            elf.extend(words.into_iter().flat_map(u64::to_le_bytes));
        };
        section(0, 0, 0, 0);
        section(1, 1, info_at, info.len() as u64);
        section(10, 3, names_at, names.len() as u64);
        elf
    }

    fn tree() -> (tempfile::TempDir, Tree) {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("6.12-test");
        for (path, info) in [
            ("fs/ext4/ext4.ko", "depends=jbd2,mbcache alias=fs-ext4 softdep=pre:~crc32c"),
            ("fs/jbd2.ko", "depends=crc16"),
            ("fs/mbcache.ko", "depends="),
            ("lib/crc16.ko", "license=GPL"),
            ("lib/crc32c.ko", "license=GPL"),
            ("drivers/net/intel/e1000.ko", "alias=pci:v00008086d0000100E*"),
            ("drivers/net/intel/e1000e.ko", "alias=pci:v00008086d000010D3*"),
            ("drivers/net/tun-x.ko", "alias=devname:net/tun alias=char-major-10-200"),
            ("drivers/broken.ko", "depends=nowhere"),
            ("fs/wishes.ko", "softdep=pre:~crypto-sum~crypto-inside"),
            ("crypto/sum_generic.ko", "alias=crypto-sum"),
        ] {
            let path = root.join("kernel").join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, module(info)).unwrap();
        }
        std::fs::write(root.join("modules.builtin"), "kernel/drivers/rtc/rtc-cmos.ko\n").unwrap();
        let described = b"inside.license=GPL\0inside.alias=crypto-inside\0";
        std::fs::write(root.join("modules.builtin.modinfo"), described).unwrap();
        let tree = Tree::scan(&root).unwrap();
        (folder, tree)
    }

    fn select(tree: &Tree, names: &[&str]) -> Result<Selection, String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        tree.select(&names).map_err(|error| error.to_string())
    }

    fn index(selection: &Selection, wanted: &str) -> String {
        selection.indices().into_iter().find(|(name, _)| *name == wanted).unwrap().1
    }

    #[test]
    fn dependencies_come_along_in_loading_order() {
        let (_folder, tree) = tree();
        let selection = select(&tree, &["ext4"]).unwrap();
        assert_eq!(
            index(&selection, "modules.dep"),
            "kernel/lib/crc16.ko:\n\
             kernel/lib/crc32c.ko:\n\
             kernel/fs/ext4/ext4.ko: kernel/fs/mbcache.ko kernel/fs/jbd2.ko kernel/lib/crc16.ko\n\
             kernel/fs/jbd2.ko: kernel/lib/crc16.ko\n\
             kernel/fs/mbcache.ko:\n"
        );
        assert_eq!(index(&selection, "modules.alias"), "alias fs-ext4 ext4\n");
    }

    #[test]
    fn patterns_builtins_and_nodes() {
        let (_folder, tree) = tree();
        let selection = select(&tree, &["drivers/net/intel/*", "rtc-cmos", "tun-x"]).unwrap();
        assert_eq!(selection.paths().count(), 3);
        assert_eq!(index(&selection, "modules.devname"), "tun_x net/tun c10:200\n");
    }

    #[test]
    fn soft_dependencies_must_be_answered() {
        let (_folder, tree) = tree();
        let error = select(&tree, &["wishes"]).unwrap_err();
        assert!(error.contains("`wishes` asks for `crypto_sum`"), "{error}");
        assert!(error.ends_with("for example `sum_generic`"), "{error}");
        assert_eq!(select(&tree, &["wishes", "sum_generic"]).unwrap().paths().count(), 2);
    }

    #[test]
    fn wrong_names_are_reported() {
        let (_folder, tree) = tree();
        let error = select(&tree, &["e1000f"]).unwrap_err();
        assert!(error.contains("no module `e1000f`; did you mean `e1000`"), "{error}");
        assert!(select(&tree, &["fs/xfs/*"]).unwrap_err().contains("fs/xfs/*"));
        assert!(select(&tree, &["broken"]).unwrap_err().contains("needs `nowhere`"));
    }
}
