//! The legacy LZ4 frame: a magic number, then blocks that don't depend on each other.

use super::{Codec, UnpackError};
use crate::bytes::{slice, u32_at};

const MAGIC_BYTES: usize = 4;
/// What each block but the last unpacks to.
const BLOCK_BYTES: usize = 8 << 20;
/// The most that a block can be packed to: LZ4's worst case grows by 1 in 255.
const MAX_PACKED_BYTES: usize = BLOCK_BYTES + BLOCK_BYTES / 255 + 16;

const fn damaged(what: &'static str) -> UnpackError {
    UnpackError::Damaged { codec: Codec::Lz4, what }
}

/// Unpacks the blocks of `stream` so that they fill `into`.
pub(super) fn unpack(stream: &[u8], into: &mut [u8]) -> Result<(), UnpackError> {
    let wrong_length = UnpackError::WrongLength { codec: Codec::Lz4, expected: into.len() };
    let mut rest = stream.get(MAGIC_BYTES..).ok_or(damaged("it is cut short"))?;
    let mut into = into;
    while !rest.is_empty() {
        let len = u32_at(rest, 0).ok_or(damaged("it is cut short"))?;
        if len as usize > MAX_PACKED_BYTES {
            return Err(damaged("a block is longer than 8 MiB"));
        }
        let block = slice(rest, 4, u64::from(len)).ok_or(damaged("it is cut short"))?;
        rest = rest.get(4..).and_then(|rest| rest.get(block.len()..)).unwrap_or(&[]);
        let room = into.len().min(BLOCK_BYTES);
        let space = into.get_mut(..room).unwrap_or(&mut []);
        let produced =
            lz4_flex::block::decompress_into(block, space).map_err(|error| match error {
                lz4_flex::block::DecompressError::OutputTooSmall { .. } => wrong_length,
                _ => damaged("a block is not LZ4"),
            })?;
        into = into.split_at_mut(produced).1;
    }
    if into.is_empty() { Ok(()) } else { Err(wrong_length) }
}
