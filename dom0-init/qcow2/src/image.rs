//! An image: what the guest's bytes are, and where they go.

use std::collections::HashSet;

use crate::compressed::Unpacked;
use crate::error::{Error, Result};
use crate::header::{AUTOCLEAR_FIELD, Header};
use crate::mapping::{Cluster, OWNED, ZERO};
use crate::refcounts::Refcounts;
use crate::storage::Storage;
use crate::tables::Tables;

/// So many clusters wait to be counted as free; then it isn't left to the guest when that is.
const MOST_FREED: usize = 4096;

/// What is behind an image.
#[derive(Debug)]
pub enum Layer<S> {
    /// The bytes as they are.
    Raw(S),
    /// Another image.
    Qcow2(Box<Image<S>>),
}

/// An open image.
#[derive(Debug)]
pub struct Image<S> {
    storage: S,
    header: Header,
    backing: Option<Layer<S>>,
    tables: Tables,
    unpacked: Unpacked,
    /// For an image that may be written.
    changes: Option<Changes>,
}

/// What an image that may be written knows besides.
#[derive(Debug)]
struct Changes {
    refcounts: Refcounts,
    /// The clusters in which the image's own tables are: guests don't write there.
    reserved: HashSet<u64>,
    /// Behind this the file was never written: it reads as zeroes.
    end: u64,
    /// What was durable is replaced: what replaces it must be durable before it is pointed to.
    barrier: bool,
    /// Clusters that nothing will point to any more once the tables are durable.
    freed: Vec<u64>,
}

impl<S: Storage> Layer<S> {
    /// Reads; behind its end there are zeroes.
    ///
    /// # Errors
    /// As [`Image::read`].
    pub fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        match self {
            Self::Raw(storage) => Ok(storage.read(offset, bytes)?),
            Self::Qcow2(image) => {
                let inside = image.size().saturating_sub(offset).min(bytes.len() as u64);
                let inside = usize::try_from(inside).unwrap_or(usize::MAX);
                let (there, behind) = bytes.split_at_mut(inside);
                behind.fill(0);
                image.read(offset, there)
            }
        }
    }
}

impl<S: Storage> Image<S> {
    /// Opens an image. What its header wants behind it is up to the caller ([`Self::back`]).
    ///
    /// # Errors
    /// What the file is instead, or what is wrong with it.
    pub fn open(storage: S, writable: bool) -> Result<Self> {
        let header = Header::read(&storage)?;
        let tables = Tables::open(&storage, &header)?;
        let mut changes = None;
        if writable {
            header.check_writable()?;
            let refcounts = Refcounts::open(&storage, &header)?;
            let bits = header.cluster_bits;
            let behind_first = header.l1_offset + header.l1_entries as u64 * 8;
            let behind_first = behind_first.div_ceil(header.cluster());
            let mut reserved: HashSet<u64> = (header.l1_offset >> bits..behind_first).collect();
            reserved.extend(refcounts.places().chain([0]));
            reserved.extend(tables.places(&header).map(|offset| offset >> bits));
            if header.autoclear != 0 {
                storage.write(AUTOCLEAR_FIELD, &[0; 8])?;
                storage.sync()?;
            }
            let (end, barrier, freed) = (storage.length()?, false, Vec::new());
            changes = Some(Changes { refcounts, reserved, end, barrier, freed });
        }
        let unpacked = Unpacked::default();
        Ok(Self { storage, header, backing: None, tables, unpacked, changes })
    }

    /// What is behind it from now on.
    pub fn back(&mut self, layer: Layer<S>) {
        self.backing = Some(layer);
    }

    /// Its header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// What the guest sees, in bytes.
    pub fn size(&self) -> u64 {
        self.header.size
    }

    /// Where it lies.
    pub fn storage(&self) -> &S {
        &self.storage
    }

