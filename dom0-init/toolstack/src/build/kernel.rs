//! Kernels, unpacked once: the second guest of a kernel starts without waiting for that.

use std::collections::VecDeque;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use hv_loader::image::Image;

use super::error::BuildError;

/// How many unpacked kernels are kept.
const KEPT: usize = 2;

/// Unpacked kernels, the one that was asked for last at the end.
#[derive(Debug, Default)]
pub struct KernelCache {
    kept: VecDeque<(Identity, Arc<Vec<u8>>)>,
}

/// Which file it was: one that was changed or replaced has another identity.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    bytes: u64,
    modified: (i64, i64),
}

impl Identity {
    fn of(facts: &fs::Metadata) -> Self {
        Self {
            device: facts.dev(),
            inode: facts.ino(),
            bytes: facts.size(),
            modified: (facts.mtime(), facts.mtime_nsec()),
        }
    }
}

impl KernelCache {
    /// The ELF inside of a kernel file.
    ///
    /// # Errors
    /// When the file can't be read, or is no kernel.
    pub fn elf(&mut self, path: &Path) -> Result<Arc<Vec<u8>>, BuildError> {
        let failed = |reason| BuildError::File { what: "kernel", path: path.to_owned(), reason };
        let identity = Identity::of(&fs::metadata(path).map_err(failed)?);
        let place = self.kept.iter().position(|(known, _)| *known == identity);
        let elf = match place.and_then(|place| self.kept.remove(place)) {
            Some((_, elf)) => elf,
            None => unpack(path, fs::read(path).map_err(failed)?)?,
        };
        self.kept.push_back((identity, Arc::clone(&elf)));
        let surplus = self.kept.len().saturating_sub(KEPT);
        self.kept.drain(..surplus);
        Ok(elf)
    }
}

fn unpack(path: &Path, file: Vec<u8>) -> Result<Arc<Vec<u8>>, BuildError> {
    let bad = |reason| BuildError::Kernel { path: path.to_owned(), reason };
    let image = Image::parse(&file).map_err(bad)?;
    if let Some(elf) = image.elf() {
        return Ok(Arc::new(elf.to_vec()));
    }
    let mut elf = vec![0; image.unpacked_len()];
    image.unpack(&mut elf).map_err(bad)?;
    Ok(Arc::new(elf))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The least that counts as an ELF file.
    const ELF: &[u8] = b"\x7fELF";

    #[test]
    fn errors_name_the_file() {
        let folder = std::env::temp_dir().join(format!("kernels-{}", std::process::id()));
        let mut cache = KernelCache::default();
        let error = cache.elf(Path::new("/nonexistent/vmlinuz")).unwrap_err();
        assert!(error.to_string().starts_with("kernel /nonexistent/vmlinuz: "), "{error}");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("text");
        fs::write(&file, "no kernel").unwrap();
        assert!(matches!(cache.elf(&file), Err(BuildError::Kernel { .. })));
        assert!(cache.kept.is_empty());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn the_last_ones_are_kept_until_their_files_change() {
        let folder = std::env::temp_dir().join(format!("kept-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let mut cache = KernelCache::default();
        let files: Vec<_> = (0..3).map(|number| folder.join(number.to_string())).collect();
        for file in &files {
            fs::write(file, ELF).unwrap();
        }
        let first = cache.elf(&files[0]).unwrap();
        cache.elf(&files[1]).unwrap();
        assert!(Arc::ptr_eq(&first, &cache.elf(&files[0]).unwrap()));
        // The second one has to go, not the first, which was just asked for.
        cache.elf(&files[2]).unwrap();
        assert_eq!(cache.kept.len(), KEPT);
        assert!(Arc::ptr_eq(&first, &cache.elf(&files[0]).unwrap()));
        fs::write(&files[0], [ELF, b"changed"].concat()).unwrap();
        assert!(!Arc::ptr_eq(&first, &cache.elf(&files[0]).unwrap()));
        fs::remove_dir_all(folder).unwrap();
    }
}
