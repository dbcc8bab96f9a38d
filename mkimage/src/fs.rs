//! File operations whose errors name the path, the reason and, for a full disk, the way out.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

/// A failed file operation.
#[derive(Debug, thiserror::Error)]
#[error("can't {verb} {}: {}", .path.display(), reason(.source))]
pub struct Error {
    /// What was tried.
    pub verb: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// Why it failed.
    pub source: io::Error,
}

/// Result of a file operation.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Whether the disk or the quota is full.
    pub fn is_disk_full(&self) -> bool {
        is_disk_full(&self.source)
    }
}

fn is_disk_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

fn reason(error: &io::Error) -> String {
    if is_disk_full(error) {
        return "the disk is full; free some space, or choose another disk with --cache or --out"
            .to_owned();
    }
    error.to_string()
}

/// Attaches verb and path to an I/O result.
pub trait Context<T> {
    /// Names what was tried, and on what.
    ///
    /// # Errors
    /// The I/O error, with its context.
    fn at(self, verb: &'static str, path: &Path) -> Result<T>;
}

impl<T> Context<T> for io::Result<T> {
    fn at(self, verb: &'static str, path: &Path) -> Result<T> {
        self.map_err(|source| Error { verb, path: path.to_owned(), source })
    }
}

/// Reads a whole file.
///
/// # Errors
/// [`Error`] with the path.
pub fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).at("read", path)
}

/// Reads a whole text file.
///
/// # Errors
/// [`Error`] with the path.
pub fn read_text(path: &Path) -> Result<String> {
    fs::read_to_string(path).at("read", path)
}

/// Writes a file at once; its folder must exist.
///
/// # Errors
/// [`Error`] with the path.
pub fn write(path: &Path, bytes: impl AsRef<[u8]>) -> Result<()> {
    fs::write(path, bytes).at("write", path)
}

/// Creates a file for writing and reading, or empties it.
///
/// # Errors
/// [`Error`] with the path.
pub fn create(path: &Path) -> Result<File> {
    let options = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).clone();
    options.open(path).at("create", path)
}

/// Opens a file for reading.
///
/// # Errors
/// [`Error`] with the path.
pub fn open(path: &Path) -> Result<File> {
    File::open(path).at("open", path)
}

/// Creates a folder and its parents.
///
/// # Errors
/// [`Error`] with the path.
pub fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).at("create the folder", path)
}

/// Sets permissions, whatever the process takes away from new files.
///
/// # Errors
/// [`Error`] with the path.
pub fn set_mode(path: &Path, mode: u32) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).at("change", path)
}

/// Moves a file or folder over another.
///
/// # Errors
/// [`Error`] with the target's path.
pub fn rename(from: &Path, to: &Path) -> Result<()> {
    fs::rename(from, to).at("move the finished output to", to)
}

/// Copies a file.
///
/// # Errors
/// [`Error`] with the target's path.
pub fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut source = open(from)?;
    let mut target = create(to)?;
    io::copy(&mut source, &mut target).map(drop).at("copy to", to)
}

/// Removes a file or a folder with everything in it; a missing one is fine.
///
/// # Errors
/// [`Error`] with the path.
pub fn remove(path: &Path) -> Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error).at("remove", path),
        _ => Ok(()),
    }
}

/// The entries of a folder, sorted by name.
///
/// # Errors
/// [`Error`] with the path.
pub fn list(path: &Path) -> Result<Vec<PathBuf>> {
    let entries: io::Result<Vec<_>> =
        fs::read_dir(path).and_then(|dir| dir.map(|entry| entry.map(|e| e.path())).collect());
    let mut entries = entries.at("list", path)?;
    entries.sort();
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages() {
        let error = read(Path::new("/nonexistent/file")).unwrap_err().to_string();
        assert!(error.starts_with("can't read /nonexistent/file: "), "{error}");
        let full = Err::<(), _>(io::Error::from(io::ErrorKind::StorageFull));
        let error = full.at("write", Path::new("x")).unwrap_err();
        assert!(error.is_disk_full());
        assert!(error.to_string().contains("--cache"), "{error}");
    }

    #[test]
    fn a_full_device_is_recognised() {
        let error = write(Path::new("/dev/full"), b"x").unwrap_err();
        assert!(error.is_disk_full(), "{error}");
    }
}
