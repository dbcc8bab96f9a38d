//! The initramfs: a newc archive, zstd-compressed, whose bytes depend on its content alone.
//! Owners are root, times are the build's epoch, entries are sorted, parents come first.

use super::modules::{Selection, Tree};
use crate::fs;
use cpio::newc::{self, ModeFileType};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

/// One entry.
#[derive(Debug, Clone)]
enum Node {
    Folder,
    File { content: Content, executable: bool },
    Link { target: String },
    Device { major: u32, minor: u32 },
}

#[derive(Debug, Clone)]
enum Content {
    Bytes(Vec<u8>),
    Path(PathBuf),
}

/// An archive in the making.
#[derive(Debug, Default)]
pub struct Initramfs {
    nodes: BTreeMap<String, Node>,
}

impl Initramfs {
    /// Adds a folder and its parents.
    pub fn folder(&mut self, path: &str) {
        self.parents(path);
        self.nodes.entry(path.to_owned()).or_insert(Node::Folder);
    }

    /// Adds a file with this content.
    pub fn bytes(&mut self, path: &str, content: impl Into<Vec<u8>>) {
        let content = Content::Bytes(content.into());
        self.insert(path, Node::File { content, executable: false });
    }

    /// Adds a file from disk.
    pub fn file(&mut self, path: &str, source: &Path, executable: bool) {
        let content = Content::Path(source.to_owned());
        self.insert(path, Node::File { content, executable });
    }

    /// Adds a symbolic link.
    pub fn link(&mut self, path: &str, target: &str) {
        self.insert(path, Node::Link { target: target.to_owned() });
    }

    /// Adds a character device.
    pub fn device(&mut self, path: &str, major: u32, minor: u32) {
        self.insert(path, Node::Device { major, minor });
    }

    /// Adds modules of a kernel and their indices, below a folder for libraries; returns the folder
    /// that they are in.
    pub fn modules(&mut self, lib: &str, all: &Tree, chosen: &Selection) -> String {
        let folder = format!("{lib}/modules/{}", all.version());
        for path in chosen.paths() {
            self.file(&format!("{folder}/{path}"), &all.file(path), false);
        }
        for (name, text) in chosen.indices() {
            self.bytes(&format!("{folder}/{name}"), text);
        }
        folder
    }

    /// Adds everything below a folder: files keep only whether they are executable.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn overlay(&mut self, folder: &Path) -> fs::Result<()> {
        self.overlay_below(folder, "", &|_| true)
    }

    /// As [`Self::overlay`], of what is wanted; a folder whose path isn't is left out whole.
    ///
    /// # Errors
    /// When the folder can't be read.
    pub fn overlay_where(
        &mut self,
        folder: &Path,
        wanted: &dyn Fn(&str) -> bool,
    ) -> fs::Result<()> {
        self.overlay_below(folder, "", wanted)
    }

    fn overlay_below(
        &mut self,
        folder: &Path,
        below: &str,
        wanted: &dyn Fn(&str) -> bool,
    ) -> fs::Result<()> {
        use fs::Context;
        use std::os::unix::fs::PermissionsExt;
        for path in fs::list(folder)? {
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            let inner = if below.is_empty() { name } else { format!("{below}/{name}") };
            if !wanted(&inner) {
                continue;
            }
            let meta = path.symlink_metadata().at("read", &path)?;
            if meta.is_dir() {
                self.folder(&inner);
                self.overlay_below(&path, &inner, wanted)?;
            } else if meta.is_symlink() {
                let target = path.read_link().at("read", &path)?;
                self.link(&inner, &target.to_string_lossy());
            } else if !inner.ends_with(".keep") {
                self.file(&inner, &path, meta.permissions().mode() & 0o111 != 0);
            }
        }
        Ok(())
    }

    fn insert(&mut self, path: &str, node: Node) {
        self.parents(path);
        self.nodes.insert(path.to_owned(), node);
    }

    fn parents(&mut self, path: &str) {
        for (at, _) in path.match_indices('/') {
            let parent = path.get(..at).unwrap_or_default().to_owned();
            self.nodes.entry(parent).or_insert(Node::Folder);
        }
    }

    /// Writes the compressed archive; returns its size before compression.
    ///
    /// # Errors
    /// When a source can't be read or the target not written.
    pub fn write(&self, target: &Path, epoch: u64) -> fs::Result<u64> {
        use fs::Context;
        let archive = self.archive(epoch)?;
        let compressed = ruzstd::encoding::compress_to_vec(
            archive.as_slice(),
            ruzstd::encoding::CompressionLevel::Fastest,
        );
        let mut file = fs::create(target)?;
        file.write_all(&compressed).at("write", target)?;
        Ok(archive.len() as u64)
    }

    /// The archive before compression.
    ///
    /// # Errors
    /// When a source can't be read.
    pub fn archive(&self, epoch: u64) -> fs::Result<Vec<u8>> {
        let mut out = Vec::new();
        for (number, (path, node)) in self.nodes.iter().enumerate() {
            let content = node.content()?;
            // Writing to memory fails only for files over 4 GiB.
            append(&mut out, number + 1, path, node, &content, epoch)
                .map_err(|source| fs::Error { verb: "pack", path: PathBuf::from(path), source })?;
        }
        let path = Path::new("the trailer");
        fs::Context::at(newc::trailer(&mut out).map(drop), "pack", path)?;
        Ok(out)
    }
}

