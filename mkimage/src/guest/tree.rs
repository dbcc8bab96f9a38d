//! A system's files as data: owners, modes and links are kept here and in archives, never on the
//! host's file system, so no root is needed to change them.
//!
//! A tree is read from the archive of a configured system, changed, and written as an archive in an
//! order that is always the same. What isn't changed is copied from the first archive.

use crate::fs::{self, Context};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How many links a path may lead over.
const LINKS: usize = 40;
/// How extended attributes are called in archives.
const XATTR: &str = "SCHILY.xattr.";
/// What an archive may say about one entry.
const EXTENSION_LIMIT: u64 = 1 << 20;

/// One file, folder or link.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// The owner's number.
    pub uid: u64,
    /// The group's number.
    pub gid: u64,
    /// Permissions.
    pub mode: u32,
    /// Time of the last change, in seconds of Unix time; `None` is the tree's own time.
    pub time: Option<u64>,
    /// Extended attributes.
    pub xattrs: Vec<(String, Vec<u8>)>,
}

/// What is at a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A folder.
    Folder,
    /// A file.
    File(Content),
    /// A symbolic link.
    Link(String),
    /// Another name of a file.
    Name(String),
}

/// Where a file's bytes are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// Here.
    Bytes(Vec<u8>),
    /// In a file of its own.
    Path(PathBuf),
    /// In the archive that the tree was read from.
    Base {
        /// Where they begin.
        offset: u64,
        /// How many they are.
        size: u64,
    },
}

impl Node {
    fn new(kind: Kind, mode: u32) -> Self {
        Self { kind, uid: 0, gid: 0, mode, time: None, xattrs: Vec::new() }
    }
}

fn text(bytes: &[u8]) -> io::Result<String> {
    let text = std::str::from_utf8(bytes).map(str::to_owned);
    text.map_err(|_| io::Error::other("a path isn't UTF-8"))
}

/// What an archive says about an entry in entries before it.
#[derive(Debug, Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    xattrs: Vec<(String, Vec<u8>)>,
}

impl Extensions {
    /// Reads an entry if it is about the next one.
    fn take(&mut self, kind: tar::EntryType, entry: &mut impl Read) -> io::Result<bool> {
        let about_next =
            kind.is_pax_local_extensions() || kind.is_gnu_longname() || kind.is_gnu_longlink();
        if !about_next {
            return Ok(kind.is_pax_global_extensions());
        }
        let mut bytes = Vec::new();
        entry.take(EXTENSION_LIMIT).read_to_end(&mut bytes)?;
        if kind.is_pax_local_extensions() {
            self.parse(&bytes).ok_or_else(|| io::Error::other("an entry is malformed"))?;
            return Ok(true);
        }
        while bytes.pop_if(|byte| *byte == 0).is_some() {}
        let slot = if kind.is_gnu_longname() { &mut self.path } else { &mut self.link };
        *slot = Some(bytes);
        Ok(true)
    }

    /// Reads records `LENGTH KEY=VALUE\n`. Values may hold anything, so only the length says where
    /// they end; the tar crate looks for a line's end.
    fn parse(&mut self, mut bytes: &[u8]) -> Option<()> {
        while !bytes.is_empty() {
            let blank = bytes.iter().position(|byte| *byte == b' ')?;
            let length: usize = std::str::from_utf8(bytes.get(..blank)?).ok()?.parse().ok()?;
            let (record, rest) = bytes.split_at_checked(length)?;
            let record = record.get(blank + 1..)?.strip_suffix(b"\n")?;
            let at = record.iter().position(|byte| *byte == b'=')?;
            let (key, value) = (record.get(..at)?, record.get(at + 1..)?.to_vec());
            match std::str::from_utf8(key).ok()? {
                "path" => self.path = Some(value),
                "linkpath" => self.link = Some(value),
                key => {
                    let name = key.strip_prefix(XATTR).map(str::to_owned);
                    self.xattrs.extend(name.map(|name| (name, value)));
                }
            }
            bytes = rest;
        }
        Some(())
    }
}

/// A system's files. Paths have no slash at either end; the root itself isn't one of them.
#[derive(Debug)]
pub struct Tree {
    nodes: BTreeMap<String, Node>,
    base: Option<PathBuf>,
    epoch: u64,
}

