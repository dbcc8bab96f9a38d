//! Writing qcow2, version 3.
//!
//! One pass: the header's cluster, the clusters with content in the disk's order, then the tables
//! (L2, L1, reference counts), and the header itself last, so that a file that was cut off has none.

use super::{COPIED, MAGIC};
use crate::words::{Header, table};
use crate::{Disk, Result};
use std::collections::BTreeMap;
use std::io::{Seek, SeekFrom, Write};

const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Entries of a table that fills a cluster.
const L2_ENTRIES: u64 = CLUSTER / 8;
/// Reference counts, of two bytes each, that fill a cluster.
const COUNTS: u64 = CLUSTER / 2;
const HEADER_BYTES: u32 = 112;

/// Writes a disk as qcow2 into an empty file.
///
/// # Errors
/// When the disk can't be read, or the file can't be written.
pub fn write<D: Disk + ?Sized, W: Write + Seek>(disk: &mut D, out: &mut W) -> Result<()> {
    let mut clusters = 1;
    out.seek(SeekFrom::Start(CLUSTER))?;
    let mut tables: BTreeMap<u64, BTreeMap<u64, u64>> = BTreeMap::new();
    let mut buffered = std::io::BufWriter::with_capacity(1 << 20, &mut *out);
    crate::blocks::for_each(disk, 1 << CLUSTER_BITS, |number, block| {
        buffered.write_all(block)?;
        let entries = tables.entry(number / L2_ENTRIES).or_default();
        entries.insert(number % L2_ENTRIES, clusters * CLUSTER);
        clusters += 1;
        Ok(())
    })?;
    let mut l1 = vec![0; entries_of_l1(disk.size())];
    for (index, entries) in &tables {
        if let Some(slot) = usize::try_from(*index).ok().and_then(|index| l1.get_mut(index)) {
            *slot = (clusters * CLUSTER) | COPIED;
        }
        let at = |index: u64| entries.get(&index).map_or(0, |offset| offset | COPIED);
        buffered.write_all(&table((0..L2_ENTRIES).map(|index| at(index).to_be_bytes())))?;
        clusters += 1;
    }
    let l1_offset = clusters * CLUSTER;
    let l1_bytes = table(l1.iter().map(|entry| entry.to_be_bytes()));
    clusters += put_clusters(&mut buffered, &l1_bytes)?;

    let (count_tables, directory_clusters) = room_for_counts(clusters);
    let all = clusters + count_tables + directory_clusters;
    for first in (0..count_tables).map(|number| number * COUNTS) {
        let counts = (first..first + COUNTS).map(|cluster| u16::from(cluster < all).to_be_bytes());
        buffered.write_all(&table(counts))?;
    }
    let directory = (0..count_tables).map(|number| ((clusters + number) * CLUSTER).to_be_bytes());
    put_clusters(&mut buffered, &table(directory))?;
    buffered.flush()?;
    drop(buffered);

    let header = Header::default()
        .field(MAGIC)
        .field(3_u32.to_be_bytes())
        .field([0; 12]) // no backing file
        .field(CLUSTER_BITS.to_be_bytes())
        .field(disk.size().to_be_bytes())
        .field([0; 4]) // not encrypted
        .field(u32::try_from(l1.len()).unwrap_or(u32::MAX).to_be_bytes())
        .field(l1_offset.to_be_bytes())
        .field(((clusters + count_tables) * CLUSTER).to_be_bytes())
        .field(u32::try_from(directory_clusters).unwrap_or(u32::MAX).to_be_bytes())
        .field([0; 12]) // no snapshots
        .field([0; 24]) // no features
        .field(4_u32.to_be_bytes()) // counts of 1 << 4 bits
        .field(HEADER_BYTES.to_be_bytes())
        .padded(1 << CLUSTER_BITS);
    out.seek(SeekFrom::Start(0))?;
    out.write_all(&header)?;
    out.flush()?;
    Ok(())
}

fn entries_of_l1(size: u64) -> usize {
    usize::try_from(size.div_ceil(CLUSTER * L2_ENTRIES)).unwrap_or(usize::MAX)
}

/// Writes bytes, filled up to whole clusters; returns how many.
fn put_clusters(out: &mut impl Write, bytes: &[u8]) -> Result<u64> {
    let clusters = (bytes.len() as u64).div_ceil(CLUSTER).max(1);
    out.write_all(bytes)?;
    let rest = usize::try_from(clusters * CLUSTER - bytes.len() as u64).unwrap_or(0);
    out.write_all(&vec![0; rest])?;
    Ok(clusters)
}

/// How many clusters hold the counts, those of themselves included, and how many the directory of
/// them takes.
fn room_for_counts(clusters: u64) -> (u64, u64) {
    let (mut tables, mut directory) = (0, 0);
    loop {
        let needed = (clusters + tables + directory).div_ceil(COUNTS);
        if (needed, needed.div_ceil(L2_ENTRIES)) == (tables, directory) {
            return (tables, directory);
        }
        (tables, directory) = (needed, needed.div_ceil(L2_ENTRIES));
    }
}
