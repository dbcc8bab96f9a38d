//! Which partition is the data partition: on a disk of ours, the one labelled so; on a disk that
//! isn't, only one that the kernel's command line names.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::disks::Disk;
use super::table::{Growth, SectorSize};
use crate::command_line::CommandLine;

/// How the image's partitions are labelled. Anyone's disk may have a partition `data`; one that
/// has both system partitions too is ours.
const DATA: &[&str] = &["data", "xenolith-data"];
const SYSTEM_A: &[&str] = &["system-a", "xenolith-a"];
const SYSTEM_B: &[&str] = &["system-b", "xenolith-b"];

/// A partition that may be the data partition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The disk, for example `sda`.
    pub disk: String,
    /// The partition, for example `sda5`.
    pub partition: String,
    /// Its number in the table.
    pub number: u32,
    /// Its own GUID.
    pub guid: Uuid,
    /// The size of the disk's sectors.
    pub sector_size: SectorSize,
    /// Its size in sectors.
    pub sectors: u64,
    /// What it can grow to.
    pub growth: Option<Growth>,
}

impl Candidate {
    /// The disk's device.
    pub fn disk_device(&self) -> PathBuf {
        Path::new("/dev").join(&self.disk)
    }

    /// The partition's device.
    pub fn partition_device(&self) -> PathBuf {
        Path::new("/dev").join(&self.partition)
    }

    /// Its size in bytes, before it grows.
    pub fn bytes(&self) -> u64 {
        self.sectors.saturating_mul(self.sector_size.as_u64())
    }
}

/// What the kernel's command line says about the data partition.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wish {
    /// `xenolith.data=GUID` or `PARTUUID=GUID`: the partition's own GUID.
    pub partition: Option<Uuid>,
    /// `xenolith.esp=GUID`: the GUID of the EFI system partition on the disk that the machine
    /// was booted from.
    pub esp: Option<Uuid>,
    /// `xenolith.slot=` is there: the machine was booted from a disk.
    pub booted_from_disk: bool,
}

impl Wish {
    /// Reads it from the command line; a broken GUID is as none.
    pub fn from_command_line(line: &CommandLine) -> Self {
        let guid = |name| {
            let text = line.value(name)?;
            let text = text.strip_prefix("PARTUUID=").unwrap_or(text);
            let guid = Uuid::parse_str(text);
            if guid.is_err() {
                log::warn!("{name}={text}: that is no GUID; it is ignored");
            }
            guid.ok()
        };
        Self {
            partition: guid("xenolith.data"),
            esp: guid("xenolith.esp"),
            booted_from_disk: line.has("xenolith.slot"),
        }
    }
}

/// What came of choosing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// This one.
    Use(Box<Candidate>),
    /// There is none (yet).
    None,
    /// There are several, and nothing says which; in words.
    Ambiguous(String),
}

/// Chooses among the partitions of all disks.
pub fn choose(disks: &[Disk], wish: &Wish) -> Choice {
    let admitted: Vec<Candidate> =
        disks.iter().flat_map(|disk| candidates_on(disk, wish)).collect();
    match admitted.as_slice() {
        [] => Choice::None,
        [only] => Choice::Use(Box::new(only.clone())),
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|c| format!("/dev/{} (PARTUUID {})", c.partition, c.guid))
                .collect();
            Choice::Ambiguous(format!(
                "{} partitions could be the data partition: {}; none is used and state is kept in \
                 memory. Add xenolith.data=PARTUUID to the kernel's command line, or remove a disk",
                several.len(),
                list.join(", ")
            ))
        }
    }
}

