//! The disk's partition table (GPT): reading it, and growing the last partition to the disk's
//! end, which an image that was written to a larger disk needs.

use std::io::{Read, Seek, Write};

use anyhow::{Context, bail};
use gpt::{DiskDevice, GptConfig};
use uuid::Uuid;

pub use gpt::disk::LogicalBlockSize as SectorSize;

/// Partitions begin and end at multiples of this.
const ALIGNMENT_BYTES: u64 = 1 << 20;

/// The sectors behind the last usable one: the backup table and its header.
const BACKUP_SECTORS: u64 = 33;

/// A partition table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Table {
    /// The disk's GUID.
    pub disk_guid: Uuid,
    /// The partitions, by number.
    pub partitions: Vec<Partition>,
    /// The size of the disk's sectors.
    pub sector_size: SectorSize,
}

/// One partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: u32,
    /// Its own GUID.
    pub guid: Uuid,
    /// Its label.
    pub label: String,
    first: u64,
    last: u64,
}

impl Partition {
    /// Its size in sectors.
    pub fn sectors(&self) -> u64 {
        self.last.saturating_sub(self.first).saturating_add(1)
    }
}

/// What a partition can grow to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Growth {
    /// Its first sector, which stays.
    pub first_sector: u64,
    /// Its new size in sectors.
    pub sectors: u64,
}

/// Reads a disk's table.
///
/// # Errors
/// When the disk has none that is valid.
pub fn read<D: Read + Seek + Write + std::fmt::Debug>(
    device: D,
    sector_size: SectorSize,
) -> anyhow::Result<Table> {
    let disk = GptConfig::new().logical_block_size(sector_size).open_from_device(device)?;
    let partitions = disk
        .partitions()
        .iter()
        .filter(|(_, p)| p.is_used())
        .map(|(&number, p)| Partition {
            number,
            guid: p.part_guid,
            label: p.name.clone(),
            first: p.first_lba,
            last: p.last_lba,
        })
        .collect();
    Ok(Table { disk_guid: *disk.guid(), partitions, sector_size })
}

impl Table {
    /// What a partition can grow to on a disk of that many sectors: nothing unless it is the
    /// last on the disk and at least one alignment's worth is free behind it.
    pub fn growth(&self, number: u32, disk_sectors: u64) -> Option<Growth> {
        let partition = self.partitions.iter().find(|p| p.number == number)?;
        if self.partitions.iter().any(|p| p.first > partition.first) {
            return None;
        }
        let alignment = ALIGNMENT_BYTES / self.sector_size.as_u64();
        let end = disk_sectors.checked_sub(BACKUP_SECTORS)? / alignment * alignment;
        let sectors = end.checked_sub(partition.first)?;
        (sectors >= partition.sectors() + alignment)
            .then_some(Growth { first_sector: partition.first, sectors })
    }
}

/// Grows a partition to the disk's end, moving the table's backup there; gives the device back.
///
/// The backup is written before the primary table, so that a valid one is there at any moment.
///
/// # Errors
/// When the partition can't grow, or the disk can't be written.
pub fn grow<D: DiskDevice>(
    mut device: D,
    sector_size: SectorSize,
    number: u32,
) -> anyhow::Result<D> {
    let disk_sectors = device.seek(std::io::SeekFrom::End(0))? / sector_size.as_u64();
    let table = read(&mut device, sector_size)?;
    let Some(growth) = table.growth(number, disk_sectors) else {
        bail!("partition {number} is followed by others, or by too little room");
    };
    let config = GptConfig::new().writable(true).logical_block_size(sector_size);
    let mut disk = config.open_from_device(device)?;
    let mut partitions = disk.take_partitions();
    partitions.retain(|_, p| p.is_used());
    // The library numbers partitions anew when it writes; that must change nothing.
    if !partitions.keys().copied().eq(1..=u32::try_from(partitions.len())?) {
        bail!("the partitions aren't numbered without gaps");
    }
    let partition = partitions.get_mut(&number).context("the partition vanished")?;
    partition.last_lba = growth.first_sector + growth.sectors - 1;
    disk.update_partitions(partitions)?;
    let mut device = disk.write()?;
    device.flush()?;
    Ok(device)
}

