//! The disks that the kernel knows, from `/sys/block`, with their partition tables.

use std::fs::File;

use super::table::{self, SectorSize, Table};

/// Block devices that never hold the data partition.
const NOT_DISKS: &[&str] = &["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd"];

/// A disk with a partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// What the kernel calls it, for example `sda`.
    pub name: String,
    /// Its size in sectors.
    pub sectors: u64,
    /// Its table.
    pub table: Table,
}

/// Every disk with a partition table that can be read, sorted by name.
pub fn all() -> Vec<Disk> {
    let Ok(entries) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    names.iter().filter_map(|name| read(name)).collect()
}

fn read(name: &str) -> Option<Disk> {
    let sector_size = sector_size(name)?;
    let sectors = size_of(name).ok().filter(|&bytes| bytes > 0)? / sector_size.as_u64();
    let mut file = File::open(format!("/dev/{name}")).ok()?;
    let table = table::read(&mut file, sector_size).ok()?;
    Some(Disk { name: name.to_owned(), sectors, table })
}

/// The size of a disk or partition in bytes.
///
/// # Errors
/// When it is gone.
pub fn size_of(name: &str) -> std::io::Result<u64> {
    // The kernel counts in 512 bytes here, whatever the disk's sectors are.
    let text = std::fs::read_to_string(format!("/sys/class/block/{name}/size"))?;
    let sectors: u64 = text.trim().parse().map_err(std::io::Error::other)?;
    sectors.checked_mul(512).ok_or_else(|| std::io::Error::other("the size overflows"))
}

fn sector_size(disk: &str) -> Option<SectorSize> {
    let file = format!("/sys/block/{disk}/queue/logical_block_size");
    std::fs::read_to_string(file).ok()?.trim().parse::<u64>().ok()?.try_into().ok()
}