fn candidates_on(disk: &Disk, wish: &Wish) -> Vec<Candidate> {
    let partitions = &disk.table.partitions;
    let has_label = |labels: &[&str]| partitions.iter().any(|p| labels.contains(&p.label.as_str()));
    let is_ours = has_label(SYSTEM_A) && has_label(SYSTEM_B);
    let was_booted = wish.esp.is_none_or(|esp| partitions.iter().any(|p| p.guid == esp));
    partitions
        .iter()
        .filter(|partition| match wish.partition {
            Some(guid) => partition.guid == guid,
            None => is_ours && was_booted && DATA.contains(&partition.label.as_str()),
        })
        .map(|partition| Candidate {
            disk: disk.name.clone(),
            partition: kernel_name(&disk.name, partition.number),
            number: partition.number,
            guid: partition.guid,
            sector_size: disk.table.sector_size,
            sectors: partition.sectors(),
            growth: disk.table.growth(partition.number, disk.sectors),
        })
        .collect()
}

/// What the kernel calls a disk's partition: `sda5`, `nvme0n1p5`.
fn kernel_name(disk: &str, number: u32) -> String {
    let separator = if disk.ends_with(|c: char| c.is_ascii_digit()) { "p" } else { "" };
    format!("{disk}{separator}{number}")
}

#[cfg(test)]
mod tests {
    use super::super::table::tests::{partition, table};
    use super::*;

    /// A disk as the image has it, whose partitions have GUIDs from `id` on.
    fn ours(name: &str, id: u128) -> Disk {
        let labels = ["bios", "esp", "system-a", "system-b", "data"];
        let partitions = labels.iter().zip(1..).map(|(label, number)| {
            partition(number, id + u128::from(number), label, u64::from(number) * 2048, 2048)
        });
        Disk { name: name.into(), sectors: 6 * 2048 + 33, table: table(partitions.collect()) }
    }

    fn used(choice: Choice) -> String {
        match choice {
            Choice::Use(candidate) => candidate.partition,
            other => panic!("{other:?}"),
        }
    }

    fn wish(line: &str) -> Wish {
        Wish::from_command_line(&CommandLine::parse(line))
    }

    #[test]
    fn the_one_on_our_disk_is_used() {
        assert_eq!(choose(&[], &wish("")), Choice::None);
        assert_eq!(used(choose(&[ours("sda", 0)], &wish(""))), "sda5");
        assert_eq!(used(choose(&[ours("nvme0n1", 0)], &wish("quiet"))), "nvme0n1p5");
    }

    #[test]
    fn a_strangers_data_is_not_ours() {
        let stranger = Disk {
            name: "sda".into(),
            sectors: 8192,
            table: table(vec![partition(1, 1, "data", 2048, 2048)]),
        };
        assert_eq!(choose(std::slice::from_ref(&stranger), &wish("")), Choice::None);
        let named = format!("xenolith.data={}", Uuid::from_u128(1));
        assert_eq!(used(choose(&[stranger], &wish(&named))), "sda1", "unless it is named");
    }

    #[test]
    fn of_several_the_one_booted_from_or_named_is_used() {
        let both = [ours("sda", 0x10), ours("sdb", 0x20)];
        match choose(&both, &wish("")) {
            Choice::Ambiguous(why) => {
                assert!(why.contains("/dev/sda5") && why.contains("/dev/sdb5"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        let esp = wish(&format!("xenolith.slot=a xenolith.esp={}", Uuid::from_u128(0x22)));
        assert!(esp.booted_from_disk);
        assert_eq!(used(choose(&both, &esp)), "sdb5");
        let named = wish(&format!("xenolith.data=PARTUUID={}", Uuid::from_u128(0x15)));
        assert_eq!(used(choose(&both, &named)), "sda5");
    }

    #[test]
    fn one_that_is_not_the_named_one_is_not_used() {
        let other = wish(&format!("xenolith.data={}", Uuid::from_u128(9)));
        assert_eq!(choose(&[ours("sda", 0x10)], &other), Choice::None);
        let elsewhere = wish(&format!("xenolith.esp={}", Uuid::from_u128(9)));
        assert_eq!(choose(&[ours("sda", 0x10)], &elsewhere), Choice::None);
        assert_eq!(wish("xenolith.data=sda5").partition, None, "a broken GUID is none");
    }
}
