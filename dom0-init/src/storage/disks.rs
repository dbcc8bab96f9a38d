//! The disks and partitions that the kernel knows, from `/sys/block`.

use std::fs::File;
use std::path::Path;

use super::LABEL;
use super::choose::Candidate;
use super::table::{self, SectorSize};

/// Virtual block devices, which never hold the data partition.
const NOT_DISKS: &[&str] = &["loop", "ram", "zram", "sr", "fd", "dm-", "md", "nbd", "xvd"];

/// Every partition on every disk that is labelled as the data partition.
pub fn candidates() -> Vec<Candidate> {
    let Ok(entries) = std::fs::read_dir("/sys/block") else { return Vec::new() };
    let mut names: Vec<String> = entries
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| !NOT_DISKS.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    names.sort();
    names.iter().flat_map(|name| candidates_on(name)).collect()
}

fn candidates_on(disk: &str) -> Vec<Candidate> {
    let read = || {
        let sector_size = sector_size(disk)?;
        let disk_sectors = size_of(disk).ok()? / sector_size.as_u64();
        let mut file = File::open(format!("/dev/{disk}")).ok()?;
        let table = table::read(&mut file, sector_size).ok()?;
        Some((sector_size, disk_sectors, table))
    };
    let Some((sector_size, disk_sectors, table)) = read() else { return Vec::new() };
    table
        .partitions
        .iter()
        .filter(|partition| partition.label == LABEL)
        .filter_map(|partition| {
            Some(Candidate {
                disk: disk.to_owned(),
                partition: kernel_name(disk, partition.number)?,
                number: partition.number,
                guid: partition.guid,
                disk_guid: table.disk_guid,
                sector_size,
                sectors: partition.sectors(),
                growth: table.growth(partition.number, disk_sectors),
            })
        })
        .collect()
}

/// What the kernel calls a disk's partition: `sda5`, `nvme0n1p5`.
fn kernel_name(disk: &str, number: u32) -> Option<String> {
    [format!("{disk}{number}"), format!("{disk}p{number}")]
        .into_iter()
        .find(|name| Path::new("/sys/class/block").join(name).join("partition").exists())
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