impl Tree {
    /// A tree without files, whose changes have this time.
    pub fn new(epoch: u64) -> Self {
        Self { nodes: BTreeMap::new(), base: None, epoch }
    }

    /// Reads an archive. Nothing in the tree is newer than `epoch`.
    ///
    /// # Errors
    /// When it can't be read, or holds something else than files, folders and links.
    pub fn read(path: &Path, epoch: u64) -> fs::Result<Self> {
        let mut tree = Self { nodes: BTreeMap::new(), base: Some(path.to_owned()), epoch };
        tree.add_archive(fs::open(path)?).at("read the archive", path)?;
        Ok(tree)
    }

    fn add_archive(&mut self, file: File) -> io::Result<()> {
        let mut archive = tar::Archive::new(file);
        let mut extensions = Extensions::default();
        for entry in archive.entries_with_seek()?.raw(true) {
            let mut entry = entry?;
            let kind = entry.header().entry_type();
            if extensions.take(kind, &mut entry)? {
                continue;
            }
            let Extensions { path, link, xattrs } = std::mem::take(&mut extensions);
            let path = text(path.as_deref().unwrap_or(&entry.path_bytes()))?;
            let path = path.trim_start_matches("./").trim_end_matches('/').to_owned();
            if path.is_empty() || path == "." {
                continue;
            }
            let link = link.or_else(|| entry.link_name_bytes().map(Into::into));
            let link = text(&link.unwrap_or_default())?;
            let kind = match kind {
                tar::EntryType::Directory => Kind::Folder,
                tar::EntryType::Symlink => Kind::Link(link),
                tar::EntryType::Link => Kind::Name(link.trim_start_matches("./").to_owned()),
                tar::EntryType::Regular | tar::EntryType::Continuous => {
                    let (offset, size) = (entry.raw_file_position(), entry.size());
                    Kind::File(Content::Base { offset, size })
                }
                _ => return Err(io::Error::other(format!("`{path}` is neither file nor folder"))),
            };
            let header = entry.header();
            let mut node = Node::new(kind, header.mode()? & 0o7777);
            (node.uid, node.gid, node.xattrs) = (header.uid()?, header.gid()?, xattrs);
            // Folders change with what is in them: their times mean nothing.
            let time = header.mtime()?;
            node.time = (node.kind != Kind::Folder && time < self.epoch).then_some(time);
            self.nodes.insert(path, node);
        }
        Ok(())
    }

    /// A path with the links of its folders followed, as the system would.
    pub fn resolve(&self, path: &str) -> String {
        let mut done: Vec<String> = Vec::new();
        let mut left: Vec<String> = path.split('/').rev().map(str::to_owned).collect();
        let mut links = 0;
        while let Some(part) = left.pop() {
            match part.as_str() {
                "" | "." => continue,
                ".." => {
                    done.pop();
                    continue;
                }
                _ => done.push(part),
            }
            let last = left.iter().all(|part| part.is_empty());
            let target = match self.nodes.get(&done.join("/")).map(|node| &node.kind) {
                Some(Kind::Link(target)) if !last && links < LINKS => target,
                _ => continue,
            };
            links += 1;
            done.pop();
            if target.starts_with('/') {
                done.clear();
            }
            left.extend(target.split('/').rev().map(str::to_owned));
        }
        done.join("/")
    }

    /// What is at a path.
    pub fn get(&self, path: &str) -> Option<&Node> {
        self.nodes.get(&self.resolve(path))
    }