    /// Fills `bytes` with what is at `offset`.
    ///
    /// # Errors
    /// When not all of it is inside, or as the storage has it.
    pub fn read(&mut self, offset: u64, bytes: &mut [u8]) -> Result<()> {
        self.check(offset, bytes.len() as u64)?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (cluster, length) = self.run(at, rest.len())?;
            let (part, behind) = rest.split_at_mut(length);
            self.read_cluster(cluster, at, part)?;
            at += length as u64;
            rest = behind;
        }
        Ok(())
    }

    /// Writes `bytes` at `offset`. They are in the image after the next [`Self::commit`], and
    /// durable after the next [`Self::flush`].
    ///
    /// # Errors
    /// When not all of it is inside, or as the storage has it; some of it may be written then.
    pub fn write(&mut self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.check(offset, bytes.len() as u64)?;
        let (mut at, mut rest) = (offset, bytes);
        while !rest.is_empty() {
            let (cluster, length) = self.run(at, rest.len())?;
            if let Cluster::Data { offset, owned: true } = cluster {
                let (part, behind) = rest.split_at(length);
                let place = offset + self.within(at);
                let bits = self.header.cluster_bits;
                self.changes()?.check_place(place, part.len(), bits)?;
                self.put(place, part)?;
                (at, rest) = (at + length as u64, behind);
            } else {
                let length = length.min(self.to_end_of_cluster(at));
                let (part, behind) = rest.split_at(length);
                self.replace(cluster, at, part)?;
                (at, rest) = (at + length as u64, behind);
            }
        }
        Ok(())
    }

    /// Gives up what is there, as far as it is whole clusters: it reads as zeroes then. What is
    /// behind the image stays as it is, and so do versions of the format that can't do it.
    ///
    /// # Errors
    /// When not all of it is inside, or as the storage has it.
    pub fn discard(&mut self, offset: u64, length: u64) -> Result<()> {
        self.check(offset, length)?;
        self.changes()?;
        if self.backing.is_some() && self.header.version < 3 {
            return Ok(());
        }
        let bits = self.header.cluster_bits;
        let end = offset + length;
        // A last cluster that the size cuts is whole.
        let end = if end == self.size() { end.div_ceil(1 << bits) } else { end >> bits };
        let mut cluster = offset.div_ceil(1 << bits);
        let entry = if self.backing.is_some() { ZERO } else { 0 };
        while cluster < end {
            let (number, index) = self.split(cluster);
            if self.tables.place(number, &self.header)?.is_none() {
                cluster = (number as u64 + 1) << (bits - 3);
                continue;
            }
            let old = self.tables.entry(&self.storage, &self.header, number, index)?;
            let old = Cluster::of(old, &self.header)?;
            if !matches!(old, Cluster::Absent | Cluster::Zero { kept: None }) {
                self.point(cluster, entry)?;
                self.free(old)?;
            }
            cluster += 1;
        }
        Ok(())
    }

    /// Puts all that was written into the image, so that whoever opens it finds it.
    ///
    /// # Errors
    /// As the storage has it.
    pub fn commit(&mut self) -> Result<()> {
        let Some(changes) = &mut self.changes else { return Ok(()) };
        if !self.tables.is_clean() {
            self.tables.commit(&self.storage, &self.header, changes.barrier)?;
            changes.barrier = false;
        }
        if changes.freed.len() > MOST_FREED { self.flush() } else { Ok(()) }
    }

    /// Makes all that was written durable.
    ///
    /// # Errors
    /// As the storage has it.
    pub fn flush(&mut self) -> Result<()> {
        let Some(changes) = &mut self.changes else { return Ok(()) };
        self.tables.commit(&self.storage, &self.header, changes.barrier)?;
        changes.barrier = false;
        self.storage.sync()?;
        let cluster = self.header.cluster();
        for freed in std::mem::take(&mut changes.freed) {
            match changes.refcounts.release(&self.storage, freed) {
                Ok(true) => {
                    // It is counted as free already: what it holds is nobody's.
                    let _room = self.storage.zero(freed * cluster, cluster);
                }
                Ok(false) | Err(Error::Damaged(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Flushes, and leaves nothing counted that isn't used.
    ///
    /// # Errors
    /// As the storage has it.
    pub fn close(&mut self) -> Result<()> {
        self.flush()?;
        match &mut self.changes {
            Some(changes) => changes.refcounts.close(&self.storage),
            None => Ok(()),
        }
    }

    /// Where what is at an offset lies, and for how many bytes, at most `most`, that goes on.
    fn run(&mut self, at: u64, most: usize) -> Result<(Cluster, usize)> {
        let first = at >> self.header.cluster_bits;
        let cluster = self.lookup(first)?;
        let mut length = self.to_end_of_cluster(at);
        let mut next = first;
        while length < most {
            next += 1;
            let follows = match (cluster, self.lookup(next)?) {
                (Cluster::Absent, Cluster::Absent)
                | (Cluster::Zero { kept: None }, Cluster::Zero { kept: None }) => true,
                (Cluster::Data { offset, owned }, other) => {
                    let offset = offset + ((next - first) << self.header.cluster_bits);
                    other == Cluster::Data { offset, owned }
                }
                _ => false,
            };
            if !follows {
                break;
            }
            length += 1 << self.header.cluster_bits;
        }
        Ok((cluster, length.min(most)))
    }

    fn lookup(&mut self, cluster: u64) -> Result<Cluster> {
        let (number, index) = self.split(cluster);
        if self.tables.place(number, &self.header)?.is_none() {
            return Ok(Cluster::Absent);
        }
        let entry = self.tables.entry(&self.storage, &self.header, number, index)?;
        Cluster::of(entry, &self.header)
    }

    fn read_cluster(&mut self, cluster: Cluster, at: u64, bytes: &mut [u8]) -> Result<()> {
        let within = self.within(at);
        match cluster {
            Cluster::Zero { .. } => bytes.fill(0),
            Cluster::Absent => match &mut self.backing {
                Some(layer) => layer.read(at, bytes)?,
                None => bytes.fill(0),
            },
            Cluster::Data { offset, .. } => self.storage.read(offset + within, bytes)?,
            Cluster::Packed { offset, length } => {
                let size = self.header.cluster();
                let plain = self.unpacked.cluster(&self.storage, offset, length, size)?;
                let start = usize::try_from(within).unwrap_or(usize::MAX);
                let plain = plain.get(start..).and_then(|rest| rest.get(..bytes.len()));
                bytes.copy_from_slice(plain.ok_or(Error::OutOfRange)?);
            }
        }
        Ok(())
    }

    /// Writes a part of a cluster that isn't this image's alone, or isn't there.
    fn replace(&mut self, old: Cluster, at: u64, part: &[u8]) -> Result<()> {
        let header = &self.header;
        let (bits, cluster) = (header.cluster_bits, at >> header.cluster_bits);
        if let Cluster::Zero { kept: Some((place, true)) } = old {
            self.changes()?.check_place(place, part.len(), bits)?;
            self.storage.zero(place, 1 << bits)?;
            self.put(place + self.within(at), part)?;
            self.changes()?.barrier = true;
            return self.point(cluster, place | OWNED);
        }
        let changes = self.changes.as_mut().ok_or(Error::ReadOnly)?;
        let place = changes.refcounts.take(&self.storage, &mut changes.reserved)?;
        let done =
            self.fill(old, at, part, place).and_then(|()| self.point(cluster, place | OWNED));
        if done.is_err() {
            self.changes()?.refcounts.give_back(place);
            return done;
        }
        self.free(old)
    }

    /// Writes what a new cluster is to hold: what was there, changed in part.
    fn fill(&mut self, old: Cluster, at: u64, part: &[u8], place: u64) -> Result<()> {
        let (size, within) = (self.header.cluster(), self.within(at));
        let was_nothing = match old {
            Cluster::Absent => self.backing.is_none(),
            Cluster::Zero { .. } => true,
            Cluster::Data { .. } | Cluster::Packed { .. } => false,
        };
        let changes = self.changes()?;
        let was_written = place < changes.end;
        changes.barrier |= !was_nothing || was_written;
        if part.len() as u64 == size {
            return self.put(place, part);
        }
        if was_nothing {
            if was_written {
                self.storage.zero(place, size)?;
            }
            return self.put(place + within, part);
        }
        let mut whole = vec![0; usize::try_from(size).unwrap_or(0)];
        let start = at - within;
        // The size may cut the last one.
        let there = usize::try_from((self.size() - start).min(size)).unwrap_or(0);
        self.read_cluster(old, start, whole.get_mut(..there).unwrap_or_default())?;
        let into = whole.get_mut(usize::try_from(within).unwrap_or(usize::MAX)..);
        let into = into.and_then(|rest| rest.get_mut(..part.len())).ok_or(Error::OutOfRange)?;
        into.copy_from_slice(part);
        self.put(place, &whole)
    }

    /// Writes to the file.
    fn put(&mut self, place: u64, bytes: &[u8]) -> Result<()> {
        self.storage.write(place, bytes)?;
        let changes = self.changes()?;
        changes.end = changes.end.max(place + bytes.len() as u64);
        Ok(())
    }

    /// Changes where a cluster of the guest is.
    fn point(&mut self, cluster: u64, entry: u64) -> Result<()> {
        let (number, index) = self.split(cluster);
        let place = self.tables.place(number, &self.header)?;
        if !matches!(place, Some((_, true))) {
            let changes = self.changes.as_mut().ok_or(Error::ReadOnly)?;
            let new = changes.refcounts.take(&self.storage, &mut changes.reserved)?;
            if let Err(error) = self.tables.renew(&self.storage, &self.header, number, new) {
                changes.refcounts.give_back(new);
                return Err(error);
            }
            let bits = self.header.cluster_bits;
            changes.end = changes.end.max(new + (1 << bits));
            changes.reserved.insert(new >> bits);
            if let Some((old, _shared)) = place {
                changes.reserved.remove(&(old >> bits));
                changes.freed.push(old >> bits);
            }
        }
        self.tables.set(&self.storage, &self.header, (number, index), entry)
    }

    /// Nothing points to what was there any more.
    fn free(&mut self, old: Cluster) -> Result<()> {
        let bits = self.header.cluster_bits;
        let (offset, length) = match old {
            Cluster::Absent | Cluster::Zero { kept: None } => return Ok(()),
            Cluster::Zero { kept: Some((offset, _)) } | Cluster::Data { offset, .. } => (offset, 1),
            Cluster::Packed { offset, length } => {
                self.unpacked.forget();
                (offset, length)
            }
        };
        let last = (offset + length - 1) >> bits;
        self.changes()?.freed.extend(offset >> bits..=last);
        Ok(())
    }

    fn changes(&mut self) -> Result<&mut Changes> {
        self.changes.as_mut().ok_or(Error::ReadOnly)
    }

    fn check(&self, offset: u64, length: u64) -> Result<()> {
        let end = offset.checked_add(length).filter(|end| *end <= self.size());
        end.map(|_inside| ()).ok_or(Error::OutOfRange)
    }

    /// The second table of a cluster of the guest, and the entry in it.
    fn split(&self, cluster: u64) -> (usize, usize) {
        let bits = self.header.cluster_bits - 3;
        let number = cluster >> bits;
        let index = cluster - (number << bits);
        (
            usize::try_from(number).unwrap_or(usize::MAX),
            usize::try_from(index).unwrap_or(usize::MAX),
        )
    }

    fn within(&self, at: u64) -> u64 {
        at & (self.header.cluster() - 1)
    }

    fn to_end_of_cluster(&self, at: u64) -> usize {
        usize::try_from(self.header.cluster() - self.within(at)).unwrap_or(usize::MAX)
    }
}

impl Changes {
    /// Refuses to write where the image's own tables are.
    fn check_place(&self, place: u64, length: usize, bits: u32) -> Result<()> {
        let last = place + (length as u64).saturating_sub(1);
        if (place >> bits..=last >> bits).any(|cluster| self.reserved.contains(&cluster)) {
            return Err(Error::Damaged("its data are where its tables are"));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
