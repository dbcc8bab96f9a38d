//! Doubles for tests: a disk in memory that remembers what was done to it, images made from
//! nothing, and a look at whether an image is whole.

use std::cell::RefCell;
use std::collections::HashMap;
use std::io;
use std::rc::Rc;

use crate::header::Header;
use crate::mapping::{self, Cluster};
use crate::refcounts::Refcounts;
use crate::storage::Storage;
use crate::tables::Tables;

/// No file is larger.
const LARGEST: u64 = 1 << 28;

/// Something that was done to a disk.
#[derive(Debug, Clone)]
pub enum Change {
    Write(u64, Vec<u8>),
    Zero(u64, u64),
    Sync,
}

/// A disk in memory; its clones are the same.
#[derive(Debug, Clone, Default)]
pub struct Disk(Rc<RefCell<Contents>>);

#[derive(Debug, Clone, Default)]
struct Contents {
    bytes: Vec<u8>,
    changes: Vec<Change>,
    /// Writes of a full disk fail.
    full: bool,
}

impl Contents {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Write(offset, bytes) => {
                let start = usize::try_from(*offset).unwrap();
                let end = start + bytes.len();
                if self.bytes.len() < end {
                    self.bytes.resize(end, 0);
                }
                self.bytes[start..end].copy_from_slice(bytes);
            }
            Change::Zero(offset, length) => {
                let start = usize::try_from(*offset).unwrap().min(self.bytes.len());
                let end = (start + usize::try_from(*length).unwrap()).min(self.bytes.len());
                self.bytes[start..end].fill(0);
            }
            Change::Sync => {}
        }
    }
}

impl Disk {
    /// A disk of these bytes, to which nothing was done yet.
    pub fn of(bytes: Vec<u8>) -> Self {
        Self(Rc::new(RefCell::new(Contents { bytes, ..Contents::default() })))
    }

    /// What is on it.
    pub fn bytes(&self) -> Vec<u8> {
        self.0.borrow().bytes.clone()
    }

    /// How much was done to it.
    pub fn age(&self) -> usize {
        self.0.borrow().changes.len()
    }

    /// What was done to it.
    pub fn changes(&self) -> Vec<Change> {
        self.0.borrow().changes.clone()
    }

    /// Makes writes fail, or not.
    pub fn fill_up(&self, full: bool) {
        self.0.borrow_mut().full = full;
    }

    /// A disk of these bytes with these changes, of which nobody else knows.
    pub fn after<'a>(bytes: &[u8], changes: impl IntoIterator<Item = &'a Change>) -> Self {
        let mut contents = Contents { bytes: bytes.to_vec(), ..Contents::default() };
        for change in changes {
            contents.apply(change);
        }
        contents.changes.clear();
        Self(Rc::new(RefCell::new(contents)))
    }

    fn change(&self, change: Change) -> io::Result<()> {
        let mut contents = self.0.borrow_mut();
        if contents.full {
            return Err(io::ErrorKind::StorageFull.into());
        }
        if matches!(change, Change::Write(offset, _) if offset > LARGEST) {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        contents.apply(&change);
        contents.changes.push(change);
        Ok(())
    }
}

impl Storage for Disk {
    fn length(&self) -> io::Result<u64> {
        Ok(self.0.borrow().bytes.len() as u64)
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let contents = self.0.borrow();
        bytes.fill(0);
        let start = usize::try_from(offset).unwrap_or(usize::MAX);
        let there = contents.bytes.get(start..).unwrap_or_default();
        let length = there.len().min(bytes.len());
        bytes[..length].copy_from_slice(&there[..length]);
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.change(Change::Write(offset, bytes.to_vec()))
    }

    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        self.change(Change::Zero(offset, length))
    }

    fn sync(&self) -> io::Result<()> {
        self.change(Change::Sync)
    }
}

