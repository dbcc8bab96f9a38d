//! What is in a disk: an image with what is behind it, or nothing.

use std::fs::{File, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::Path;

use anyhow::{Context, bail, ensure};
use qcow2::{Backing, Image, Layer};
use rustix::fs::OFlags;

use super::request::SECTOR;
use super::statistics::Counts;

/// So many images may be behind each other.
const DEEPEST: u32 = 16;

/// What is in a disk. What fails is told to the log by the medium, and to the guest by who asks.
pub trait Medium {
    /// How many sectors of 512 bytes it has.
    fn sectors(&self) -> u64;
    /// Fills `bytes` from an offset on; whether it could.
    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> bool;
    /// Writes `bytes` at an offset; whether it could.
    fn write(&mut self, offset: u64, bytes: &[u8]) -> bool;
    /// Gives up a part; whether it could.
    fn discard(&mut self, offset: u64, length: u64) -> bool;
    /// Makes sure that whoever opens it next finds what was written; whether it could.
    fn commit(&mut self) -> bool;
    /// Makes what was written durable; whether it could.
    fn flush(&mut self) -> bool;
}

/// A drive without a disc.
#[derive(Debug)]
pub struct Empty;

impl Medium for Empty {
    fn sectors(&self) -> u64 {
        0
    }

    fn read(&mut self, _offset: u64, _bytes: &mut [u8]) -> bool {
        false
    }

    fn write(&mut self, _offset: u64, _bytes: &[u8]) -> bool {
        false
    }

    fn discard(&mut self, _offset: u64, _length: u64) -> bool {
        false
    }

    fn commit(&mut self) -> bool {
        true
    }

    fn flush(&mut self) -> bool {
        true
    }
}

/// An image.
#[derive(Debug)]
pub struct Qcow2 {
    image: Image<File>,
    path: String,
    counts: Counts,
    /// What failed last was told: once is enough, until something works again.
    complained: bool,
}

impl Qcow2 {
    /// Opens an image, and what is behind it. `claim` is asked for each file.
    ///
    /// # Errors
    /// What is wrong with which file.
    pub fn open(
        path: &str,
        writable: bool,
        mut claim: impl FnMut(&File, &Path, bool) -> anyhow::Result<()>,
    ) -> anyhow::Result<Self> {
        let image = open_image(Path::new(path), writable, DEEPEST, &mut claim)?;
        let (counts, complained) = Default::default();
        Ok(Self { image, path: path.to_owned(), counts, complained })
    }

    /// What was asked of it so far.
    pub fn counts(&self) -> &Counts {
        &self.counts
    }

    /// Bytes of a cluster: what is discarded at once.
    pub fn cluster(&self) -> u64 {
        self.image.header().cluster()
    }

    /// Leaves the image as it is to be when nobody uses it.
    pub fn close(&mut self) {
        let closed = self.image.close();
        self.told(closed, "closed");
    }

    fn told(&mut self, done: qcow2::Result<()>, what: &str) -> bool {
        match done {
            Ok(()) => {
                self.complained = false;
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.complained, true) {
                    let (path, reason) = (&self.path, reason(&error));
                    log::error!("{path}: can't be {what}: {reason}. The guest sees I/O errors");
                }
                false
            }
        }
    }
}

/// What went wrong, and what to do about it.
fn reason(error: &qcow2::Error) -> String {
    match error {
        qcow2::Error::Io(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            "there is no room left where it lies; make some, for example with `xm image rm`"
                .to_owned()
        }
        error => error.to_string(),
    }
}

impl Medium for Qcow2 {
    fn sectors(&self) -> u64 {
        self.image.size() / SECTOR
    }

    fn read(&mut self, offset: u64, bytes: &mut [u8]) -> bool {
        self.counts.reads += 1;
        self.counts.read_sectors += bytes.len() as u64 / SECTOR;
        let done = self.image.read(offset, bytes);
        self.told(done, "read")
    }

    fn write(&mut self, offset: u64, bytes: &[u8]) -> bool {
        self.counts.writes += 1;
        self.counts.written_sectors += bytes.len() as u64 / SECTOR;
        let done = self.image.write(offset, bytes);
        self.told(done, "written")
    }

