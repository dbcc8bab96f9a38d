//! What lies where: groups of 32768 blocks, each with its own bitmaps and inode table; the
//! journal and the first folders in the first group.

use thiserror::Error;

/// Bytes in a block.
pub const BLOCK: u64 = 4096;
/// Blocks in a group: as many as one block of bitmap has bits.
pub const GROUP_BLOCKS: u64 = 8 * BLOCK;
/// Bytes in an inode.
pub const INODE: u64 = 256;
/// Bytes in a group descriptor.
pub const DESCRIPTOR: u64 = 64;
/// The first inode that isn't the file system's own: `lost+found`.
pub const FIRST_FREE_INODE: u64 = 11;

/// One inode for this many bytes: the data partition holds few and large files.
const BYTES_PER_INODE: u64 = 64 << 10;
const INODES_PER_BLOCK: u64 = BLOCK / INODE;
/// What a group must have beyond its own structures to be worth its while.
const LEAST_USE: u64 = 64;
/// The smallest journal that the kernel accepts.
const LEAST_JOURNAL: u64 = 1024;

/// There is too little room for a file system with a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the partition has {bytes} bytes: too few for a file system; 8 MiB are enough")]
pub struct TooSmall {
    bytes: u64,
}

/// What lies where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    /// All blocks.
    pub blocks: u64,
    /// All groups.
    pub groups: u64,
    /// The blocks of the group descriptors.
    pub descriptor_blocks: u64,
    /// The inodes of each group.
    pub inodes_per_group: u64,
    /// The blocks of each group's inode table.
    pub inode_table_blocks: u64,
    /// The block of the root folder.
    pub root_block: u64,
    /// The block of `lost+found`.
    pub lost_and_found_block: u64,
    /// The journal's first block.
    pub journal_first: u64,
    /// The journal's blocks.
    pub journal_blocks: u64,
}

impl Layout {
    /// Lays out a file system of at most `bytes` bytes.
    ///
    /// # Errors
    /// When there is too little room.
    pub fn for_size(bytes: u64) -> Result<Self, TooSmall> {
        let mut layout = Self::of_blocks(bytes / BLOCK);
        // A last group with room for nothing but itself is left out.
        let last = layout.groups.saturating_sub(1);
        let in_last = layout.blocks.saturating_sub(layout.first_block(last));
        if last > 0 && in_last < layout.structures(last) + LEAST_USE {
            layout = Self::of_blocks(layout.first_block(last));
        }
        let used = layout.journal_first + layout.journal_blocks;
        if layout.blocks == 0 || used + LEAST_USE > layout.blocks.min(GROUP_BLOCKS) {
            return Err(TooSmall { bytes });
        }
        Ok(layout)
    }

    fn of_blocks(blocks: u64) -> Self {
        let groups = blocks.div_ceil(GROUP_BLOCKS).max(1);
        let descriptor_blocks = (groups * DESCRIPTOR).div_ceil(BLOCK);
        let inodes = (blocks * BLOCK / BYTES_PER_INODE).div_ceil(groups).max(FIRST_FREE_INODE);
        let inodes_per_group = inodes.next_multiple_of(INODES_PER_BLOCK);
        let inode_table_blocks = inodes_per_group / INODES_PER_BLOCK;
        let root_block = 1 + descriptor_blocks + 2 + inode_table_blocks;
        Self {
            blocks,
            groups,
            descriptor_blocks,
            inodes_per_group,
            inode_table_blocks,
            root_block,
            lost_and_found_block: root_block + 1,
            journal_first: root_block + 2,
            journal_blocks: journal_for(blocks),
        }
    }

    /// A group's first block.
    pub fn first_block(&self, group: u64) -> u64 {
        group * GROUP_BLOCKS
    }

    /// The blocks of a group; the last may have fewer than the others.
    pub fn blocks_in(&self, group: u64) -> u64 {
        (self.blocks - self.first_block(group)).min(GROUP_BLOCKS)
    }

