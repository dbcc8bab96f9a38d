//! The raw disk image: for USB sticks, disks and QEMU.
//!
//! | partition | holds |
//! |---|---|
//! | 1 `bios` | GRUB's core image, for BIOS |
//! | 2 `esp` | FAT32: GRUB for UEFI, `grub/grub.cfg`, `grub/grubenv` (`slot=a`) |
//! | 3 `xenolith-a` | FAT: hypervisor, kernel, initramfs, `boot.cfg` |
//! | 4 `xenolith-b` | nothing yet: the other slot of an update |
//! | 5 `xenolith-data` | guests that come along, if any; PID 1 grows it over the disk on first boot |

use super::bios;
use super::content::{Content, Source};
use super::data;
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
    let data = data_size(content, layout)?;
    let partitions = partitions(content, layout, data);
    let (offsets, size) = gpt::place(&partitions);
    let [bios, esp, system, _, data_start] = offsets.as_slice() else {
        return Err(Error::Image("the partition table is too short".to_owned()));
    };
    let core = grub::core(tools, Flavor::BiosDisk, BIOS_PREFIX, None, scratch)?;
    let core = bios::place_core(core, *bios)?;
    let boot_code = bios::boot_code(tools, *bios)?;
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
    if !content.data.is_empty() {
        let identity = data::Identity {
            uuid: content.derive("data"),
            hash_seed: content.derive("data hash seed"),
            epoch: content.epoch,
        };
        data::write(path, (*data_start, data), &content.data, identity, tools, scratch)?;
    }
    Ok(())
}

/// The data partition's size: the recipe's, or what its files need.
fn data_size(content: &Content, layout: &Layout) -> Result<u64, Error> {
    let recipe = layout.data.bytes();
    Ok(if content.data.is_empty() { recipe } else { data::least_size(&content.data)?.max(recipe) })
}

fn partitions(content: &Content, layout: &Layout, data: u64) -> Vec<Partition> {
    let partition = |name, purpose, size| Partition {
        name,
        purpose,
        size,
        guid: content.derive(&format!("partition {name}")),
    };
    vec![
        partition("bios", Purpose::BiosBoot, bios::PARTITION),
        partition("esp", Purpose::Esp, layout.esp.bytes()),
        partition("xenolith-a", Purpose::Linux, layout.system.bytes()),
        partition("xenolith-b", Purpose::Linux, layout.system.bytes()),
        partition("xenolith-data", Purpose::Linux, data),
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
