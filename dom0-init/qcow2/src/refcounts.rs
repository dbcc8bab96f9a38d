//! Which clusters of the file are in use: each has a count of what points to it.
//!
//! Clusters are counted as used some time before they are, several at once and with one
//! [`Storage::sync`] for them all. Who is killed with such a reserve leaves it counted and unused,
//! which wastes it and does no harm.

use std::collections::{HashSet, VecDeque};

use crate::error::{Error, Result};
use crate::header::{Header, OFFSET, REFTABLE_FIELD};
use crate::storage::Storage;
use crate::tables::numbers;

/// The reserve in bytes, and in clusters.
const RESERVE: u64 = 4 << 20;
const MOST_RESERVED: u64 = 64;

/// Some of the counts: a block of the file.
#[derive(Debug)]
struct Block {
    number: usize,
    offset: u64,
    counts: Vec<u16>,
}

/// The counts.
#[derive(Debug)]
pub struct Refcounts {
    /// Where each block of counts is; zero where there is none.
    table: Vec<u64>,
    table_offset: u64,
    table_clusters: u64,
    cluster_bits: u32,
    /// The block that was used last. What is changed in it is in the file at once.
    block: Option<Block>,
    /// No cluster before this one is free.
    first_free: u64,
    /// Clusters that are counted and not used.
    reserve: VecDeque<u64>,
}

impl Refcounts {
    /// Reads where the counts are.
    ///
    /// # Errors
    /// As the storage has it, or when an entry means nothing.
    pub fn open(storage: &impl Storage, header: &Header) -> Result<Self> {
        let table_clusters = u64::from(header.reftable_clusters);
        let length = usize::try_from(table_clusters << header.cluster_bits).unwrap_or(0);
        let mut bytes = vec![0; length];
        storage.read(header.reftable_offset, &mut bytes)?;
        let table = numbers(&bytes);
        let aligned =
            |offset: &u64| offset.is_multiple_of(header.cluster()) && offset & !OFFSET == 0;
        if !table.iter().all(aligned) {
            return Err(Error::Damaged("its table of counts"));
        }
        Ok(Self {
            table,
            table_offset: header.reftable_offset,
            table_clusters,
            cluster_bits: header.cluster_bits,
            block: None,
            first_free: 0,
            reserve: VecDeque::new(),
        })
    }

    /// The clusters in which the counts lie.
    pub fn places(&self) -> impl Iterator<Item = u64> {
        let first = self.table_offset >> self.cluster_bits;
        let blocks = self.table.iter().filter(|offset| **offset != 0);
        blocks.map(|offset| offset >> self.cluster_bits).chain(first..first + self.table_clusters)
    }

    /// A free cluster's offset, counted as used; `tables` are clusters that can't be free.
    ///
    /// # Errors
    /// When the file can't grow, or the counts contradict the rest.
    pub fn take(&mut self, storage: &impl Storage, tables: &mut HashSet<u64>) -> Result<u64> {
        if self.reserve.is_empty() {
            self.refill(storage, tables)?;
        }
        let cluster = self.reserve.pop_front().ok_or(Error::Full)?;
        if tables.contains(&cluster) {
            return Err(Error::Damaged("what is in use is counted as free"));
        }
        Ok(cluster << self.cluster_bits)
    }

    /// Takes back a cluster that nothing was made to point to.
    pub fn give_back(&mut self, offset: u64) {
        self.reserve.push_front(offset >> self.cluster_bits);
    }

    /// Something less points to a cluster; tells whether it is free then.
    ///
    /// # Errors
    /// As the storage has it, or when it wasn't counted.
    pub fn release(&mut self, storage: &impl Storage, cluster: u64) -> Result<bool> {
        let (number, index) = self.split(cluster);
        if self.table.get(number).copied().unwrap_or(0) == 0 {
            return Err(Error::Damaged("a cluster that isn't counted"));
        }
        let block = self.load(storage, number)?;
        let count = block.counts.get_mut(index).filter(|count| **count > 0);
        let count = count.ok_or(Error::Damaged("a cluster that isn't counted"))?;
        *count -= 1;
        let free = *count == 0;
        self.write(storage, index, index)?;
        if free {
            self.first_free = self.first_free.min(cluster);
        }
        Ok(free)
    }

    /// Counts the reserve as free.
    ///
    /// # Errors
    /// As the storage has it.
    pub fn close(&mut self, storage: &impl Storage) -> Result<()> {
        while let Some(cluster) = self.reserve.pop_back() {
            self.release(storage, cluster)?;
        }
        Ok(())
    }

    fn refill(&mut self, storage: &impl Storage, tables: &mut HashSet<u64>) -> Result<()> {
        let wanted = (RESERVE >> self.cluster_bits).clamp(1, MOST_RESERVED);
        let wanted = usize::try_from(wanted).unwrap_or(1);
        loop {
            let (number, start) = self.split(self.first_free);
            if number >= self.table.len() {
                self.grow(storage, tables)?;
            } else if self.table.get(number) == Some(&0) {
                self.add_block(storage, number, tables)?;
            }
            let block = self.load(storage, number)?;
            let free = (start..).zip(block.counts.get_mut(start..).unwrap_or_default());
            let free = free.filter(|(_, count)| **count == 0).take(wanted);
            let found: Vec<usize> = free
                .map(|(index, count)| {
                    *count = 1;
                    index
                })
                .collect();
            let base = self.first_of(number);
            if let (Some(first), Some(last)) = (found.first(), found.last()) {
                self.write(storage, *first, *last)?;
                storage.sync()?;
                self.first_free = base + *last as u64 + 1;
                self.reserve.extend(found.iter().map(|index| base + *index as u64));
                return Ok(());
            }
            self.first_free = self.first_of(number + 1);
        }
    }