    /// What is at a path, to change it.
    pub fn get_mut(&mut self, path: &str) -> Option<&mut Node> {
        let path = self.resolve(path);
        self.nodes.get_mut(&path)
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// Names of what is directly in a folder.
    pub fn list(&self, folder: &str) -> Vec<String> {
        let prefix = self.resolve(&format!("{folder}/.")) + "/";
        let below = self.nodes.range(prefix.clone()..).take_while(|(p, _)| p.starts_with(&prefix));
        let names = below.filter_map(|(path, _)| path.strip_prefix(&prefix));
        names.filter(|name| !name.contains('/')).map(str::to_owned).collect()
    }

    /// The bytes of a file, over links; `None` when there is none.
    ///
    /// # Errors
    /// When they can't be read.
    pub fn file(&self, path: &str) -> fs::Result<Option<Vec<u8>>> {
        let mut path = self.resolve(path);
        for _ in 0..LINKS {
            match self.nodes.get(&path).map(|node| &node.kind) {
                Some(Kind::File(content)) => return self.bytes(content).map(Some),
                Some(Kind::Name(other)) => path.clone_from(other),
                Some(Kind::Link(target)) => {
                    let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
                    let beside = format!("{folder}/{target}");
                    path = self.resolve(if target.starts_with('/') { target } else { &beside });
                }
                _ => break,
            }
        }
        Ok(None)
    }

    /// As [`Self::file`], as text; empty when there is none.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn text(&self, path: &str) -> fs::Result<String> {
        Ok(String::from_utf8_lossy(&self.file(path)?.unwrap_or_default()).into_owned())
    }

    fn bytes(&self, content: &Content) -> fs::Result<Vec<u8>> {
        match (content, &self.base) {
            (Content::Bytes(bytes), _) => Ok(bytes.clone()),
            (Content::Path(path), _) => fs::read(path),
            (Content::Base { offset, size }, Some(base)) => {
                let mut file = fs::open(base)?;
                let mut bytes = Vec::new();
                file.seek(SeekFrom::Start(*offset))
                    .and_then(|_| file.take(*size).read_to_end(&mut bytes))
                    .at("read", base)?;
                Ok(bytes)
            }
            (Content::Base { .. }, None) => Ok(Vec::new()),
        }
    }

