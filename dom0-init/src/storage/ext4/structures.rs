//! The on-disk structures, rendered as bytes.

use super::Identity;
use super::checksum::Checksum;
use super::layout::{BLOCK, DESCRIPTOR, FIRST_FREE_INODE, GROUP_BLOCKS, INODE, Layout};

const ROOT: u32 = 2;
const JOURNAL: u32 = 8;
const LOST_AND_FOUND: u32 = 11;

const MODE_FOLDER: u16 = 0o040_000;
const MODE_FILE: u16 = 0o100_000;
const USES_EXTENTS: u32 = 0x8_0000;
/// What inodes hold beyond their first 128 bytes.
const EXTRA_INODE_BYTES: u16 = 32;

/// Features that a kernel may not know and still write.
mod compatible {
    pub const JOURNAL: u32 = 4;
    pub const EXTENDED_ATTRIBUTES: u32 = 8;
    pub const HASHED_FOLDERS: u32 = 0x20;
}
/// Features that a kernel must know.
pub mod incompatible {
    /// Entries of folders say what they name.
    pub const FILE_TYPES: u32 = 2;
    /// Files are maps of extents.
    pub const EXTENTS: u32 = 0x40;
    /// Block numbers have 64 bits.
    pub const SIXTY_FOUR_BIT: u32 = 0x80;
}
/// Features that a kernel must know to write.
mod read_only_compatible {
    pub const SPARSE_SUPERBLOCKS: u32 = 1;
    pub const LARGE_FILES: u32 = 2;
    pub const HUGE_FILES: u32 = 8;
    pub const MANY_SUBFOLDERS: u32 = 0x20;
    pub const EXTRA_INODE_BYTES: u32 = 0x40;
    pub const METADATA_CHECKSUMS: u32 = 0x400;
}
/// A group's flags.
mod group_flags {
    pub const INODES_UNUSED: u16 = 1;
    pub const BLOCKS_UNUSED: u16 = 2;
    pub const TABLE_ZEROED: u16 = 4;
}

/// Renders the structures of one new file system.
#[derive(Debug)]
pub struct Renderer<'a> {
    layout: &'a Layout,
    identity: &'a Identity<'a>,
    seed: Checksum,
}

impl<'a> Renderer<'a> {
    /// For a layout and an identity.
    pub fn new(layout: &'a Layout, identity: &'a Identity<'a>) -> Self {
        let seed = Checksum::START.over(identity.uuid.as_bytes());
        Self { layout, identity, seed }
    }

