//! Which partition is the data partition: the one labelled so; with several, the one that the
//! kernel's command line names.

use std::path::{Path, PathBuf};

use uuid::Uuid;

use super::table::{Growth, SectorSize};
use crate::command_line::CommandLine;

/// A partition with the right label.
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
    /// The disk's GUID.
    pub disk_guid: Uuid,
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
    /// `xenolith.disk=GUID`: the GUID of the disk that the machine was booted from.
    pub disk: Option<Uuid>,
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
            disk: guid("xenolith.disk"),
            booted_from_disk: line.has("xenolith.slot"),
        }
    }

    fn admits(&self, candidate: &Candidate) -> bool {
        self.partition.is_none_or(|guid| guid == candidate.guid)
            && self.disk.is_none_or(|guid| guid == candidate.disk_guid)
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

/// Chooses among the labelled partitions.
pub fn choose(candidates: &[Candidate], wish: &Wish) -> Choice {
    let admitted: Vec<&Candidate> = candidates.iter().filter(|c| wish.admits(c)).collect();
    match admitted.as_slice() {
        [] => Choice::None,
        [only] => Choice::Use(Box::new((*only).clone())),
        several => {
            let list: Vec<String> = several
                .iter()
                .map(|c| format!("/dev/{} (PARTUUID {})", c.partition, c.guid))
                .collect();
            Choice::Ambiguous(format!(
                "{} partitions are labelled {}: {}; none is used and state is kept in memory. Add \
                 xenolith.data=PARTUUID to the kernel's command line, or remove a disk",
                several.len(),
                super::LABEL,
                list.join(", ")
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(disk: &str, id: u128) -> Candidate {
        Candidate {
            disk: disk.into(),
            partition: format!("{disk}5"),
            number: 5,
            guid: Uuid::from_u128(id),
            disk_guid: Uuid::from_u128(id << 64),
            sector_size: SectorSize::Lb512,
            sectors: 2048,
            growth: None,
        }
    }

    #[test]
    fn the_only_one_is_used() {
        let only = candidate("sda", 1);
        assert_eq!(choose(&[], &Wish::default()), Choice::None);
        assert_eq!(
            choose(std::slice::from_ref(&only), &Wish::default()),
            Choice::Use(Box::new(only))
        );
    }

    #[test]
    fn of_several_the_named_one_is_used() {
        let both = [candidate("sda", 1), candidate("sdb", 2)];
        match choose(&both, &Wish::default()) {
            Choice::Ambiguous(why) => {
                assert!(why.contains("/dev/sda5") && why.contains("/dev/sdb5"), "{why}");
            }
            other => panic!("{other:?}"),
        }
        let guid = both[1].guid;
        let line = CommandLine::parse(&format!("xenolith.data=PARTUUID={guid} xenolith.slot=a"));
        let wish = Wish::from_command_line(&line);
        assert!(wish.booted_from_disk);
        assert_eq!(choose(&both, &wish), Choice::Use(Box::new(both[1].clone())));
        let line = CommandLine::parse(&format!("xenolith.disk={}", both[0].disk_guid));
        let wish = Wish::from_command_line(&line);
        assert_eq!(choose(&both, &wish), Choice::Use(Box::new(both[0].clone())));
    }

    #[test]
    fn one_that_is_not_the_named_one_is_not_used() {
        let line = CommandLine::parse(&format!("xenolith.data={}", Uuid::from_u128(9)));
        let wish = Wish::from_command_line(&line);
        assert_eq!(choose(&[candidate("sda", 1)], &wish), Choice::None);
        let broken = Wish::from_command_line(&CommandLine::parse("xenolith.data=sda5"));
        assert_eq!(broken.partition, None);
    }
}
