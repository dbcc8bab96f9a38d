//! Finished raw images in other forms: what `mkimage convert` and the `formats` of recipes use.
//! [`Form`] is what can be asked for, [`Outputs`] what a build writes.

use crate::fs::{self, Context};
use crate::progress::Step;
use crate::scratch::Scratch;
use disk_formats::bmap::Bmap;
use disk_formats::convert::{self, Labels};
use disk_formats::{Disk, raw};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Deserialize;
use std::borrow::Cow;
use std::fs::File;
use std::path::{Path, PathBuf};

pub use disk_formats::convert::Format;

/// What a compressed image may unpack to, in bytes.
const UNPACKED_LIMIT: u64 = 16 << 40;

/// What a disk can be written as.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Form {
    /// An image.
    Image(Format),
    /// The block map of the raw image, as bmaptool has it.
    Bmap,
}

impl Form {
    /// The disk's bytes, sparse.
    pub const RAW: Self = Self::Image(Format::Raw);

    /// All of them.
    pub fn all() -> impl Iterator<Item = Self> {
        Format::ALL.into_iter().map(Self::Image).chain([Self::Bmap])
    }

    /// Its name on command lines and in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Image(format) => format.name(),
            Self::Bmap => "bmap",
        }
    }

    /// How its files' names end, without a dot in front. A block map is called after the raw image,
    /// as bmaptool looks for it.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Image(format) => format.extension(),
            Self::Bmap => "img.bmap",
        }
    }

    /// The form of that name.
    ///
    /// # Errors
    /// The names that there are, in words.
    pub fn named(name: &str) -> Result<Self, String> {
        let known = || Self::all().map(Self::name).collect::<Vec<_>>().join(", ");
        let unknown = || format!("`{name}` is no format of images; known are {}", known());
        Self::all().find(|form| form.name() == name).ok_or_else(unknown)
    }

    /// The file of an image of this name.
    pub fn file(self, name: &str) -> String {
        format!("{name}.{}", self.extension())
    }
}

impl<'de> Deserialize<'de> for Form {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Self::named(&String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for Form {
    fn schema_name() -> Cow<'static, str> {
        "Format".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let names: Vec<&str> = Self::all().map(Self::name).collect();
        json_schema!({
            "type": "string",
            "enum": names,
            "description": "A form of a disk."
        })
    }
}

/// Checks what a recipe wants its disk written as: something, and no map of what isn't there.
///
/// # Errors
/// The reason in words.
pub fn check(forms: &[Form]) -> Result<(), String> {
    if forms.is_empty() {
        return Err("`formats` is empty: leave it out for [\"raw\"]".to_owned());
    }
    let twice = (1..).zip(forms).find(|(next, form)| forms.iter().skip(*next).any(|f| f == *form));
    if let Some((_, form)) = twice {
        return Err(format!("`{}` is there twice", form.name()));
    }
    let mapped = [Form::RAW, Form::Image(Format::RawZst)];
    if forms.contains(&Form::Bmap) && !forms.iter().any(|form| mapped.contains(form)) {
        return Err("bmap is the map of a raw image: add raw or raw.zst".to_owned());
    }
    Ok(())
}

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
    Ok(stage(disk, format, target, labels)?.finish()?)
}

/// Writes a disk in another form, under a temporary name.
fn stage(
    disk: &mut dyn Disk,
    format: Format,
    target: &Path,
    labels: &Labels,
) -> Result<Scratch, Error> {
    let file_name = target.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let _step = Step::spinner(&format!("writing {file_name}"));
    let scratch = Scratch::new(target)?;
    let mut file = fs::create(scratch.path())?;
    let beside = || unnamed_beside(target);
    convert::write(disk, format, &mut file, &file_name, labels, &beside).named(target)?;
    file.sync_all().at("write", target)?;
    Ok(scratch)
}

/// Writes the block map of a raw image.
///
/// # Errors
/// See [`Error`].
pub fn write_bmap(image: &Path, target: &Path) -> Result<(), Error> {
    Ok(stage_bmap(image, target)?.finish()?)
}

fn stage_bmap(image: &Path, target: &Path) -> Result<Scratch, Error> {
    let mut disk = raw::Raw::open(fs::open(image)?).named(image)?;
    let map = Bmap::of(&mut disk).named(image)?;
    let scratch = Scratch::new(target)?;
    fs::write(scratch.path(), map.to_text())?;
    Ok(scratch)
}

/// What a build makes of a finished disk.
#[derive(Debug)]
pub struct Outputs<'a> {
    /// The image's name; its files are called after it.
    pub name: &'a str,
    /// What is written.
    pub forms: &'a [Form],
    /// The time of everything, in seconds of Unix time.
    pub epoch: u64,
    /// The memory of a machine that would run it, in MiB, and its vCPUs; as usual unless given.
    pub machine: Option<(u64, u32)>,
}

impl Outputs<'_> {
    /// The names of the files.
    pub fn files(&self) -> Vec<String> {
        self.forms.iter().map(|form| form.file(self.name)).collect()
    }

    /// Writes a raw image in all forms, into a folder, under temporary names: what is returned is
    /// to be finished. The raw image is part of it if it was asked for, and removed if not.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn write(&self, raw: Scratch, folder: &Path) -> Result<Vec<Scratch>, Error> {
        let mut staged = Vec::new();
        let mut open = None;
        for form in self.forms.iter().filter(|form| **form != Form::RAW) {
            let target = folder.join(form.file(self.name));
            staged.push(match form {
                Form::Bmap => stage_bmap(raw.path(), &target)?,
                Form::Image(format) => {
                    let (disk, labels) = match &mut open {
                        Some(open) => open,
                        None => open.insert(self.open(raw.path())?),
                    };
                    stage(&mut **disk, *format, &target, labels)?
                }
            });
        }
        staged.extend(self.forms.contains(&Form::RAW).then_some(raw));
        Ok(staged)
    }

    fn open(&self, image: &Path) -> Result<(Box<dyn Disk>, Labels), Error> {
        let mut disk = open(image)?;
        let mut labels = labels(&mut *disk, image, self.name, self.epoch)?;
        if let Some((memory_mib, vcpus)) = self.machine {
            (labels.memory_mib, labels.vcpus) = (memory_mib, vcpus);
        }
        Ok((disk, labels))
    }
}

/// Labels that follow from a disk's content.
///
/// # Errors
/// When the disk can't be read.
pub fn labels(disk: &mut dyn Disk, image: &Path, name: &str, epoch: u64) -> Result<Labels, Error> {
    Labels::of(disk, name, epoch).named(image)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for form in Form::all() {
            assert_eq!(Form::named(form.name()), Ok(form));
        }
        assert_eq!(Form::Bmap.file("debian-13"), "debian-13.img.bmap");
        let error = Form::named("vdi").unwrap_err();
        let expected = "`vdi` is no format of images; known are raw, raw.zst, qcow2, vmdk, vhd, ova, tar, \
                        bmap";
        assert_eq!(error, expected);
    }

    #[test]
    fn a_map_needs_what_it_maps() {
        assert_eq!(check(&[Form::RAW, Form::Bmap]), Ok(()));
        assert_eq!(check(&[Form::Bmap, Form::Image(Format::RawZst)]), Ok(()));
        assert!(check(&[Form::Bmap]).unwrap_err().contains("add raw or raw.zst"));
        assert!(check(&[Form::RAW, Form::RAW]).unwrap_err().contains("`raw` is there twice"));
        assert!(check(&[]).unwrap_err().contains("is empty"));
    }
}