    /// Makes a block of counts, in the first cluster that it counts.
    fn add_block(
        &mut self,
        storage: &impl Storage,
        number: usize,
        tables: &mut HashSet<u64>,
    ) -> Result<()> {
        let cluster = self.first_of(number);
        if !tables.insert(cluster) {
            return Err(Error::Damaged("what is in use isn't counted"));
        }
        let offset = self.place(cluster)?;
        let mut counts = vec![0; self.per_block()];
        counts.iter_mut().take(1).for_each(|count| *count = 1);
        write_counts(storage, offset, &counts)?;
        storage.sync()?;
        storage.write(self.table_offset + number as u64 * 8, &offset.to_be_bytes())?;
        if let Some(entry) = self.table.get_mut(number) {
            *entry = offset;
        }
        self.block = Some(Block { number, offset, counts });
        Ok(())
    }

    /// Moves the table of counts to behind all that it counts, where it is twice as long. A block
    /// that counts it lies before it.
    fn grow(&mut self, storage: &impl Storage, tables: &mut HashSet<u64>) -> Result<()> {
        let number = self.table.len();
        let first = self.first_of(number);
        let (old_offset, old_clusters) = (self.table_offset, self.table_clusters);
        let clusters = old_clusters * 2;
        let taken = usize::try_from(clusters).unwrap_or(usize::MAX).saturating_add(1);
        if taken > self.per_block() {
            return Err(Error::Full);
        }
        let offset = self.place(first)?;
        let mut counts = vec![0; self.per_block()];
        counts.iter_mut().take(taken).for_each(|count| *count = 1);
        let mut table = self.table.clone();
        table.push(offset);
        table.resize(number * 2, 0);
        let table_offset = self.place(first + 1)?;
        write_counts(storage, offset, &counts)?;
        let bytes: Vec<u8> = table.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        storage.write(table_offset, &bytes)?;
        storage.sync()?;
        let mut field = table_offset.to_be_bytes().to_vec();
        field.extend(u32::try_from(clusters).map_err(|_| Error::Full)?.to_be_bytes());
        storage.write(REFTABLE_FIELD, &field)?;
        storage.sync()?;
        (self.table, self.table_offset, self.table_clusters) = (table, table_offset, clusters);
        self.block = Some(Block { number, offset, counts });
        tables.extend(first..=first + clusters);
        let old = old_offset >> self.cluster_bits;
        for cluster in old..old + old_clusters {
            tables.remove(&cluster);
            // At worst it stays counted.
            let _free = self.release(storage, cluster);
        }
        Ok(())
    }

    fn load(&mut self, storage: &impl Storage, number: usize) -> Result<&mut Block> {
        if self.block.as_ref().is_none_or(|block| block.number != number) {
            let offset = self.table.get(number).copied().unwrap_or(0);
            let mut bytes = vec![0; 1 << self.cluster_bits];
            storage.read(offset, &mut bytes)?;
            let (counts, _rest) = bytes.as_chunks();
            let counts = counts.iter().map(|count| u16::from_be_bytes(*count)).collect();
            self.block = Some(Block { number, offset, counts });
        }
        self.block.as_mut().ok_or(Error::Full)
    }

    /// Writes some counts of the block that was used last. If that fails it is forgotten.
    fn write(&mut self, storage: &impl Storage, first: usize, last: usize) -> Result<()> {
        let Some(block) = &self.block else { return Ok(()) };
        let counts = block.counts.get(first..=last).unwrap_or_default();
        let written = write_counts(storage, block.offset + first as u64 * 2, counts);
        if written.is_err() {
            self.block = None;
        }
        written
    }

    fn place(&self, cluster: u64) -> Result<u64> {
        let offset = cluster.checked_mul(1 << self.cluster_bits).filter(|at| at & !OFFSET == 0);
        offset.ok_or(Error::Full)
    }

    fn per_block(&self) -> usize {
        1 << (self.cluster_bits - 1)
    }

    fn first_of(&self, number: usize) -> u64 {
        (number as u64) << (self.cluster_bits - 1)
    }

    fn split(&self, cluster: u64) -> (usize, usize) {
        let number = cluster >> (self.cluster_bits - 1);
        let index = cluster - (number << (self.cluster_bits - 1));
        (usize::try_from(number).unwrap_or(usize::MAX), usize::try_from(index).unwrap_or(0))
    }
}

fn write_counts(storage: &impl Storage, offset: u64, counts: &[u16]) -> Result<()> {
    let bytes: Vec<u8> = counts.iter().flat_map(|count| count.to_be_bytes()).collect();
    Ok(storage.write(offset, &bytes)?)
}