    /// Whether a group begins with a superblock and descriptors: 0, 1, and powers of 3, 5, 7.
    pub fn has_superblock(&self, group: u64) -> bool {
        let is_power_of = |base: u64| {
            let mut power = base;
            while power < group {
                power *= base;
            }
            power == group
        };
        group <= 1 || is_power_of(3) || is_power_of(5) || is_power_of(7)
    }

    fn superblock_and_descriptors(&self, group: u64) -> u64 {
        if self.has_superblock(group) { 1 + self.descriptor_blocks } else { 0 }
    }

    /// The blocks at a group's start that hold its own structures.
    pub fn structures(&self, group: u64) -> u64 {
        self.superblock_and_descriptors(group) + 2 + self.inode_table_blocks
    }

    /// The blocks in use in a group when the file system is new.
    pub fn used_in(&self, group: u64) -> u64 {
        let first_files = if group == 0 { 2 + self.journal_blocks } else { 0 };
        self.structures(group) + first_files
    }

    /// The block of a group's block bitmap.
    pub fn block_bitmap(&self, group: u64) -> u64 {
        self.first_block(group) + self.superblock_and_descriptors(group)
    }

    /// The block of a group's inode bitmap.
    pub fn inode_bitmap(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 1
    }

    /// The first block of a group's inode table.
    pub fn inode_table(&self, group: u64) -> u64 {
        self.block_bitmap(group) + 2
    }

    /// The free blocks of the new file system.
    pub fn free_blocks(&self) -> u64 {
        (0..self.groups).map(|group| self.blocks_in(group) - self.used_in(group)).sum()
    }
}

/// The journal's size in blocks: small on small disks, never so large that it doesn't fit into
/// the first group in one piece.
fn journal_for(blocks: u64) -> u64 {
    match blocks {
        b if b < GROUP_BLOCKS => LEAST_JOURNAL,
        b if b < 8 * GROUP_BLOCKS => 4 * LEAST_JOURNAL,
        _ => 8 * LEAST_JOURNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn small_and_large() {
        let small = Layout::for_size(16 * MIB).unwrap();
        assert_eq!((small.groups, small.blocks, small.inodes_per_group), (1, 4096, 256));
        let large = Layout::for_size(1 << 40).unwrap();
        assert_eq!((large.groups, large.inodes_per_group), (8192, 2048));
        assert_eq!(large.descriptor_blocks, 128);
        assert!(Layout::for_size(4 * MIB).is_err() && Layout::for_size(0).is_err());
        assert!(Layout::for_size(8 * MIB).is_ok());
    }

    #[test]
    fn copies_of_the_superblock() {
        let layout = Layout::for_size(1 << 40).unwrap();
        let copies: Vec<u64> = (0..130).filter(|&g| layout.has_superblock(g)).collect();
        assert_eq!(copies, [0, 1, 3, 5, 7, 9, 25, 27, 49, 81, 125]);
    }

    #[test]
    fn a_useless_last_group_is_left_out() {
        let layout = Layout::for_size(128 * MIB + 40 * 4096).unwrap();
        assert_eq!((layout.groups, layout.blocks), (1, 32768));
    }

    proptest::proptest! {
        #[test]
        fn everything_has_room(bytes in 8 * MIB..4 << 40) {
            let layout = Layout::for_size(bytes).unwrap();
            proptest::prop_assert!(layout.blocks * BLOCK <= bytes);
            proptest::prop_assert!(bytes - layout.blocks * BLOCK < 2 * MIB + 64 * BLOCK);
            for group in [0, 1, layout.groups / 2, layout.groups - 1] {
                if group < layout.groups {
                    proptest::prop_assert!(layout.used_in(group) < layout.blocks_in(group));
                    proptest::prop_assert!(layout.inode_table(group) + layout.inode_table_blocks
                        == layout.first_block(group) + layout.structures(group));
                }
            }
        }
    }
}