/// An image of version 3 in which nothing was written.
pub fn empty_image(cluster_bits: u32, size: u64) -> Disk {
    let cluster = 1_u64 << cluster_bits;
    let l1_entries = size.div_ceil(cluster << (cluster_bits - 3));
    let l1_clusters = (l1_entries * 8).div_ceil(cluster).max(1);
    // Header, table of counts, a block of them, first table.
    let disk = Disk::of(vec![0; usize::try_from((3 + l1_clusters) * cluster).unwrap()]);
    let mut header = Vec::new();
    header.extend(0x5146_49fb_u32.to_be_bytes());
    header.extend(3_u32.to_be_bytes());
    header.extend([0; 12]);
    header.extend(cluster_bits.to_be_bytes());
    header.extend(size.to_be_bytes());
    header.extend(0_u32.to_be_bytes());
    header.extend(u32::try_from(l1_entries).unwrap().to_be_bytes());
    header.extend((3 * cluster).to_be_bytes());
    header.extend(cluster.to_be_bytes());
    header.extend(1_u32.to_be_bytes());
    header.extend([0; 12 + 24]);
    header.extend(4_u32.to_be_bytes());
    header.extend(104_u32.to_be_bytes());
    disk.write(0, &header).unwrap();
    disk.write(cluster, &(2 * cluster).to_be_bytes()).unwrap();
    for used in 0..3 + l1_clusters {
        disk.write(2 * cluster + used * 2, &1_u16.to_be_bytes()).unwrap();
    }
    Disk::of(disk.bytes())
}

/// Counts what points to each cluster, and compares that with the image's own counts; gives how
/// many clusters are counted and not used.
///
/// # Panics
/// When a cluster is used more often than it is counted, or is owned and counted twice.
pub fn check(disk: &Disk) -> usize {
    let header = Header::read(disk).unwrap();
    let bits = header.cluster_bits;
    let mut uses: HashMap<u64, u64> = HashMap::new();
    let mut owned = Vec::new();
    let mut add = |offset: u64| *uses.entry(offset >> bits).or_default() += 1;
    add(0);
    for n in 0..(header.l1_entries as u64 * 8).div_ceil(header.cluster()) {
        add(header.l1_offset + (n << bits));
    }
    let refcounts = Refcounts::open(disk, &header).unwrap();
    refcounts.places().for_each(|cluster| add(cluster << bits));
    let mut tables = Tables::open(disk, &header).unwrap();
    for number in 0..header.l1_entries {
        let Some((offset, mine)) = tables.place(number, &header).unwrap() else { continue };
        add(offset);
        owned.extend(mine.then_some(offset >> bits));
        for index in 0..header.table_entries() {
            let entry = tables.entry(disk, &header, number, index).unwrap();
            match Cluster::of(entry, &header).unwrap() {
                Cluster::Data { offset, .. } | Cluster::Zero { kept: Some((offset, _)) } => {
                    add(offset);
                    owned.extend((entry & mapping::OWNED != 0).then_some(offset >> bits));
                }
                Cluster::Packed { offset, length } => {
                    let last = (offset + length - 1) >> bits;
                    (offset >> bits..=last).for_each(|cluster| add(cluster << bits));
                }
                Cluster::Absent | Cluster::Zero { kept: None } => {}
            }
        }
    }
    let counts = counts(disk, &header);
    for (cluster, uses) in &uses {
        let count = counts.get(cluster).copied().unwrap_or(0);
        assert!(count >= *uses, "cluster {cluster} is used {uses} times and counted {count} times");
    }
    for cluster in owned {
        assert_eq!(counts.get(&cluster), Some(&1), "cluster {cluster} is owned");
    }
    counts.keys().filter(|cluster| !uses.contains_key(cluster)).count()
}

/// All counts that aren't zero, by cluster.
fn counts(disk: &Disk, header: &Header) -> HashMap<u64, u64> {
    let mut all = HashMap::new();
    let per_block = header.cluster() / 2;
    let mut table =
        vec![0; usize::try_from(header.cluster()).unwrap() * header.reftable_clusters as usize];
    disk.read(header.reftable_offset, &mut table).unwrap();
    for (number, entry) in (0..).zip(table.as_chunks::<8>().0) {
        let offset = u64::from_be_bytes(*entry);
        if offset == 0 {
            continue;
        }
        let mut block = vec![0; usize::try_from(header.cluster()).unwrap()];
        disk.read(offset, &mut block).unwrap();
        for (index, count) in (0..).zip(block.as_chunks::<2>().0) {
            let count = u16::from_be_bytes(*count);
            if count != 0 {
                all.insert(number * per_block + index, u64::from(count));
            }
        }
    }
    all
}
