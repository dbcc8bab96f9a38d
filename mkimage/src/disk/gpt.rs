//! Partition tables, by the `gpt` crate, with fixed identifiers.

use gpt::disk::LogicalBlockSize;
use gpt::mbr::ProtectiveMBR;
use gpt::partition_types::{self, Type};
use gpt::{DiskDevice, GptConfig, GptError};
use uuid::Uuid;

/// Bytes of a sector.
pub const SECTOR: u64 = 512;
/// Partitions begin and end on mebibytes.
pub const ALIGNMENT: u64 = 1 << 20;

/// What a partition is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// GRUB's core image, for BIOS.
    BiosBoot,
    /// EFI system partition.
    Esp,
    /// The root file system of a system for x86-64.
    Root,
    /// Anything that Linux reads.
    Linux,
}

/// A partition to be made.
#[derive(Debug, Clone)]
pub struct Partition {
    /// Name in the table.
    pub name: &'static str,
    /// What it is for.
    pub purpose: Purpose,
    /// Size in bytes: whole mebibytes.
    pub size: u64,
    /// Its identifier.
    pub guid: [u8; 16],
}

/// Offsets in bytes of partitions that follow each other from the first mebibyte, and the size of
/// a disk that holds them and the second table.
pub fn place(partitions: &[Partition]) -> (Vec<u64>, u64) {
    let mut offsets = Vec::new();
    let mut next = ALIGNMENT;
    for partition in partitions {
        offsets.push(next);
        next += partition.size;
    }
    (offsets, next + ALIGNMENT)
}

/// Writes the protective MBR (with boot code) and both tables. The device must have its size.
///
/// # Errors
/// When the device fails or the partitions overlap.
pub fn write<D: DiskDevice>(
    device: &mut D,
    size: u64,
    guid: [u8; 16],
    boot_code: &[u8; 440],
    partitions: &[Partition],
) -> Result<(), GptError> {
    let sectors = u32::try_from(size / SECTOR - 1).unwrap_or(u32::MAX);
    let mut mbr = ProtectiveMBR::with_lb_size(sectors);
    mbr.set_bootcode(*boot_code);
    mbr.overwrite_lba0(device).map_err(|error| std::io::Error::other(error.to_string()))?;
    let mut disk = GptConfig::new()
        .writable(true)
        .logical_block_size(LogicalBlockSize::Lb512)
        .create_from_device(device, Some(random_uuid(guid)))?;
    let (offsets, _) = place(partitions);
    for ((partition, offset), number) in partitions.iter().zip(offsets).zip(1..) {
        let (first, count) = (offset / SECTOR, partition.size / SECTOR);
        disk.add_partition_at(partition.name, number, first, count, partition.purpose.kind(), 0)?;
    }
    let mut table = disk.take_partitions();
    for (partition, number) in partitions.iter().zip(1..) {
        if let Some(entry) = table.get_mut(&number) {
            entry.part_guid = random_uuid(partition.guid);
        }
    }
    disk.update_partitions(table)?;
    disk.write()?;
    Ok(())
}

/// An identifier in the form of a random one, for bytes that come out of a hash.
pub fn random_uuid(bytes: [u8; 16]) -> Uuid {
    uuid::Builder::from_random_bytes(bytes).into_uuid()
}

impl Purpose {
    fn kind(self) -> Type {
        match self {
            Self::BiosBoot => partition_types::BIOS,
            Self::Esp => partition_types::EFI,
            Self::Root => partition_types::LINUX_ROOT_X64,
            Self::Linux => partition_types::LINUX_FS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    fn partitions() -> Vec<Partition> {
        let partition = |name, purpose, mib: u64, id| Partition {
            name,
            purpose,
            size: mib << 20,
            guid: [id; 16],
        };
        vec![partition("bios", Purpose::BiosBoot, 1, 1), partition("data", Purpose::Linux, 2, 2)]
    }

    fn disk() -> Vec<u8> {
        let (_, size) = place(&partitions());
        let mut bytes = vec![0; usize::try_from(size).unwrap()];
        let mut device = Cursor::new(&mut bytes[..]);
        write(&mut device, size, [9; 16], &[0x90; 440], &partitions()).unwrap();
        bytes
    }

    #[test]
    fn tables_read_back() {
        let bytes = disk();
        assert_eq!(bytes.len(), 5 << 20);
        assert_eq!((bytes[0], bytes[510], bytes[511]), (0x90, 0x55, 0xaa));
        let disk = GptConfig::new().open_from_device(Cursor::new(bytes)).unwrap();
        assert_eq!(*disk.guid(), random_uuid([9; 16]));
        let table = disk.partitions();
        assert_eq!((table[&1].first_lba, table[&1].last_lba), (2048, 4095));
        assert_eq!((table[&2].first_lba, table[&2].last_lba), (4096, 8191));
        assert_eq!(table[&2].part_guid, random_uuid([2; 16]));
        assert_eq!(table[&2].name, "data");
        assert_eq!(table[&1].part_type_guid, partition_types::BIOS);
        assert!(disk.primary_header().is_ok() && disk.backup_header().is_ok());
    }

    #[test]
    fn two_runs_are_identical() {
        assert_eq!(disk(), disk());
    }
}
