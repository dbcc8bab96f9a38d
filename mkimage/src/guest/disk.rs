//! A guest's disk image: a bare file system, or
//!
//! | partition | holds |
//! |---|---|
//! | 1 `bios` | GRUB's core image, for BIOS |
//! | 2 `esp` | FAT: GRUB for UEFI |
//! | 3 `root` | ext4: the system; it grows over the disk at first boot |

use super::tree::Tree;
use crate::disk::bios;
use crate::disk::content::Source;
use crate::disk::ext4::{self, Ext4};
use crate::disk::fat::{self, Label};
use crate::disk::gpt::{self, Partition, Purpose};
use crate::disk::grub::{self, Flavor};
use crate::disk::region::Region;
use crate::error::Error;
use crate::fs::{self, Context};
use crate::hash::{Hasher, Sha256};
use crate::recipe::PartitionTable;
use crate::tools::Tools;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

const BIOS_PREFIX: &str = "(,gpt3)/boot/grub";
/// Room for GRUB as a UEFI program.
const ESP: u64 = 8 << 20;

/// A disk to be written.
#[derive(Debug)]
pub struct Disk<'a> {
    /// Names the content: all identifiers follow from it.
    pub id: Sha256,
    /// Size in bytes.
    pub size: u64,
    /// Time stamp of everything, in seconds of Unix time.
    pub epoch: u64,
    /// Whether it is a bare file system, or has partitions.
    pub table: PartitionTable,
    /// The programs that write it.
    pub tools: &'a Tools,
}

impl Disk<'_> {
    /// An identifier for one purpose.
    fn derive(&self, purpose: &str) -> [u8; 16] {
        let mut hasher = Hasher::default();
        hasher.part("xenolith guest identifier").part(self.id.bytes()).part(purpose);
        let (mut bytes, digest) = ([0; 16], hasher.finish());
        bytes.copy_from_slice(digest.bytes().split_at(16).0);
        bytes
    }

    fn uuid(&self, purpose: &str) -> String {
        gpt::random_uuid(self.derive(purpose)).to_string()
    }

    /// UUID of the root file system.
    pub fn root_uuid(&self) -> String {
        self.uuid("root file system")
    }

    fn partitions(&self) -> Vec<Partition> {
        let partition = |name, purpose, size| Partition {
            name,
            purpose,
            size,
            guid: self.derive(&format!("partition {name}")),
        };
        let rest = self.size.saturating_sub(2 * gpt::ALIGNMENT + bios::PARTITION + ESP);
        vec![
            partition("bios", Purpose::BiosBoot, bios::PARTITION),
            partition("esp", Purpose::Esp, ESP),
            partition("root", Purpose::Root, rest),
        ]
    }

    /// Writes a system's files to an image, and leaves it to the caller to wait for the host's
    /// disk.
    ///
    /// # Errors
    /// When a tool fails, the files don't fit, or the host's disk is full.
    pub fn write(&self, path: &Path, tree: &Tree, scratch: &Path) -> Result<(), Error> {
        match self.table {
            PartitionTable::Gpt => self.write_partitions(path, tree, scratch),
            PartitionTable::None => {
                let image = fs::create(path)?;
                image.set_len(self.size).at("write", path)?;
                self.write_root(path, tree, (0, self.size), scratch)
            }
        }
    }

    fn write_partitions(&self, path: &Path, tree: &Tree, scratch: &Path) -> Result<(), Error> {
        let partitions = self.partitions();
        let (offsets, size) = gpt::place(&partitions);
        let ([bios_at, esp_at, root_at], [.., root]) = (offsets.as_slice(), partitions.as_slice())
        else {
            return Err(Error::Image("the partition table is too short".to_owned()));
        };
        let core = grub::core(self.tools, Flavor::GuestBios, BIOS_PREFIX, None, scratch)?;
        let core = bios::place_core(core, *bios_at)?;
        let code = bios::boot_code(self.tools, *bios_at)?;
        let mut image = fs::create(path)?;
        image.set_len(size).at("write", path)?;
        self.write_root(path, tree, (*root_at, root.size), scratch)?;
        gpt::write(&mut image, size, self.derive("disk"), &code, &partitions)
            .map_err(|error| Error::Image(format!("partition table: {error}")))?;
        image.seek(SeekFrom::Start(*bios_at)).at("write", path)?;
        image.write_all(&core).at("write", path)?;
        self.write_esp(&image, path, *esp_at, scratch)
    }

    fn write_esp(&self, image: &File, path: &Path, at: u64, scratch: &Path) -> Result<(), Error> {
        let early = format!(
            "search --no-floppy --set=root --fs-uuid {}\nset prefix=($root)/boot/grub\n",
            self.root_uuid()
        );
        let efi = grub::core(self.tools, Flavor::GuestEfi, "/boot/grub", Some(&early), scratch)?;
        let files = vec![("EFI/BOOT/BOOTX64.EFI".to_owned(), Source::Bytes(efi))];
        let [a, b, c, d, ..] = self.derive("esp");
        let label = Label { name: "ESP", serial: u32::from_le_bytes([a, b, c, d]) };
        let mut region = Region::new(image, at, ESP);
        let written = fat::write(&mut region, ESP, label, false, &files);
        Ok(written.at("write a file system into", path)?)
    }

    /// Writes the root file system in its place.
    fn write_root(
        &self,
        path: &Path,
        tree: &Tree,
        (offset, size): (u64, u64),
        scratch: &Path,
    ) -> Result<(), Error> {
        let (uuid, hash_seed) = (self.root_uuid(), self.uuid("root hash seed"));
        let (uuid, hash_seed) = (uuid.as_str(), hash_seed.as_str());
        let system = Ext4 { offset, size, uuid, hash_seed, epoch: self.epoch, journal: true };
        system.write(path, tree, self.tools, scratch).map_err(|error| match error {
            ext4::Error::Full { .. } => Error::Image(format!(
                "the system doesn't fit into a disk of {} MiB; enlarge `size` in the recipe",
                self.size >> 20
            )),
            ext4::Error::Tools(error) => error.into(),
            ext4::Error::File(error) => error.into(),
        })
    }
}