#[cfg(test)]
pub mod tests {
    use std::io::Cursor;

    use super::*;

    const MIB: usize = 1 << 20;

    /// A partition for tests.
    pub fn partition(number: u32, id: u128, label: &str, first: u64, sectors: u64) -> Partition {
        let last = first + sectors - 1;
        Partition { number, guid: Uuid::from_u128(id), label: label.into(), first, last }
    }

    /// A table of partitions for tests.
    pub fn table(partitions: Vec<Partition>) -> Table {
        Table { disk_guid: Uuid::nil(), partitions, sector_size: SectorSize::Lb512 }
    }

    /// A disk of 8 MiB: boot code, a first partition of 1 MiB, data of 2 MiB.
    fn disk() -> Vec<u8> {
        let mut bytes = vec![0; 8 * MIB];
        gpt::mbr::ProtectiveMBR::with_lb_size(8 * 2048 - 1)
            .overwrite_lba0(&mut Cursor::new(&mut bytes))
            .unwrap();
        bytes[..4].copy_from_slice(b"boot");
        let mut disk = GptConfig::new()
            .writable(true)
            .create_from_device(Cursor::new(&mut bytes), Some(Uuid::from_u128(7)))
            .unwrap();
        let kind = gpt::partition_types::LINUX_FS;
        disk.add_partition_at("system", 1, 2048, 2048, kind.clone(), 0).unwrap();
        disk.add_partition_at("xenolith-data", 2, 4096, 4096, kind, 0).unwrap();
        disk.write().unwrap();
        bytes
    }

    fn table_of(bytes: &mut Vec<u8>) -> Table {
        read(Cursor::new(bytes), SectorSize::Lb512).unwrap()
    }

    #[test]
    fn a_partition_grows_on_a_larger_disk() {
        let mut bytes = disk();
        bytes.resize(64 * MIB, 0);
        let before = table_of(&mut bytes);
        let growth = before.growth(2, 64 * 2048).unwrap();
        assert_eq!(growth, Growth { first_sector: 4096, sectors: 63 * 2048 - 4096 });

        grow(Cursor::new(&mut bytes), SectorSize::Lb512, 2).unwrap();
        let after = table_of(&mut bytes);
        assert_eq!(after.disk_guid, Uuid::from_u128(7));
        assert_eq!(after.partitions[0], before.partitions[0]);
        assert_eq!(after.partitions[1].sectors(), growth.sectors);
        assert_eq!(after.partitions[1].guid, before.partitions[1].guid);
        assert_eq!(after.growth(2, 64 * 2048), None, "it has grown");
        assert_eq!(&bytes[..4], b"boot", "the boot code stays");

        bytes[512..1024].fill(0);
        assert_eq!(table_of(&mut bytes), after, "the backup at the new end is as good");
    }

    #[test]
    fn a_disk_without_room_is_left_alone() {
        let mut bytes = disk();
        bytes.resize(8 * MIB, 0);
        let table = table_of(&mut bytes);
        assert_eq!(table.growth(1, 64 * 2048), None, "another partition follows");
        assert_eq!(table.growth(3, 64 * 2048), None, "there is none");
        assert_eq!(table.growth(2, 8 * 2048).map(|g| g.sectors), Some(7 * 2048 - 4096));
        assert_eq!(table.growth(2, 5 * 2048), None);
        assert_eq!(table.growth(2, 0), None);
    }

    #[test]
    fn what_is_no_table_is_an_error() {
        assert!(read(Cursor::new(vec![0; MIB]), SectorSize::Lb512).is_err());
        assert!(read(Cursor::new(vec![]), SectorSize::Lb512).is_err());
    }
}
