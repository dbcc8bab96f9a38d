//! Choosing among the formats: by name when writing, by content when reading.

use crate::ova::{self, Ova};
use crate::qcow2::{self, Qcow2};
use crate::raw::{self, Raw};
use crate::vhd::{self, Vhd};
use crate::vmdk::{self, Vmdk};
use crate::{Disk, Input, Result, sparse_tar, zst};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{BufWriter, Seek};

/// A form of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    /// The disk's bytes, sparse.
    Raw,
    /// The same, compressed by zstd.
    RawZst,
    /// QEMU's.
    Qcow2,
    /// VMware's, stream-optimized.
    Vmdk,
    /// Hyper-V's and Azure's, dynamic.
    Vhd,
    /// A machine with its disk, for VMware and VirtualBox.
    Ova,
    /// A tar archive with a sparse `disk.raw`.
    Tar,
}

impl Format {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Raw, Self::RawZst, Self::Qcow2, Self::Vmdk, Self::Vhd, Self::Ova, Self::Tar];

    /// Its name on command lines and in recipes.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Raw => "raw",
            Self::RawZst => "raw.zst",
            Self::Qcow2 => "qcow2",
            Self::Vmdk => "vmdk",
            Self::Vhd => "vhd",
            Self::Ova => "ova",
            Self::Tar => "tar",
        }
    }

    /// How its files' names end, without a dot in front.
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Raw => "img",
            Self::RawZst => "img.zst",
            other => other.name(),
        }
    }

    /// The format of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// What an image is told about itself when it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Labels {
    /// The guest's name, in formats that have one.
    pub name: String,
    /// The time of everything, in seconds of Unix time.
    pub epoch: u64,
    /// What identifiers are derived from: the same for the same content.
    pub identity: [u8; 32],
    /// The memory of a machine that would run it, in MiB.
    pub memory_mib: u64,
    /// Its vCPUs.
    pub vcpus: u32,
}

impl Labels {
    /// Labels whose identifiers follow from the disk's content, which is read for that.
    ///
    /// # Errors
    /// When the disk can't be read.
    pub fn of<D: Disk + ?Sized>(disk: &mut D, name: &str, epoch: u64) -> Result<Self> {
        let mut hasher = Sha256::new();
        hasher.update(disk.size().to_le_bytes());
        crate::blocks::for_each(disk, 1 << 16, |number, block| {
            hasher.update(number.to_le_bytes());
            hasher.update(block);
            Ok(())
        })?;
        let identity = hasher.finalize().into();
        Ok(Self { name: name.to_owned(), epoch, identity, memory_mib: 1024, vcpus: 1 })
    }

    fn content_id(&self) -> u32 {
        let [a, b, c, d, ..] = self.identity;
        // All ones and the one before stand for "no parent" and "not known".
        u32::from_le_bytes([a, b, c, d]) & 0x7fff_ffff
    }

    fn uuid(&self) -> [u8; 16] {
        let mut uuid = [0; 16];
        uuid.iter_mut().zip(self.identity).for_each(|(slot, byte)| *slot = byte);
        // A random one's version and variant.
        uuid[6] = (uuid[6] & 0x0f) | 0x40;
        uuid[8] = (uuid[8] & 0x3f) | 0x80;
        uuid
    }
}

/// Writes a disk into an empty file. `file_name` is what the file will be called; `scratch` makes
/// an empty file for what an archive holds.
///
/// # Errors
/// When the format can't hold the disk, the disk can't be read, or the file can't be written.
pub fn write<D: Disk + ?Sized>(
    disk: &mut D,
    format: Format,
    file: &mut File,
    file_name: &str,
    labels: &Labels,
    scratch: &dyn Fn() -> std::io::Result<File>,
) -> Result<()> {
    match format {
        Format::Raw => raw::write(disk, file),
        #[cfg(feature = "compress")]
        Format::RawZst => zst::write(disk, BufWriter::with_capacity(1 << 20, file)),
        #[cfg(not(feature = "compress"))]
        Format::RawZst => Err(crate::Error::unsupported("raw.zst can't be written here")),
        Format::Qcow2 => qcow2::write(disk, file),
        Format::Vmdk => {
            let mut out = BufWriter::with_capacity(1 << 20, file);
            vmdk::write(disk, &mut out, file_name, labels.content_id())
        }
        Format::Vhd => {
            let identity = vhd::Identity { uuid: labels.uuid(), epoch: labels.epoch };
            vhd::write(disk, file, identity)
        }
        Format::Ova => {
            let about = ova::About {
                name: labels.name.clone(),
                memory_mib: labels.memory_mib,
                vcpus: labels.vcpus,
                epoch: labels.epoch,
                content_id: labels.content_id(),
            };
            ova::write(disk, BufWriter::with_capacity(1 << 20, file), &scratch()?, &about)
        }
        Format::Tar => {
            sparse_tar::write(disk, &mut BufWriter::with_capacity(1 << 20, file), labels.epoch)
        }
    }
}

/// The format of a file, by its content; what nothing else claims is raw.
///
/// # Errors
/// When the file can't be read.
pub fn detect(file: &impl Input) -> Result<Format> {
    let length = file.length()?;
    let head = file.take(0, usize::try_from(length.min(512)).unwrap_or(512))?;
    let tail = file.take(length.saturating_sub(512), head.len())?;
    Ok(if head.starts_with(&qcow2::MAGIC) {
        Format::Qcow2
    } else if head.starts_with(&vmdk::MAGIC) || head.starts_with(b"# Disk DescriptorFile") {
        Format::Vmdk
    } else if head.starts_with(&zst::MAGIC) {
        Format::RawZst
    } else if head.starts_with(vhd::MAGIC) || tail.starts_with(vhd::MAGIC) {
        Format::Vhd
    } else if head.get(257..262) == Some(b"ustar") {
        Format::Ova
    } else {
        Format::Raw
    })
}

/// Opens an image of any format that is read. `scratch` makes an empty file for what has to be
/// unpacked first, of up to `limit` bytes.
///
/// # Errors
/// When the image is damaged or of a kind that isn't read.
pub fn open(
    mut file: File,
    limit: u64,
    scratch: &dyn Fn() -> std::io::Result<File>,
) -> Result<Box<dyn Disk>> {
    Ok(match detect(&file)? {
        Format::Raw => Box::new(Raw::open(file)?),
        Format::Qcow2 => Box::new(Qcow2::open(file)?),
        Format::Vmdk => Box::new(Vmdk::open(file)?),
        Format::Vhd => Box::new(Vhd::open(file)?),
        Format::Ova | Format::Tar => Box::new(Ova::open(file)?.into_disk()?),
        Format::RawZst => {
            file.rewind()?;
            let unpacked = scratch()?;
            zst::unpack(file, &unpacked, limit, |_| ())?;
            Box::new(Raw::open(unpacked)?)
        }
    })
}
