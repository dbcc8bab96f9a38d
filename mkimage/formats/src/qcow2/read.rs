//! Reading qcow2, versions 2 and 3, without backing files, encryption and external data.

use super::{COPIED, MAGIC, OFFSET};
use crate::disk::{self, Piece};
use crate::words::Words;
use crate::{Disk, Error, Input, Result};
use flate2::{Decompress, FlushDecompress, Status};
use std::ops::Range;

/// The largest table of tables that is read, as QEMU has it.
const L1_LIMIT: u64 = 32 << 20;
/// The cluster reads as zeros, whatever it holds.
const ZERO: u64 = 1;
const COMPRESSED: u64 = 1 << 62;
const SECTOR: u64 = 512;

/// Features that a reader must know, and what they are.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 1 << 1;
const DATA_FILE: u64 = 1 << 2;
const COMPRESSION: u64 = 1 << 3;
const EXTENDED_L2: u64 = 1 << 4;

/// An open image.
#[derive(Debug)]
pub struct Qcow2<I> {
    input: I,
    size: u64,
    cluster_bits: u32,
    l1: Vec<u8>,
    /// The table that was used last, and its place.
    l2: Option<(u64, Vec<u8>)>,
    /// The compressed cluster that was read last, and its entry.
    unpacked: Option<(u64, Vec<u8>)>,
}

enum Cluster {
    Hole,
    At(u64),
    Compressed(u64),
}

impl<I: Input> Qcow2<I> {
    /// Opens an image.
    ///
    /// # Errors
    /// When it is damaged, or needs more than this file.
    pub fn open(input: I) -> Result<Self> {
        let bytes = input.take(0, 104).map_err(|_| Error::damaged("this is no qcow2 image"))?;
        let header = Words(&bytes);
        if !bytes.starts_with(&MAGIC) {
            return Err(Error::damaged("this is no qcow2 image"));
        }
        let version = header.be32(4)?;
        let features = if version >= 3 { header.be64(72)? } else { 0 };
        check(version, features, &header)?;
        let cluster_bits = header.be32(20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(Error::damaged(format!("it has clusters of 2^{cluster_bits} bytes")));
        }
        let size = header.be64(24)?;
        let entries = u64::from(header.be32(36)?);
        let spanned = 1_u64 << (2 * cluster_bits - 3);
        if entries * 8 > L1_LIMIT || size > entries.saturating_mul(spanned) {
            return Err(Error::damaged(format!(
                "it says that it is {size} bytes large, and has tables for less"
            )));
        }
        let length = usize::try_from(entries * 8).unwrap_or(usize::MAX);
        let l1 = input.take(header.be64(40)?, length)?;
        Ok(Self { input, size, cluster_bits, l1, l2: None, unpacked: None })
    }

    fn cluster(&self) -> u64 {
        1 << self.cluster_bits
    }

    /// What the tables say about a cluster of the disk.
    fn find(&mut self, number: u64) -> Result<Cluster> {
        let entries = self.cluster() / 8;
        let place = usize::try_from(number / entries * 8).unwrap_or(usize::MAX);
        let table = Words(&self.l1).be64(place)? & OFFSET;
        if table == 0 {
            return Ok(Cluster::Hole);
        }
        if self.l2.as_ref().is_none_or(|(at, _)| *at != table) {
            let bytes = self.input.take(table, 1 << self.cluster_bits)?;
            self.l2 = Some((table, bytes));
        }
        let Some((_, l2)) = &self.l2 else { return Ok(Cluster::Hole) };
        let entry = Words(l2).be64(usize::try_from(number % entries * 8).unwrap_or(usize::MAX))?;
        if entry & COMPRESSED != 0 {
            return Ok(Cluster::Compressed(entry & !(COMPRESSED | COPIED)));
        }
        let offset = entry & OFFSET;
        Ok(if offset == 0 || entry & ZERO != 0 { Cluster::Hole } else { Cluster::At(offset) })
    }

