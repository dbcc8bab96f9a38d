//! The literals section of a block (RFC 8878, 3.1.1.3.1).

use alloc::vec;
use alloc::vec::Vec;

use super::super::{CUT_SHORT, Outcome};
use super::huffman::Huffman;
use super::{Input, MAX_BLOCK_BYTES};

const IMPOSSIBLE: &str = "a literals section has an impossible size";

/// What literals sections leave for the next one, and where their bytes go.
pub(super) struct Literals {
    huffman: Huffman,
    /// Whether `huffman` was read: a section may ask for the previous one's tree.
    has_tree: bool,
    buffer: Vec<u8>,
}

impl Literals {
    pub(super) fn new() -> Self {
        Self { huffman: Huffman::new(), has_tree: false, buffer: vec![0; MAX_BLOCK_BYTES] }
    }

    /// Reads a block's literals.
    pub(super) fn read<'a>(&'a mut self, block: &mut Input<'a>) -> Outcome<&'a [u8]> {
        let first = *block.rest().first().ok_or(CUT_SHORT)?;
        let (kind, format) = (first & 3, (first >> 2) & 3);
        if kind >= 2 {
            return self.packed(block, kind == 2, format);
        }
        let (header_len, shift) = match format {
            1 => (2, 4),
            3 => (3, 4),
            _ => (1, 3),
        };
        let len = (block.number(header_len)? >> shift) as usize;
        if kind == 0 {
            return block.take(len);
        }
        let value = *block.take(1)?.first().ok_or(CUT_SHORT)?;
        let bytes = self.buffer.get_mut(..len).ok_or(IMPOSSIBLE)?;
        bytes.fill(value);
        Ok(bytes)
    }

    /// Huffman-coded literals, in one stream or four.
    fn packed(&mut self, block: &mut Input<'_>, own_tree: bool, format: u8) -> Outcome<&[u8]> {
        let (header_len, size_bits) = match format {
            0 | 1 => (3, 10),
            2 => (4, 14),
            _ => (5, 18),
        };
        let sizes = block.number(header_len)? >> 4;
        let mask = (1u64 << size_bits).wrapping_sub(1);
        let (len, packed_len) = ((sizes & mask) as usize, ((sizes >> size_bits) & mask) as usize);
        let mut packed = block.part(packed_len)?;
        if own_tree {
            self.huffman.read(&mut packed)?;
            self.has_tree = true;
        } else if !self.has_tree {
            return Err("a block uses a Huffman tree that no block before it has");
        }
        let out = self.buffer.get_mut(..len).ok_or(IMPOSSIBLE)?;
        if format == 0 {
            self.huffman.decode(&packed, out)?;
        } else {
            four_streams(&self.huffman, &mut packed, out)?;
        }
        Ok(out)
    }
}

/// Four streams, each good for a quarter of the literals; the last may be shorter.
fn four_streams(huffman: &Huffman, packed: &mut Input<'_>, out: &mut [u8]) -> Outcome<()> {
    let quarter = out.len().div_ceil(4);
    let sizes = [packed.number(2)?, packed.number(2)?, packed.number(2)?];
    let mut out = out;
    for size in sizes {
        let (part, rest) = out.split_at_mut_checked(quarter).ok_or(IMPOSSIBLE)?;
        huffman.decode(&packed.part(size as usize)?, part)?;
        out = rest;
    }
    huffman.decode(packed, out)
}