    /// The superblock, or the copy of it in a group.
    pub fn superblock(&self, group: u64) -> Vec<u8> {
        let layout = self.layout;
        let mut out = Bytes::zeros(1024);
        out.u32(0x00, layout.inodes_per_group * layout.groups);
        out.split(0x04, 0x150, layout.blocks);
        out.split(0x0c, 0x158, layout.free_blocks());
        out.u32(0x10, layout.inodes_per_group * layout.groups - FIRST_FREE_INODE);
        out.u32(0x18, 2_u32).u32(0x1c, 2_u32);
        out.u32(0x20, GROUP_BLOCKS).u32(0x24, GROUP_BLOCKS).u32(0x28, layout.inodes_per_group);
        out.u32(0x30, self.identity.created);
        // Never checked for having been mounted often or long ago; remounted read-only on errors.
        out.u16(0x36, 0xffff_u32).u16(0x38, 0xef53_u32).u16(0x3a, 1_u32).u16(0x3c, 2_u32);
        out.u32(0x40, self.identity.created).u32(0x4c, 1_u32);
        out.u32(0x54, FIRST_FREE_INODE).u16(0x58, INODE).u16(0x5a, group & 0xffff);
        out.u32(
            0x5c,
            compatible::JOURNAL | compatible::EXTENDED_ATTRIBUTES | compatible::HASHED_FOLDERS,
        );
        out.u32(
            0x60,
            incompatible::FILE_TYPES | incompatible::EXTENTS | incompatible::SIXTY_FOUR_BIT,
        );
        out.u32(
            0x64,
            read_only_compatible::SPARSE_SUPERBLOCKS
                | read_only_compatible::LARGE_FILES
                | read_only_compatible::HUGE_FILES
                | read_only_compatible::MANY_SUBFOLDERS
                | read_only_compatible::EXTRA_INODE_BYTES
                | read_only_compatible::METADATA_CHECKSUMS,
        );
        out.put(0x68, self.identity.uuid.as_bytes());
        let label = self.identity.label.as_bytes();
        out.put(0x78, label.get(..16).unwrap_or(label));
        out.u32(0xe0, JOURNAL);
        // The seed of folders' hashes needs to be different, not secret.
        out.put(0xec, self.identity.uuid.as_bytes());
        const HALF_MD4: u8 = 1;
        const JOURNAL_IS_COPIED_BELOW: u8 = 1;
        out.put(0xfc, &[HALF_MD4, JOURNAL_IS_COPIED_BELOW]).u16(0xfe, DESCRIPTOR);
        const USER_ATTRIBUTES_AND_ACLS: u32 = 0xc;
        out.u32(0x100, USER_ATTRIBUTES_AND_ACLS).u32(0x108, self.identity.created);
        out.put(0x10c, &extent(layout.journal_first, layout.journal_blocks));
        out.u32(0x10c + 16 * 4, layout.journal_blocks * BLOCK);
        out.u16(0x15c, EXTRA_INODE_BYTES).u16(0x15e, EXTRA_INODE_BYTES);
        const SIGNED_HASH: u32 = 1;
        const CRC32C: u8 = 1;
        out.u32(0x160, SIGNED_HASH).put(0x175, &[CRC32C]);
        let checksum = Checksum::START.over(out.first(0x3fc));
        out.u32(0x3fc, checksum.value());
        out.0
    }

    /// All group descriptors, filled up to whole blocks.
    pub fn group_descriptors(&self) -> Vec<u8> {
        let mut all: Vec<u8> =
            (0..self.layout.groups).flat_map(|group| self.group_descriptor(group)).collect();
        all.resize(in_memory(self.layout.descriptor_blocks * BLOCK), 0);
        all
    }

    fn group_descriptor(&self, group: u64) -> Vec<u8> {
        let layout = self.layout;
        let (is_first, is_last) = (group == 0, group == layout.groups - 1);
        let inodes = layout.inodes_per_group - if is_first { FIRST_FREE_INODE } else { 0 };
        let folders: u64 = if is_first { 2 } else { 0 };
        let mut flags = 0;
        if is_first {
            flags |= group_flags::TABLE_ZEROED;
        } else {
            flags |= group_flags::INODES_UNUSED;
        }
        if !is_first && !is_last {
            flags |= group_flags::BLOCKS_UNUSED;
        }
        let mut out = Bytes::zeros(DESCRIPTOR);
        out.split(0x00, 0x20, layout.block_bitmap(group));
        out.split(0x04, 0x24, layout.inode_bitmap(group));
        out.split(0x08, 0x28, layout.inode_table(group));
        out.u16(0x0c, layout.blocks_in(group) - layout.used_in(group));
        out.u16(0x0e, inodes).u16(0x10, folders).u16(0x12, flags).u16(0x1c, inodes);
        if is_first || is_last {
            let [low, high] = self.seed.over(&self.block_bitmap(group)).halves();
            out.put(0x18, &low).put(0x38, &high);
        }
        if is_first {
            let bitmap = self.first_inode_bitmap();
            let counted = bitmap.get(..in_memory(layout.inodes_per_group / 8));
            let [low, high] = self.seed.over(counted.unwrap_or(&bitmap)).halves();
            out.put(0x1a, &low).put(0x3a, &high);
        }
        let number = u32::try_from(group).unwrap_or(u32::MAX).to_le_bytes();
        let [low, _high] = self.seed.over(&number).over(&out.0).halves();
        out.put(0x1e, &low);
        out.0
    }