    fn discard(&mut self, offset: u64, length: u64) -> bool {
        let done = self.image.discard(offset, length);
        self.told(done, "written")
    }

    fn commit(&mut self) -> bool {
        let done = self.image.commit();
        done.is_ok() || self.told(done, "written")
    }

    fn flush(&mut self) -> bool {
        let done = self.image.flush();
        self.told(done, "flushed")
    }
}

fn open_image(
    path: &Path,
    writable: bool,
    depth: u32,
    claim: &mut impl FnMut(&File, &Path, bool) -> anyhow::Result<()>,
) -> anyhow::Result<Image<File>> {
    let file = open_file(path, writable)?;
    claim(&file, path, writable)?;
    let opened = Image::open(file, writable);
    let mut image = opened.with_context(|| path.display().to_string())?;
    if let Some(backing) = image.header().backing.clone() {
        let behind = format!("{}: its backing file {:?}", path.display(), backing.name);
        let layer = open_backing(path, &backing, depth, claim).with_context(|| behind)?;
        image.back(layer);
    }
    Ok(image)
}

/// Opens what an image names. Images come from anywhere: one that named any file of the control
/// domain would show it to its guest.
fn open_backing(
    image: &Path,
    backing: &Backing,
    depth: u32,
    claim: &mut impl FnMut(&File, &Path, bool) -> anyhow::Result<()>,
) -> anyhow::Result<Layer<File>> {
    ensure!(
        !backing.name.contains(['/', ':', '\0']) && ![".", ".."].contains(&backing.name.as_str()),
        "is somewhere else: only a file in the same folder may be named, without a path; \
         `qemu-img rebase -u -b NAME -F FORMAT` changes that"
    );
    ensure!(depth > 0, "is one too many: `qemu-img convert` makes one image of all");
    let path = image.with_file_name(&backing.name);
    match backing.format.as_deref() {
        Some("qcow2") => Ok(Layer::Qcow2(Box::new(open_image(&path, false, depth - 1, claim)?))),
        Some("raw") => {
            let file = open_file(&path, false)?;
            claim(&file, &path, false)?;
            Ok(Layer::Raw(file))
        }
        Some(other) => bail!("has the format {other:?}: only qcow2 and raw are known"),
        None => bail!(
            "has no format, and guessing would be dangerous: `qemu-img rebase -u -b {} -F FORMAT` \
             says it",
            backing.name
        ),
    }
}

fn open_file(path: &Path, writable: bool) -> anyhow::Result<File> {
    let name = path.display();
    // What waits for another end isn't waited for.
    let nonblocking = i32::try_from(OFlags::NONBLOCK.bits()).unwrap_or(0);
    let mut options = OpenOptions::new();
    let options = options.read(true).write(writable).custom_flags(nonblocking);
    let file = options
        .open(path)
        .with_context(|| format!("{name}: can't be opened in the control domain"))?;
    let kind = file.metadata()?.file_type();
    ensure!(kind.is_file() || kind.is_block_device(), "{name} is no file, and no block device");
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backing(name: &str, format: Option<&str>) -> anyhow::Result<Layer<File>> {
        let backing = Backing { name: name.into(), format: format.map(str::to_owned) };
        open_backing(Path::new("/dev/image"), &backing, 1, &mut |_, _, _| Ok(()))
    }

    #[test]
    fn only_neighbours_are_opened() {
        for name in ["/etc/passwd", "../x", "a/b", "..", "json:{}", "nbd:x"] {
            let said = backing(name, Some("raw")).unwrap_err().to_string();
            assert!(said.contains("same folder"), "{name}: {said}");
        }
        let said = |name, format| format!("{:#}", backing(name, format).unwrap_err());
        assert!(said("null", None).contains("-F FORMAT"));
        assert!(said("null", Some("vmdk")).contains("only qcow2 and raw"));
        assert!(said("null", Some("raw")).contains("no block device"));
        assert!(said("nonexistent", Some("raw")).contains("can't be opened"));
    }

    #[test]
    fn what_is_no_image_is_named() {
        let open = |path| Qcow2::open(path, true, |_, _, _| Ok(())).unwrap_err();
        assert!(format!("{:#}", open("/nonexistent")).starts_with("/nonexistent: can't be opened"));
        assert!(format!("{:#}", open("/tmp")).contains("/tmp"));
    }
}
