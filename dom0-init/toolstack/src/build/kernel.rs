//! Kernels, unpacked once: the second guest of a kernel starts without waiting for that.

use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use hv_loader::image::Image;

use super::error::BuildError;

/// How many unpacked kernels are kept.
const KEPT: usize = 2;

/// A folder of unpacked kernels.
#[derive(Debug, Clone)]
pub struct KernelCache {
    folder: PathBuf,
}

impl KernelCache {
    /// Keeps them in a folder, which should be in memory.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self { folder: folder.into() }
    }

    /// The ELF inside of a kernel file.
    ///
    /// # Errors
    /// When the file can't be read, or is no kernel.
    pub fn elf(&self, path: &Path) -> Result<Vec<u8>, BuildError> {
        let failed = |reason| BuildError::File { what: "kernel", path: path.to_owned(), reason };
        let facts = fs::metadata(path).map_err(failed)?;
        let kept = self.folder.join(name(&facts));
        if let Ok(elf) = fs::read(&kept) {
            return Ok(elf);
        }
        let file = fs::read(path).map_err(failed)?;
        let bad = |reason| BuildError::Kernel { path: path.to_owned(), reason };
        let image = Image::parse(&file).map_err(bad)?;
        if let Some(elf) = image.elf() {
            return Ok(elf.to_vec());
        }
        let mut elf = vec![0; image.unpacked_len()];
        image.unpack(&mut elf).map_err(bad)?;
        drop(file);
        if let Err(error) = self.keep(&kept, &elf) {
            log::info!("{}: can't be kept unpacked: {error}", path.display());
        }
        Ok(elf)
    }

    fn keep(&self, place: &Path, elf: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        self.make_room()?;
        let unfinished = place.with_extension("part");
        fs::write(&unfinished, elf)?;
        fs::rename(unfinished, place)
    }

    /// Removes the oldest, so that there is room for one more.
    fn make_room(&self) -> io::Result<()> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            kept.push((entry.metadata()?.modified()?, entry.path()));
        }
        kept.sort();
        let surplus = kept.len().saturating_sub(KEPT - 1);
        kept.iter().take(surplus).try_for_each(|(_, path)| fs::remove_file(path))
    }
}

/// A file that was changed or replaced has another name here.
fn name(facts: &fs::Metadata) -> String {
    format!(
        "{}-{}-{}-{}.elf",
        facts.dev(),
        facts.ino(),
        facts.size(),
        facts.mtime_nsec().wrapping_add(facts.mtime())
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_file() {
        let folder = std::env::temp_dir().join(format!("kernels-{}", std::process::id()));
        let cache = KernelCache::new(folder.join("cache"));
        let error = cache.elf(Path::new("/nonexistent/vmlinuz")).unwrap_err();
        assert!(error.to_string().starts_with("kernel /nonexistent/vmlinuz: "), "{error}");
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("text");
        fs::write(&file, "no kernel").unwrap();
        assert!(matches!(cache.elf(&file), Err(BuildError::Kernel { .. })));
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn only_some_are_kept() {
        let folder = std::env::temp_dir().join(format!("kept-{}", std::process::id()));
        let cache = KernelCache::new(&folder);
        for number in 0..5 {
            cache.keep(&folder.join(format!("{number}.elf")), b"x").unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), KEPT);
        fs::remove_dir_all(folder).unwrap();
    }
}