impl Node {
    fn content(&self) -> fs::Result<Vec<u8>> {
        Ok(match self {
            Self::File { content: Content::Bytes(bytes), .. } => bytes.clone(),
            Self::File { content: Content::Path(path), .. } => fs::read(path)?,
            Self::Link { target } => target.clone().into_bytes(),
            Self::Folder | Self::Device { .. } => Vec::new(),
        })
    }
}

fn append(
    out: &mut Vec<u8>,
    number: usize,
    path: &str,
    node: &Node,
    content: &[u8],
    epoch: u64,
) -> io::Result<()> {
    let (kind, mode) = match node {
        Node::Folder => (ModeFileType::Directory, 0o755),
        Node::File { executable: true, .. } => (ModeFileType::Regular, 0o755),
        Node::File { executable: false, .. } => (ModeFileType::Regular, 0o644),
        Node::Link { .. } => (ModeFileType::Symlink, 0o777),
        Node::Device { .. } => (ModeFileType::Char, 0o600),
    };
    let mut builder = newc::Builder::new(path)
        .ino(u32::try_from(number).unwrap_or(u32::MAX))
        .mode(mode)
        .set_mode_file_type(kind)
        .mtime(u32::try_from(epoch).unwrap_or(u32::MAX));
    if let Node::Device { major, minor } = node {
        builder = builder.rdev_major(*major).rdev_minor(*minor);
    }
    let size = u32::try_from(content.len()).map_err(|_| io::ErrorKind::FileTooLarge)?;
    let mut writer = builder.write(out, size);
    writer.write_all(content)?;
    writer.finish().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(folder: &Path) -> Initramfs {
        let overlay = folder.join("overlay");
        std::fs::create_dir_all(overlay.join("etc")).unwrap();
        std::fs::write(overlay.join("etc/hostname"), "xenolith\n").unwrap();
        let link = overlay.join("xm");
        let _ = std::os::unix::fs::symlink("/init", link);
        let mut initramfs = Initramfs::default();
        initramfs.bytes("usr/lib/modules/1/modules.dep", "a:\n");
        initramfs.device("dev/console", 5, 1);
        initramfs.overlay(&overlay).unwrap();
        initramfs
    }

    fn entries(archive: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
        let mut rest = archive;
        let mut all = Vec::new();
        loop {
            let mut reader = newc::Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                return all;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = Vec::new();
            io::Read::read_to_end(&mut reader, &mut content).unwrap();
            all.push((name, mode, content));
            rest = reader.finish().unwrap();
        }
    }

    #[test]
    fn entries_are_sorted_with_parents_first() {
        let folder = tempfile::tempdir().unwrap();
        let archive = sample(folder.path()).archive(7).unwrap();
        let entries = entries(&archive);
        let names: Vec<&str> = entries.iter().map(|(name, ..)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "dev",
                "dev/console",
                "etc",
                "etc/hostname",
                "usr",
                "usr/lib",
                "usr/lib/modules",
                "usr/lib/modules/1",
                "usr/lib/modules/1/modules.dep",
                "xm"
            ]
        );
        assert_eq!(entries[3].2, b"xenolith\n");
        assert_eq!((entries[1].1, entries[9].1), (0o020_600, 0o120_777));
        assert_eq!(entries[9].2, b"/init");
    }

    #[test]
    fn two_runs_are_identical_and_decompress() {
        let folder = tempfile::tempdir().unwrap();
        let (a, b) = (folder.path().join("a"), folder.path().join("b"));
        sample(folder.path()).write(&a, 7).unwrap();
        sample(folder.path()).write(&b, 7).unwrap();
        let compressed = std::fs::read(&a).unwrap();
        assert_eq!(compressed, std::fs::read(&b).unwrap());
        let mut decoder = ruzstd::decoding::StreamingDecoder::new(compressed.as_slice()).unwrap();
        let mut plain = Vec::new();
        io::Read::read_to_end(&mut decoder, &mut plain).unwrap();
        assert_eq!(plain, sample(folder.path()).archive(7).unwrap());
    }
}