    /// Puts something at a path; folders on the way are made.
    pub fn insert(&mut self, path: &str, node: Node) {
        let path = self.resolve(path);
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default();
            if !self.nodes.contains_key(parent) {
                self.nodes.insert(parent.to_owned(), Node::new(Kind::Folder, 0o755));
            }
        }
        self.nodes.insert(path, node);
    }

    /// Writes a file; one that is there keeps its owner and mode.
    pub fn write(&mut self, path: &str, bytes: impl Into<Vec<u8>>) {
        self.put(path, Content::Bytes(bytes.into()), None);
    }

    fn put(&mut self, path: &str, content: Content, mode: Option<u32>) {
        let old = self.get(path).filter(|node| matches!(node.kind, Kind::File(_))).cloned();
        let mut node = old.unwrap_or_else(|| Node::new(Kind::Folder, 0o644));
        node.kind = Kind::File(content);
        node.time = None;
        node.mode = mode.unwrap_or(node.mode);
        self.insert(path, node);
    }

    /// Makes a folder, unless it is there.
    pub fn folder(&mut self, path: &str, mode: u32) {
        if !matches!(self.get(path), Some(Node { kind: Kind::Folder | Kind::Link(_), .. })) {
            self.insert(path, Node::new(Kind::Folder, mode));
        }
    }

    /// Makes a symbolic link in place of what is there.
    pub fn link(&mut self, path: &str, target: &str) {
        self.remove(path);
        self.insert(path, Node::new(Kind::Link(target.to_owned()), 0o777));
    }

    /// Removes what is at a path, and everything in it.
    pub fn remove(&mut self, path: &str) {
        let path = self.resolve(path);
        let below = format!("{path}/");
        self.retain(|other, _| other != path && !other.starts_with(&below));
    }

    /// Keeps only some. A file that loses its first name goes on under another one.
    pub fn retain(&mut self, keep: impl Fn(&str, &Node) -> bool) {
        let gone: Vec<String> =
            self.nodes.iter().filter(|(p, n)| !keep(p, n)).map(|(p, _)| p.clone()).collect();
        for path in gone {
            let Some(Node { kind: Kind::File(content), .. }) = self.nodes.remove(&path) else {
                continue;
            };
            let named = Kind::Name(path);
            let mut heir = None;
            for (name, node) in self.nodes.iter_mut().filter(|(_, node)| node.kind == named) {
                let heir = heir.get_or_insert_with(|| name.clone());
                node.kind = if heir == name {
                    Kind::File(content.clone())
                } else {
                    Kind::Name(heir.clone())
                };
            }
        }
    }

    /// Lays a folder over the tree: files with their executable bits, links, and folders. What is
    /// there keeps its owner. Files called `.keep` only keep their folder.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn overlay(&mut self, folder: &Path) -> fs::Result<()> {
        self.overlay_below(folder, "")
    }

    fn overlay_below(&mut self, folder: &Path, below: &str) -> fs::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        for path in fs::list(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inner = if below.is_empty() { name } else { format!("{below}/{name}") };
            let meta = path.symlink_metadata().at("read", &path)?;
            if meta.is_dir() {
                self.folder(&inner, 0o755);
                self.overlay_below(&path, &inner)?;
            } else if meta.is_symlink() {
                let target = path.read_link().at("read", &path)?;
                self.link(&inner, &target.to_string_lossy());
            } else if !inner.ends_with(".keep") {
                let executable = meta.permissions().mode() & 0o111 != 0;
                self.put(&inner, Content::Path(path), executable.then_some(0o755));
            }
        }
        Ok(())
    }

    /// Writes an archive of everything.
    ///
    /// # Errors
    /// When something can't be read, or the target fails.
    pub fn archive(&self, target: impl Write) -> io::Result<()> {
        let mut base = self.base.as_ref().map(File::open).transpose()?;
        let mut builder = tar::Builder::new(target);
        let root = Node::new(Kind::Folder, 0o755);
        self.append(&mut builder, ".", &root, &mut base)?;
        let named = |node: &Node| matches!(node.kind, Kind::Name(_));
        // Other names come last: the file that they name must be there.
        for (path, node) in self.nodes.iter().filter(|(_, node)| !named(node)) {
            self.append(&mut builder, path, node, &mut base)?;
        }
        for (path, node) in self.nodes.iter().filter(|(_, node)| named(node)) {
            self.append(&mut builder, path, node, &mut base)?;
        }
        builder.into_inner()?.flush()
    }

    fn append<W: Write>(
        &self,
        builder: &mut tar::Builder<W>,
        path: &str,
        node: &Node,
        base: &mut Option<File>,
    ) -> io::Result<()> {
        if !node.xattrs.is_empty() {
            let names: Vec<String> =
                node.xattrs.iter().map(|(name, _)| format!("{XATTR}{name}")).collect();
            let values = node.xattrs.iter().map(|(_, value)| value.as_slice());
            builder.append_pax_extensions(names.iter().map(String::as_str).zip(values))?;
        }
        let mut header = tar::Header::new_gnu();
        header.set_mode(node.mode);
        header.set_uid(node.uid);
        header.set_gid(node.gid);
        header.set_mtime(node.time.unwrap_or(self.epoch));
        header.set_size(0);
        match &node.kind {
            Kind::Folder => {
                header.set_entry_type(tar::EntryType::Directory);
                builder.append_data(&mut header, format!("{path}/"), io::empty())
            }
            Kind::Link(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                builder.append_link(&mut header, path, target)
            }
            Kind::Name(target) => {
                header.set_entry_type(tar::EntryType::Link);
                builder.append_link(&mut header, path, target)
            }
            Kind::File(Content::Bytes(bytes)) => {
                header.set_size(bytes.len() as u64);
                builder.append_data(&mut header, path, bytes.as_slice())
            }
            Kind::File(Content::Path(source)) => {
                let file = File::open(source)?;
                let size = file.metadata()?.len();
                header.set_size(size);
                builder.append_data(&mut header, path, file.take(size))
            }
            Kind::File(Content::Base { offset, size }) => {
                let file = base.as_mut().ok_or(io::ErrorKind::NotFound)?;
                file.seek(SeekFrom::Start(*offset))?;
                header.set_size(*size);
                builder.append_data(&mut header, path, file.take(*size))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tree that was written and read again.
    fn again(tree: &Tree, folder: &Path) -> Tree {
        let path = folder.join("again.tar");
        tree.archive(File::create(&path).unwrap()).unwrap();
        Tree::read(&path, 100).unwrap()
    }

    fn sample() -> Tree {
        let mut tree = Tree::new(100);
        tree.link("bin", "usr/bin");
        tree.write("usr/bin/a", "a");
        tree.get_mut("usr/bin/a").unwrap().mode = 0o4755;
        tree.insert("usr/bin/b", Node::new(Kind::Name("usr/bin/a".into()), 0o755));
        tree.insert("usr/bin/c", Node::new(Kind::Name("usr/bin/a".into()), 0o755));
        tree.write(&format!("usr/{}", "long".repeat(40)), "l");
        tree.write("etc/x", "x");
        let node = tree.get_mut("etc/x").unwrap();
        (node.uid, node.gid, node.time) = (7, 8, Some(5));
        node.xattrs.push(("security.capability".into(), vec![0, 10, 255]));
        tree
    }

    #[test]
    fn archives_keep_everything() {
        let folder = tempfile::tempdir().unwrap();
        let tree = again(&sample(), folder.path());
        let long = format!("usr/{}", "long".repeat(40));
        let paths: Vec<&str> = tree.paths().map(|(path, _)| path).collect();
        assert_eq!(
            paths,
            ["bin", "etc", "etc/x", "usr", "usr/bin", "usr/bin/a", "usr/bin/b", "usr/bin/c", &long]
        );
        let x = tree.get("etc/x").unwrap();
        assert_eq!((x.uid, x.gid, x.time, x.mode), (7, 8, Some(5), 0o644));
        assert_eq!(x.xattrs, [("security.capability".to_owned(), vec![0, 10, 255])]);
        assert_eq!(tree.get("bin/a").unwrap().mode, 0o4755);
        assert_eq!(tree.file("bin/b").unwrap(), Some(b"a".to_vec()));
        // What is written from what was read is the same.
        let (mut one, mut two) = (Vec::new(), Vec::new());
        sample().archive(&mut one).unwrap();
        tree.archive(&mut two).unwrap();
        assert!(one == two);
    }

    #[test]
    fn malformed_archives_are_refused() {
        for bytes in [&b"9 path=x\n"[..], b"x path=y\n", b"5 pat\n", b"99999999999999999999 a=b\n"]
        {
            let mut extensions = Extensions::default();
            let read = extensions.take(tar::EntryType::XHeader, &mut &*bytes);
            assert_eq!(read.is_ok(), bytes.starts_with(b"9 "), "{bytes:?}");
        }
    }

    #[test]
    fn paths_lead_over_links() {
        let mut tree = sample();
        tree.link("var/run", "/run");
        tree.link("etc/up", "../usr/bin");
        tree.link("loop", "loop");
        for (path, expected) in [
            ("/bin/a", "usr/bin/a"),
            ("bin", "bin"),
            ("var/run/x", "run/x"),
            ("etc/up/a", "usr/bin/a"),
            ("../../etc/./x", "etc/x"),
        ] {
            assert_eq!(tree.resolve(path), expected);
        }
        tree.resolve("loop/x");
        tree.write("bin/new", "n");
        assert_eq!(tree.list("bin"), ["a", "b", "c", "new"]);
        tree.link("etc/y", "x");
        assert_eq!(tree.text("etc/y").unwrap(), "x");
    }

    #[test]
    fn a_removed_name_leaves_the_file_to_the_others() {
        let mut tree = sample();
        tree.remove("usr/bin/a");
        assert_eq!(tree.text("usr/bin/b").unwrap(), "a");
        assert_eq!(tree.get("usr/bin/c").unwrap().kind, Kind::Name("usr/bin/b".into()));
        tree.remove("usr");
        assert_eq!(tree.paths().count(), 3);
    }

    #[test]
    fn overlays_keep_owners() {
        let folder = tempfile::tempdir().unwrap();
        let overlay = folder.path().join("overlay");
        std::fs::create_dir_all(overlay.join("bin")).unwrap();
        std::fs::create_dir_all(overlay.join("etc")).unwrap();
        std::fs::write(overlay.join("bin/tool"), "t").unwrap();
        std::fs::write(overlay.join("etc/x"), "new").unwrap();
        let mut tree = sample();
        tree.overlay(&overlay).unwrap();
        assert_eq!(tree.text("usr/bin/tool").unwrap(), "t");
        let x = tree.get("etc/x").unwrap();
        assert_eq!((x.uid, x.mode, x.time), (7, 0o644, None));
        assert_eq!(tree.text("etc/x").unwrap(), "new");
    }
}
