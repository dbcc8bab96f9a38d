//! Creating an ext4 file system: journalled, checksummed, growable while mounted.
//!
//! [`layout`] decides what lies where, [`structures`] renders the on-disk structures, and this
//! module writes them. The format is the kernel's documentation, "ext4 Data Structures and
//! Algorithms". Bitmaps and inode tables of all groups but the first and last are left to the
//! kernel's lazy initialisation, so creating takes the same short time on any disk.

mod checksum;
mod layout;
mod structures;

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use thiserror::Error;
use uuid::Uuid;

use layout::{BLOCK, Layout};
use structures::Renderer;

pub use layout::TooSmall;

/// Where copies of the superblock are with blocks of 1, 2 and 4 KiB.
pub const BACKUPS: [u64; 3] = [8193 << 10, 16384 << 11, 32768 << 12];

/// Stands in the first sector, which ext4 leaves alone, while a file system is being created.
const UNFINISHED: &[u8] = b"Xenolith: this file system is being created\n";

/// What tells one file system from another.
#[derive(Debug, Clone, Copy)]
pub struct Identity<'a> {
    /// Its UUID.
    pub uuid: Uuid,
    /// Its label, at most 16 bytes.
    pub label: &'a str,
    /// When it was created, in seconds since 1970.
    pub created: u32,
}

/// Why creating failed.
#[derive(Debug, Error)]
pub enum FormatError {
    /// The partition has no room for one.
    #[error(transparent)]
    TooSmall(#[from] TooSmall),
    /// The device failed.
    #[error("the device fails: {0}")]
    Device(#[from] io::Error),
}

/// What a file system can be written to.
pub trait Target: Write + Seek {
    /// Waits until everything written so far is on the medium.
    ///
    /// # Errors
    /// As the device has it.
    fn settle(&mut self) -> io::Result<()>;
}

impl Target for File {
    fn settle(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Creates a file system of `bytes` bytes.
///
/// Until all of it is written a mark stands in the first sector, so that an interrupted
/// creation is recognised ([`is_unfinished`]) and begun again.
///
/// # Errors
/// When there is too little room or the device fails.
pub fn format<T: Target>(
    target: &mut T,
    bytes: u64,
    identity: &Identity<'_>,
) -> Result<(), FormatError> {
    let layout = Layout::for_size(bytes)?;
    let renderer = Renderer::new(&layout, identity);
    let mut out = Out { target };
    out.put(0, &padded(UNFINISHED))?;
    out.target.settle()?;

    out.zeros(layout.inode_table(0), layout.inode_table_blocks)?;
    out.zeros(layout.journal_first, layout.journal_blocks)?;
    out.put(layout.inode_table(0), &renderer.first_inodes())?;
    out.put(layout.journal_first, &renderer.journal_superblock())?;
    out.put(layout.root_block, &renderer.root_folder())?;
    out.put(layout.lost_and_found_block, &renderer.lost_and_found())?;
    out.put(layout.block_bitmap(0), &renderer.block_bitmap(0))?;
    out.put(layout.inode_bitmap(0), &renderer.first_inode_bitmap())?;
    let last = layout.groups - 1;
    if last > 0 {
        out.put(layout.block_bitmap(last), &renderer.block_bitmap(last))?;
    }
    let descriptors = renderer.group_descriptors();
    for group in (0..layout.groups).filter(|&group| layout.has_superblock(group)) {
        let first = layout.first_block(group);
        out.put(first + 1, &descriptors)?;
        if group > 0 {
            out.put(first, &padded(&renderer.superblock(group)))?;
        }
    }
    out.target.settle()?;
    let mut first = vec![0; 1024];
    first.extend(renderer.superblock(0));
    out.put(0, &padded(&first))?;
    out.target.settle()?;
    Ok(())
}

/// Writes whole blocks.
struct Out<'a, T> {
    target: &'a mut T,
}

impl<T: Target> Out<'_, T> {
    fn put(&mut self, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.target.seek(SeekFrom::Start(block * BLOCK))?;
        self.target.write_all(bytes)
    }

    fn zeros(&mut self, first: u64, blocks: u64) -> io::Result<()> {
        const AT_ONCE: u64 = 256;
        let zeros = vec![0; usize::try_from(AT_ONCE * BLOCK).map_err(io::Error::other)?];
        self.target.seek(SeekFrom::Start(first * BLOCK))?;
        let mut left = blocks * BLOCK;
        while left > 0 {
            let now = left.min(AT_ONCE * BLOCK);
            let part = zeros.get(..usize::try_from(now).map_err(io::Error::other)?);
            self.target.write_all(part.unwrap_or(&zeros))?;
            left -= now;
        }
        Ok(())
    }
}

/// The bytes, filled up with zeros to a whole number of blocks.
fn padded(bytes: &[u8]) -> Vec<u8> {
    let mut blocks = bytes.to_vec();
    let block = usize::try_from(BLOCK).unwrap_or(bytes.len().max(1));
    blocks.resize(bytes.len().next_multiple_of(block), 0);
    blocks
}

/// Whether the start of a partition carries the mark of an interrupted creation.
pub fn is_unfinished(head: &[u8]) -> bool {
    head.starts_with(UNFINISHED)
}

/// Whether the start of a partition holds a superblock.
pub fn is_ext4(head: &[u8]) -> bool {
    head.get(1024..).is_some_and(is_superblock)
}

/// Whether a superblock begins here.
pub fn is_superblock(bytes: &[u8]) -> bool {
    bytes.get(0x38..0x3a) == Some(&[0x53, 0xef])
}

/// How many blocks the file system should have on a partition of that many bytes, if that is at
/// least a MiB more than it has.
///
/// # Errors
/// When the superblock can't be read.
pub fn blocks_to_grow_to<D: Read + Seek>(device: &mut D, bytes: u64) -> io::Result<Option<u64>> {
    let mut superblock = [0; 1024];
    device.seek(SeekFrom::Start(1024))?;
    device.read_exact(&mut superblock)?;
    let number = |at: usize| {
        superblock
            .get(at..at + 4)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, |bytes| u64::from(u32::from_le_bytes(bytes)))
    };
    let block = 1024_u64.checked_shl(u32::try_from(number(0x18)).unwrap_or(64)).unwrap_or(BLOCK);
    let is_64_bit = number(0x60) & u64::from(structures::incompatible::SIXTY_FOUR_BIT) != 0;
    let has = number(4) | if is_64_bit { number(0x150) << 32 } else { 0 };
    let could_have = bytes / block.max(1024);
    Ok((could_have.saturating_sub(has) >= (1 << 20) / block.max(1024)).then_some(could_have))
}

#[cfg(test)]
mod tests;