    /// A group's block bitmap.
    pub fn block_bitmap(&self, group: u64) -> Vec<u8> {
        let used = self.layout.used_in(group);
        let end = self.layout.blocks_in(group);
        bitmap(|block| block < used || block >= end)
    }

    /// The first group's inode bitmap.
    pub fn first_inode_bitmap(&self) -> Vec<u8> {
        bitmap(|inode| inode < FIRST_FREE_INODE || inode >= self.layout.inodes_per_group)
    }

    /// The inodes that are in use in a new file system: the first blocks of the inode table.
    pub fn first_inodes(&self) -> Vec<u8> {
        let layout = self.layout;
        let mut out = Bytes::zeros(BLOCK);
        let mut put = |number: u32, mode: u16, links: u16, first: u64, blocks: u64| {
            let inode = self.inode(number, mode, links, first, blocks);
            out.put(in_memory(u64::from(number - 1) * INODE), &inode);
        };
        put(ROOT, MODE_FOLDER | 0o755, 3, layout.root_block, 1);
        put(JOURNAL, MODE_FILE | 0o600, 1, layout.journal_first, layout.journal_blocks);
        put(LOST_AND_FOUND, MODE_FOLDER | 0o700, 2, layout.lost_and_found_block, 1);
        // The file system's own inodes are checked even where they are empty.
        for number in (1..FIRST_FREE_INODE).filter_map(|n| u32::try_from(n).ok()) {
            if number != ROOT && number != JOURNAL {
                let inode = self.with_checksum(number, Bytes::zeros(INODE));
                out.put(in_memory(u64::from(number - 1) * INODE), &inode);
            }
        }
        out.0
    }

    fn inode(&self, number: u32, mode: u16, links: u16, first: u64, blocks: u64) -> Vec<u8> {
        const SECTORS_PER_BLOCK: u64 = BLOCK / 512;
        let mut out = Bytes::zeros(INODE);
        out.u16(0x00, mode).u32(0x04, blocks * BLOCK);
        for time in [0x08, 0x0c, 0x10, 0x90] {
            out.u32(time, self.identity.created);
        }
        out.u16(0x1a, links).u32(0x1c, blocks * SECTORS_PER_BLOCK).u32(0x20, USES_EXTENTS);
        out.put(0x28, &extent(first, blocks));
        out.u16(0x80, EXTRA_INODE_BYTES);
        self.with_checksum(number, out)
    }

    fn with_checksum(&self, number: u32, mut inode: Bytes) -> Vec<u8> {
        const GENERATION: [u8; 4] = [0; 4];
        let checksum = self.seed.over(&number.to_le_bytes()).over(&GENERATION).over(&inode.0);
        let [low, high] = checksum.halves();
        inode.put(0x7c, &low);
        // The upper half lies in the extra bytes, which an empty inode doesn't have.
        if inode.0.get(0x80..0x82) == Some(&EXTRA_INODE_BYTES.to_le_bytes()) {
            inode.put(0x82, &high);
        }
        inode.0
    }

    /// The root folder's block.
    pub fn root_folder(&self) -> Vec<u8> {
        self.folder(ROOT, &[(ROOT, "."), (ROOT, ".."), (LOST_AND_FOUND, "lost+found")])
    }

    /// The block of `lost+found`.
    pub fn lost_and_found(&self) -> Vec<u8> {
        self.folder(LOST_AND_FOUND, &[(LOST_AND_FOUND, "."), (ROOT, "..")])
    }

