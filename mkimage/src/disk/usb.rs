//! The raw disk image: for USB sticks, disks and QEMU.
//!
//! | partition | holds |
//! |---|---|
//! | 1 `bios` | GRUB's core image, for BIOS |
//! | 2 `esp` | FAT32: GRUB for UEFI, `grub/grub.cfg`, `grub/grubenv` (`slot=a`) |
//! | 3 `xenolith-a` | FAT: hypervisor, kernel, initramfs, `boot.cfg` |
//! | 4 `xenolith-b` | nothing yet: the other slot of an update |
//! | 5 `xenolith-data` | nothing yet: PID 1 formats it and grows it over the disk on first boot |

use super::content::{Content, Source};
use super::fat::{self, Label};
use super::gpt::{self, Partition, Purpose};
use super::grub::{self, Flavor};
use super::region::Region;
use crate::error::Error;
use crate::fs::{self, Context};
use crate::recipe::Layout;
use crate::tools::Tools;
use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

/// Where GRUB finds its configuration: the second partition of the disk that it came from.
const BIOS_PREFIX: &str = "(,gpt2)/grub";
const EFI_PREFIX: &str = "/grub";
/// The image's own size of the BIOS boot partition.
const BIOS_BOOT: u64 = 1 << 20;

/// Writes the image.
///
/// # Errors
/// When a tool fails, something doesn't fit, or the disk is full.
pub fn write(
    path: &Path,
    content: &Content,
    layout: &Layout,
    tools: &Tools,
    scratch: &Path,
) -> Result<(), Error> {
    let partitions = partitions(content, layout);
    let (offsets, size) = gpt::place(&partitions);
    let [bios, esp, system, ..] = offsets.as_slice() else {
        return Err(Error::Image("the partition table is too short".to_owned()));
    };
    let core = grub::core(tools, Flavor::BiosDisk, BIOS_PREFIX, None, scratch)?;
    let core = place_core(core, *bios)?;
    let boot_code = boot_code(&fs::read(&grub::bios_file(tools, "boot.img")?)?, *bios)?;
    let mut image = fs::create(path)?;
    image.set_len(size).at("write", path)?;
    gpt::write(&mut image, size, content.derive("disk"), &boot_code, &partitions)
        .map_err(|error| Error::Image(format!("partition table: {error}")))?;
    image.seek(SeekFrom::Start(*bios)).at("write", path)?;
    image.write_all(&core).at("write", path)?;
    let label = Label { name: "XENO-ESP", serial: serial(content, "esp") };
    let files = esp_files(content, tools, scratch)?;
    put_fat(&image, path, *esp, layout.esp.bytes(), label, true, &files)?;
    let label = Label { name: "XENO-A", serial: serial(content, "xenolith-a") };
    put_fat(&image, path, *system, layout.system.bytes(), label, false, &content.files)?;
    image.sync_all().at("write", path)?;
    Ok(())
}

fn partitions(content: &Content, layout: &Layout) -> Vec<Partition> {
    let partition = |name, purpose, size| Partition {
        name,
        purpose,
        size,
        guid: content.derive(&format!("partition {name}")),
    };
    vec![
        partition("bios", Purpose::BiosBoot, BIOS_BOOT),
        partition("esp", Purpose::Esp, layout.esp.bytes()),
        partition("xenolith-a", Purpose::Linux, layout.system.bytes()),
        partition("xenolith-b", Purpose::Linux, layout.system.bytes()),
        partition("xenolith-data", Purpose::Linux, layout.data.bytes()),
    ]
}

/// A FAT serial number.
fn serial(content: &Content, purpose: &str) -> u32 {
    let [a, b, c, d, ..] = content.derive(purpose);
    u32::from_le_bytes([a, b, c, d])
}

fn esp_files(
    content: &Content,
    tools: &Tools,
    scratch: &Path,
) -> Result<Vec<(String, Source)>, Error> {
    let efi = grub::core(tools, Flavor::Efi, EFI_PREFIX, None, scratch)?;
    let environment = grub::environment(&[("slot", "a")]);
    Ok(vec![
        ("EFI/BOOT/BOOTX64.EFI".to_owned(), Source::Bytes(efi)),
        ("grub/ascii.pf2".to_owned(), Source::Path(grub::font(tools)?)),
        ("grub/grub.cfg".to_owned(), Source::Bytes(grub::disk_config(content).into_bytes())),
        ("grub/grubenv".to_owned(), Source::Bytes(environment)),
    ])
}

fn put_fat(
    image: &File,
    path: &Path,
    start: u64,
    size: u64,
    label: Label<'_>,
    want_fat32: bool,
    files: &Vec<(String, Source)>,
) -> Result<(), Error> {
    let mut region = Region::new(image, start, size);
    let written = fat::write(&mut region, size, label, want_fat32, files);
    Ok(written.at("write a file system into", path)?)
}

/// `boot.img` for the MBR: loads the core image's first sector.
///
/// Fields (GRUB's own layout): at 0x5c the sector to load, 8 bytes; at 0x66 a jump that skips the
/// check of the drive number, which buggy firmware makes necessary on disks.
fn boot_code(boot_img: &[u8], core_offset: u64) -> Result<[u8; 440], Error> {
    let mut code = [0; 440];
    let source = boot_img.get(..440).ok_or_else(|| damaged("boot.img"))?;
    code.copy_from_slice(source);
    put(&mut code, 0x5c, &(core_offset / gpt::SECTOR).to_le_bytes())?;
    put(&mut code, 0x66, &[0x90, 0x90])?;
    Ok(code)
}

/// The core image for its place on disk: its first sector loads the rest.
///
/// The list of blocks to load ends that sector: start sector (8 bytes), count and segment (2
/// each), of which grub-mkimage has filled in count and segment.
fn place_core(mut core: Vec<u8>, offset: u64) -> Result<Vec<u8>, Error> {
    if core.len() as u64 > BIOS_BOOT {
        return Err(Error::Image("GRUB's core image exceeds the BIOS boot partition".to_owned()));
    }
    put(&mut core, 512 - 12, &(offset / gpt::SECTOR + 1).to_le_bytes())?;
    Ok(core)
}

fn put(bytes: &mut [u8], at: usize, value: &[u8]) -> Result<(), Error> {
    let slot = bytes.get_mut(at..at + value.len()).ok_or_else(|| damaged("core image"))?;
    slot.copy_from_slice(value);
    Ok(())
}

fn damaged(what: &str) -> Error {
    Error::Image(format!("GRUB's {what} is too short; the tools tree is damaged: remove it"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn boot_sectors_point_at_the_core_image() {
        let code = boot_code(&[0xcc; 512], 1 << 20).unwrap();
        assert_eq!(code[0x5c..0x64], 2048_u64.to_le_bytes());
        assert_eq!((code[0x65], code[0x66], code[0x67], code[0x68]), (0xcc, 0x90, 0x90, 0xcc));
        let core = place_core(vec![0xcc; 1024], 1 << 20).unwrap();
        assert_eq!(core[500..508], 2049_u64.to_le_bytes());
        assert_eq!((core[499], core[508]), (0xcc, 0xcc));
        assert!(boot_code(&[0; 100], 0).is_err() && place_core(vec![0; 100], 0).is_err());
        assert!(place_core(vec![0; 2 << 20], 0).is_err());
    }
}
