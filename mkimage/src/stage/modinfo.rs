//! `.modinfo`: what a kernel module says about itself, out of its (compressed) ELF file.

use crate::fs;
use object::{Object, ObjectSection};
use std::io::Read;
use std::path::{Path, PathBuf};

/// A module is never this large; a decompression bomb is.
const LIMIT: u64 = 256 << 20;

/// The parts of a module's description that loading needs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ModInfo {
    /// Modules that it links against.
    pub depends: Vec<String>,
    /// Patterns of devices and names that it serves.
    pub aliases: Vec<String>,
    /// Soft dependencies as written, e.g. `pre: crc32c`.
    pub softdeps: Vec<String>,
}

/// Why a module can't be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of ours.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The module is damaged, or compressed in a way that is not known.
    #[error("{}: {reason}", .path.display())]
    Damaged {
        /// The module.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

impl ModInfo {
    /// Reads a module file: `.ko`, `.ko.xz`, `.ko.gz` or `.ko.zst`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let damaged = |reason: String| Error::Damaged { path: path.to_owned(), reason };
        let file = fs::open(path)?;
        let mut image = Vec::new();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        let read = match extension.as_ref() {
            "xz" => liblzma::read::XzDecoder::new(file).take(LIMIT).read_to_end(&mut image),
            "gz" => flate2::read::GzDecoder::new(file).take(LIMIT).read_to_end(&mut image),
            "zst" => match ruzstd::decoding::StreamingDecoder::new(file) {
                Ok(decoder) => decoder.take(LIMIT).read_to_end(&mut image),
                Err(error) => return Err(damaged(error.to_string())),
            },
            _ => file.take(LIMIT).read_to_end(&mut image),
        };
        read.map_err(|error| damaged(error.to_string()))?;
        Self::of_elf(&image).map_err(damaged)
    }

    /// Finds the section in an ELF image.
    ///
    /// # Errors
    /// The reason in words.
    pub fn of_elf(image: &[u8]) -> Result<Self, String> {
        let wrong = |error: object::Error| format!("not a kernel module: {error}");
        let elf = object::File::parse(image).map_err(wrong)?;
        let section = elf.section_by_name(".modinfo");
        let section = section.ok_or("not a kernel module: it has no .modinfo")?;
        let section = section.data().map_err(wrong)?;
        Ok(Self::parse(section))
    }

    /// Parses the section: `key=value` strings, each ended by a zero byte.
    pub fn parse(section: &[u8]) -> Self {
        let mut info = Self::default();
        for item in section.split(|byte| *byte == 0) {
            let text = String::from_utf8_lossy(item);
            let Some((key, value)) = text.split_once('=') else { continue };
            match key {
                "depends" => {
                    let names = value.split(',').filter(|name| !name.is_empty());
                    info.depends.extend(names.map(normal));
                }
                "alias" => info.aliases.push(value.to_owned()),
                "softdep" => info.softdeps.push(value.to_owned()),
                _ => {}
            }
        }
        info
    }

    /// Names in the soft dependencies.
    pub fn soft_names(&self) -> impl Iterator<Item = String> {
        let words = self.softdeps.iter().flat_map(|text| text.split_whitespace());
        words.filter(|word| !word.ends_with(':')).map(normal)
    }
}

/// The aliases in a `modules.builtin.modinfo`: `MODULE.KEY=VALUE` strings, each ended by a zero
/// byte.
pub fn builtin_aliases(described: &[u8]) -> impl Iterator<Item = String> {
    let items = described.split(|byte| *byte == 0).map(String::from_utf8_lossy);
    items.filter_map(|item| {
        let (key, value) = item.split_once('=')?;
        key.ends_with(".alias").then(|| value.to_owned())
    })
}

/// A module's name as the kernel has it: with `_` for `-`.
pub fn normal(name: &str) -> String {
    name.replace('-', "_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys() {
        let section =
            b"license=GPL\0alias=pci:v*d*\0alias=fs-ext4\0\0softdep=pre: crc32c post: a-b\0\
            depends=mbcache,jbd2,crc16-x\0depends=\0odd";
        let info = ModInfo::parse(section);
        assert_eq!(info.depends, ["mbcache", "jbd2", "crc16_x"]);
        assert_eq!(info.aliases, ["pci:v*d*", "fs-ext4"]);
        assert_eq!(info.soft_names().collect::<Vec<_>>(), ["crc32c", "a_b"]);
    }

    #[test]
    fn damaged_modules_are_named() {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in [("a.ko", &b"text"[..]), ("b.ko.xz", b"text"), ("c.ko.zst", b"text")] {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            let error = ModInfo::read(&path).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(0_u8.., 0..300)) {
            let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0".to_vec();
            elf.extend(&bytes);
            let _ = (ModInfo::parse(&bytes), ModInfo::of_elf(&bytes), ModInfo::of_elf(&elf));
        }
    }
}