    /// Unpacks a compressed cluster, unless it is the one that was unpacked last.
    fn unpack(&mut self, entry: u64) -> Result<&[u8]> {
        if self.unpacked.as_ref().is_none_or(|(last, _)| *last != entry) {
            let offset_bits = 62 - (self.cluster_bits - 8);
            let offset = entry & ((1 << offset_bits) - 1);
            let sectors = (entry >> offset_bits) + 1;
            let end = (offset / SECTOR + sectors) * SECTOR;
            // The last one's sectors may end behind the file.
            let length = end.min(self.input.length()?).saturating_sub(offset);
            let packed = self.input.take(offset, usize::try_from(length).unwrap_or(usize::MAX))?;
            let mut cluster = vec![0; 1 << self.cluster_bits];
            let mut inflate = Decompress::new(false);
            let done = inflate.decompress(&packed, &mut cluster, FlushDecompress::Finish);
            let whole = inflate.total_out() == cluster.len() as u64;
            if !matches!(done, Ok(Status::StreamEnd | Status::BufError | Status::Ok)) || !whole {
                return Err(Error::damaged("a compressed cluster can't be unpacked"));
            }
            self.unpacked = Some((entry, cluster));
        }
        Ok(self.unpacked.as_ref().map_or(&[], |(_, bytes)| bytes))
    }
}

fn check(version: u32, features: u64, header: &Words<'_>) -> Result<()> {
    if !(2..=3).contains(&version) {
        return Err(Error::unsupported(format!(
            "it is qcow2 of version {version}: 2 and 3 are read"
        )));
    }
    if header.be64(8)? != 0 {
        return Err(Error::unsupported(
            "it needs a backing file: join the two with `qemu-img convert` first",
        ));
    }
    if header.be32(32)? != 0 {
        return Err(Error::unsupported(
            "it is encrypted: decrypt it with `qemu-img convert` first",
        ));
    }
    let refusals = [
        (CORRUPT, "it is marked as damaged: try `qemu-img check -r all`"),
        (DATA_FILE, "its content is in another data file: use `qemu-img convert` first"),
        (COMPRESSION, "it is compressed by zstd: use `qemu-img convert` first"),
        (EXTENDED_L2, "it has extended tables: use `qemu-img convert` first"),
    ];
    if let Some((_, words)) = refusals.iter().find(|(bit, _)| features & bit != 0) {
        return Err(Error::unsupported(*words));
    }
    if features & !(DIRTY | CORRUPT | DATA_FILE | COMPRESSION | EXTENDED_L2) != 0 {
        return Err(Error::unsupported("it has features that are newer than this program"));
    }
    Ok(())
}

impl<I: Input> Disk for Qcow2<I> {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let cluster = self.cluster();
        let mut offset = offset;
        let mut rest = buffer;
        while !rest.is_empty() {
            let within = offset % cluster;
            let length = usize::try_from(cluster - within).unwrap_or(usize::MAX).min(rest.len());
            let (part, next) = rest.split_at_mut(length);
            let found =
                if offset < self.size { self.find(offset / cluster)? } else { Cluster::Hole };
            match found {
                Cluster::Hole => part.fill(0),
                Cluster::At(at) => self.input.fill(at + within, part)?,
                Cluster::Compressed(entry) => {
                    let start = usize::try_from(within).unwrap_or(usize::MAX);
                    let bytes = self.unpack(entry)?.get(start..start + length);
                    part.copy_from_slice(bytes.ok_or_else(|| Error::damaged("a short cluster"))?);
                }
            }
            offset += length as u64;
            rest = next;
        }
        Ok(())
    }

    fn next_data(&mut self, from: u64) -> Result<Option<Range<u64>>> {
        let (size, cluster) = (self.size, self.cluster());
        let mut from = from;
        // What the first table says; within that, cluster by cluster.
        while let Some(coarse) = disk::next_piece(from, size, cluster * cluster / 8, |table| {
            let at = usize::try_from(table * 8).unwrap_or(usize::MAX);
            let empty = Words(&self.l1).be64(at)? & OFFSET == 0;
            Ok(if empty { Piece::Hole } else { Piece::Data })
        })? {
            let fine = disk::next_piece(coarse.start, coarse.end, cluster, |number| {
                Ok(match self.find(number)? {
                    Cluster::Hole => Piece::Hole,
                    Cluster::At(_) | Cluster::Compressed(_) => Piece::Data,
                })
            })?;
            if fine.is_some() {
                return Ok(fine);
            }
            from = coarse.end;
        }
        Ok(None)
    }
}
