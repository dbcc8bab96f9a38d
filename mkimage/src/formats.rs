//! Finished raw images in other forms: what `mkimage convert` and the `formats` of recipes use.

use crate::fs::{self, Context};
use crate::progress::Step;
use crate::scratch::Scratch;
use disk_formats::bmap::Bmap;
use disk_formats::convert::{self, Labels};
use disk_formats::{Disk, raw};
use std::fs::File;
use std::path::{Path, PathBuf};

pub use disk_formats::convert::Format;

/// What a compressed image may unpack to, in bytes.
const UNPACKED_LIMIT: u64 = 16 << 40;

/// Why an image wasn't converted.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file.
    #[error(transparent)]
    File(#[from] fs::Error),
    /// The image is damaged, of a kind that isn't read, or can't be written in that form.
    #[error("{}: {source}", .path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        source: disk_formats::Error,
    },
}

/// Names the image in errors.
trait Naming<T> {
    fn named(self, path: &Path) -> Result<T, Error>;
}

impl<T> Naming<T> for disk_formats::Result<T> {
    fn named(self, path: &Path) -> Result<T, Error> {
        self.map_err(|source| match source {
            disk_formats::Error::Io(source) => {
                fs::Error { verb: "convert", path: path.to_owned(), source }.into()
            }
            source => Error::Image { path: path.to_owned(), source },
        })
    }
}

/// Opens an image of any format that is read.
///
/// # Errors
/// See [`Error`].
pub fn open(path: &Path) -> Result<Box<dyn Disk>, Error> {
    let file = fs::open(path)?;
    convert::open(file, UNPACKED_LIMIT, &|| unnamed_beside(path)).named(path)
}

/// A file for intermediate content, beside another, that nobody else sees.
fn unnamed_beside(path: &Path) -> std::io::Result<File> {
    let scratch = Scratch::new(path).map_err(|error| error.source)?;
    // Its name is gone when `scratch` is; the content goes with the last use of the file.
    File::options().read(true).write(true).create_new(true).open(scratch.path())
}

/// Writes a disk in another form; the target appears when it is whole.
///
/// # Errors
/// See [`Error`].
pub fn write(
    disk: &mut dyn Disk,
    format: Format,
    target: &Path,
    labels: &Labels,
) -> Result<(), Error> {
    let file_name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let _step = Step::spinner(&format!("writing {file_name}"));
    let scratch = Scratch::new(target)?;
    let mut file = fs::create(scratch.path())?;
    let beside = || unnamed_beside(target);
    convert::write(disk, format, &mut file, &file_name, labels, &beside).named(target)?;
    file.sync_all().at("write", target)?;
    Ok(scratch.finish()?)
}

/// Writes the block map of a raw image.
///
/// # Errors
/// See [`Error`].
pub fn write_bmap(image: &Path, target: &Path) -> Result<(), Error> {
    let mut disk = raw::Raw::open(fs::open(image)?).named(image)?;
    let map = Bmap::of(&mut disk).named(image)?;
    let scratch = Scratch::new(target)?;
    fs::write(scratch.path(), map.to_text())?;
    Ok(scratch.finish()?)
}

/// Writes a finished raw image in all forms that a recipe wants, beside it; returns their paths.
/// `epoch` is the time of everything in them, in seconds of Unix time.
///
/// # Errors
/// See [`Error`].
pub fn write_all(
    image: &Path,
    name: &str,
    formats: &[Format],
    epoch: u64,
) -> Result<Vec<PathBuf>, Error> {
    let mut disk = open(image)?;
    let labels = Labels::of(&mut disk, name, epoch).named(image)?;
    let folder = image.parent().unwrap_or(Path::new("."));
    let mut written = Vec::new();
    for format in formats.iter().filter(|format| **format != Format::Raw) {
        let target = folder.join(format!("{name}.{}", format.extension()));
        write(&mut *disk, *format, &target, &labels)?;
        written.push(target);
    }
    Ok(written)
}

/// Labels that follow from a disk's content.
///
/// # Errors
/// When the disk can't be read.
pub fn labels(disk: &mut dyn Disk, image: &Path, name: &str, epoch: u64) -> Result<Labels, Error> {
    Labels::of(disk, name, epoch).named(image)
}