    fn folder(&self, number: u32, entries: &[(u32, &str)]) -> Vec<u8> {
        const IS_FOLDER: u8 = 2;
        const TAIL: usize = 12;
        const TAIL_MARK: u8 = 0xde;
        let mut out = Bytes::zeros(BLOCK);
        let tail = out.0.len() - TAIL;
        let mut at = 0;
        for (index, (inode, name)) in entries.iter().enumerate() {
            let is_last = index + 1 == entries.len();
            let length = if is_last { tail - at } else { (8 + name.len()).next_multiple_of(4) };
            out.u32(at, *inode).u16(at + 4, length as u64);
            out.put(at + 6, &[u8::try_from(name.len()).unwrap_or(0), IS_FOLDER]);
            out.put(at + 8, name.as_bytes());
            at += length;
        }
        let checksum = self.seed.over(&number.to_le_bytes()).over(&[0; 4]).over(out.first(tail));
        out.u16(tail + 4, TAIL as u64).put(tail + 7, &[TAIL_MARK]);
        out.u32(tail + 8, checksum.value());
        out.0
    }

    /// The journal's superblock; its numbers have the high byte first.
    pub fn journal_superblock(&self) -> Vec<u8> {
        const MAGIC: u32 = 0xc03b_3998;
        const SUPERBLOCK_VERSION_2: u32 = 4;
        let mut out = Bytes::zeros(BLOCK);
        out.big(0x00, MAGIC).big(0x04, SUPERBLOCK_VERSION_2);
        out.big(0x0c, BLOCK).big(0x10, self.layout.journal_blocks);
        // The log begins at block 1 with transaction 1, and is empty (starts at 0).
        out.big(0x14, 1_u32).big(0x18, 1_u32);
        out.put(0x30, self.identity.uuid.as_bytes()).big(0x40, 1_u32);
        out.0
    }
}

/// The root of an extent tree with one extent, as an inode holds it.
fn extent(first: u64, blocks: u64) -> Vec<u8> {
    let mut out = Bytes::zeros(60);
    out.u16(0, 0xf30a_u32).u16(2, 1_u32).u16(4, 4_u32);
    out.u16(12 + 4, blocks).u16(12 + 6, first >> 32).u32(12 + 8, first & 0xffff_ffff);
    out.0
}

/// One block of bitmap.
fn bitmap(is_set: impl Fn(u64) -> bool) -> Vec<u8> {
    (0..BLOCK)
        .map(|byte| (0..8).fold(0, |bits, bit| bits | u8::from(is_set(byte * 8 + bit)) << bit))
        .collect()
}

fn in_memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Zeros of which some are overwritten. What lies outside, or doesn't fit its field, is a fault
/// of the layout and ends in a panic rather than in a broken file system.
struct Bytes(Vec<u8>);

impl Bytes {
    fn zeros(length: u64) -> Self {
        Self(vec![0; in_memory(length)])
    }

    fn first(&self, length: usize) -> &[u8] {
        &self.0[..length]
    }

    fn put(&mut self, at: usize, bytes: &[u8]) -> &mut Self {
        self.0[at..at + bytes.len()].copy_from_slice(bytes);
        self
    }

    fn u16(&mut self, at: usize, value: impl Into<u64>) -> &mut Self {
        let value = u16::try_from(value.into()).expect("the layout keeps 16-bit fields in range");
        self.put(at, &value.to_le_bytes())
    }

    fn u32(&mut self, at: usize, value: impl Into<u64>) -> &mut Self {
        let value = u32::try_from(value.into()).expect("the layout keeps 32-bit fields in range");
        self.put(at, &value.to_le_bytes())
    }

    fn big(&mut self, at: usize, value: impl Into<u64>) -> &mut Self {
        let value = u32::try_from(value.into()).expect("the layout keeps 32-bit fields in range");
        self.put(at, &value.to_be_bytes())
    }

    /// A number whose upper half is stored elsewhere.
    fn split(&mut self, low: usize, high: usize, value: u64) -> &mut Self {
        self.u32(low, value & 0xffff_ffff).u32(high, value >> 32)
    }
}
