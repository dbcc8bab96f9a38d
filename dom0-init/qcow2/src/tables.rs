//! The tables of the mapping that are in memory: the first one, and the second ones that were used
//! last.
//!
//! Changes stay here until [`Tables::commit`] writes them, in the order that keeps the file whole.

use std::collections::HashMap;

use crate::error::{Error, Result};
use crate::header::Header;
use crate::mapping::{self, OWNED};
use crate::storage::Storage;

/// So many bytes of second tables are kept, or two of them.
const KEPT: u64 = 2 << 20;

/// A second table.
#[derive(Debug)]
struct Table {
    offset: u64,
    entries: Vec<u64>,
    /// The first and the last entry that isn't in the file yet.
    changed: Option<(usize, usize)>,
    /// The first table in the file doesn't point to it yet.
    fresh: bool,
    used: u64,
}

/// The mapping.
#[derive(Debug)]
pub struct Tables {
    first: Vec<u64>,
    second: HashMap<usize, Table>,
    most: usize,
    clock: u64,
}

impl Tables {
    /// Reads the first table.
    ///
    /// # Errors
    /// As the storage has it, or when an entry means nothing.
    pub fn open(storage: &impl Storage, header: &Header) -> Result<Self> {
        let mut bytes = vec![0; header.l1_entries * 8];
        storage.read(header.l1_offset, &mut bytes)?;
        let first = numbers(&bytes);
        for entry in &first {
            mapping::table(*entry, header)?;
        }
        let most = usize::try_from(KEPT >> header.cluster_bits).unwrap_or(0).max(2);
        Ok(Self { first, second: HashMap::new(), most, clock: 0 })
    }

    /// Where the second tables are.
    pub fn places(&self, header: &Header) -> impl Iterator<Item = u64> {
        self.first
            .iter()
            .filter_map(|entry| mapping::table(*entry, header).ok().flatten())
            .map(|(offset, _owned)| offset)
    }

    /// Where the second table with this number is, and whether nobody else uses it.
    ///
    /// # Errors
    /// When there can be none.
    pub fn place(&self, number: usize, header: &Header) -> Result<Option<(u64, bool)>> {
        let entry = self.first.get(number).ok_or(Error::OutOfRange)?;
        mapping::table(*entry, header)
    }

    /// An entry of a second table, which must be there.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn entry(
        &mut self,
        storage: &impl Storage,
        header: &Header,
        number: usize,
        index: usize,
    ) -> Result<u64> {
        let table = self.load(storage, header, number)?;
        table.entries.get(index).copied().ok_or(Error::OutOfRange)
    }

    /// Changes an entry of a second table, which must be there and nobody else's.
    ///
    /// # Errors
    /// When it can't be read.
    pub fn set(
        &mut self,
        storage: &impl Storage,
        header: &Header,
        (number, index): (usize, usize),
        entry: u64,
    ) -> Result<()> {
        let table = self.load(storage, header, number)?;
        *table.entries.get_mut(index).ok_or(Error::OutOfRange)? = entry;
        let (first, last) = table.changed.unwrap_or((index, index));
        table.changed = Some((first.min(index), last.max(index)));
        Ok(())
    }

    /// Puts a new second table at a place, with what the old one had, if there is one.
    ///
    /// # Errors
    /// When the old one can't be read.
    pub fn renew(
        &mut self,
        storage: &impl Storage,
        header: &Header,
        number: usize,
        offset: u64,
    ) -> Result<()> {
        let entries = match self.place(number, header)? {
            Some(_) => self.load(storage, header, number)?.entries.clone(),
            None => vec![0; header.table_entries()],
        };
        self.make_room(storage, header)?;
        let changed = Some((0, entries.len().saturating_sub(1)));
        let used = self.tick();
        self.second.insert(number, Table { offset, entries, changed, fresh: true, used });
        *self.first.get_mut(number).ok_or(Error::OutOfRange)? = offset | OWNED;
        Ok(())
    }

    /// Whether all is in the file.
    pub fn is_clean(&self) -> bool {
        self.second.values().all(|table| table.changed.is_none())
    }

    /// Writes what was changed. With `barrier`, or where a new table is to be pointed to, all that
    /// was written before is made durable first.
    ///
    /// # Errors
    /// As the storage has it; what isn't in the file then is tried again the next time.
    pub fn commit(&mut self, storage: &impl Storage, header: &Header, barrier: bool) -> Result<()> {
        let fresh = self.second.values().any(|table| table.fresh);
        for table in self.second.values_mut().filter(|table| table.fresh) {
            table.write(storage)?;
        }
        if barrier || fresh {
            storage.sync()?;
        }
        for (number, table) in &mut self.second {
            table.write(storage)?;
            if table.fresh {
                let entry = table.offset | OWNED;
                storage.write(header.l1_offset + *number as u64 * 8, &entry.to_be_bytes())?;
                table.fresh = false;
            }
        }
        Ok(())
    }

    fn load(
        &mut self,
        storage: &impl Storage,
        header: &Header,
        number: usize,
    ) -> Result<&mut Table> {
        if !self.second.contains_key(&number) {
            let (offset, _owned) =
                self.place(number, header)?.ok_or(Error::Damaged("a table isn't there"))?;
            if offset >= storage.length()? {
                return Err(Error::Damaged("a table is behind its end"));
            }
            self.make_room(storage, header)?;
            let mut bytes = vec![0; header.table_entries() * 8];
            storage.read(offset, &mut bytes)?;
            let entries = numbers(&bytes);
            let table = Table { offset, entries, changed: None, fresh: false, used: 0 };
            self.second.insert(number, table);
        }
        let used = self.tick();
        let table = self.second.get_mut(&number).ok_or(Error::OutOfRange)?;
        table.used = used;
        Ok(table)
    }

    /// Forgets the table that wasn't used for longest, if there are too many.
    fn make_room(&mut self, storage: &impl Storage, header: &Header) -> Result<()> {
        if self.second.len() < self.most {
            return Ok(());
        }
        let oldest = |tables: &HashMap<usize, Table>| {
            let clean = tables.iter().filter(|(_, table)| table.changed.is_none());
            clean.min_by_key(|(_, table)| table.used).map(|(number, _)| *number)
        };
        let number = match oldest(&self.second) {
            Some(number) => Some(number),
            None => {
                // What is in the file already may be pointed to: nobody knows whether it needs a
                // barrier.
                self.commit(storage, header, true)?;
                oldest(&self.second)
            }
        };
        if let Some(number) = number {
            self.second.remove(&number);
        }
        Ok(())
    }

    fn tick(&mut self) -> u64 {
        self.clock += 1;
        self.clock
    }
}

impl Table {
    fn write(&mut self, storage: &impl Storage) -> Result<()> {
        let Some((first, last)) = self.changed else { return Ok(()) };
        let entries = self.entries.get(first..=last).unwrap_or_default();
        let bytes: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        storage.write(self.offset + first as u64 * 8, &bytes)?;
        self.changed = None;
        Ok(())
    }
}

/// Numbers as they are in the file.
pub fn numbers(bytes: &[u8]) -> Vec<u64> {
    let (numbers, _rest) = bytes.as_chunks();
    numbers.iter().map(|number| u64::from_be_bytes(*number)).collect()
}
