//! The .xz format as kernels are packed in it: LZMA2, after a filter for x86 code, checked by
//! CRC32. The output is its own dictionary.
//!
//! Containers here; [`lzma2`] takes chunks, [`lzma`] decodes them with [`range`], [`filter`]
//! undoes the filter.
//!
//! Source: The .xz File Format 1.2.1; LZMA has no specification but its decoders.

mod filter;
mod lzma;
mod lzma2;
mod range;

use super::{CUT_SHORT, Codec, OTHER_CHECK, OTHER_FILTER, Outcome, UnpackError, named};
use crate::bytes::u32_at;

const HEADER_BYTES: usize = 12;
const CHECK_NONE: u8 = 0;
const CHECK_CRC32: u8 = 1;
const FILTER_X86: u64 = 0x04;
const FILTER_LZMA2: u64 = 0x21;

/// Unpacks the blocks of `stream` so that they fill `into`. Takes 48 KiB of heap.
pub(super) fn unpack(stream: &[u8], into: &mut [u8]) -> Result<(), UnpackError> {
    let expected = into.len();
    let done = blocks(stream, into).map_err(named(Codec::Xz, expected))?;
    if done == expected {
        Ok(())
    } else {
        Err(UnpackError::WrongLength { codec: Codec::Xz, expected })
    }
}

/// Unpacks all blocks; gives the length of what they hold.
fn blocks(stream: &[u8], out: &mut [u8]) -> Outcome<usize> {
    let (header, mut rest) = stream.split_at_checked(HEADER_BYTES).ok_or(CUT_SHORT)?;
    let check = match header {
        [_, _, _, _, _, _, 0, check @ (CHECK_NONE | CHECK_CRC32), ..] => *check,
        _ => return Err(OTHER_CHECK),
    };
    let mut done = 0;
    loop {
        // The first byte is a block's length, or zero where the index starts.
        let len = match rest.first().ok_or(CUT_SHORT)? {
            0 => return Ok(done),
            len => usize::from(*len).saturating_add(1).saturating_mul(4),
        };
        let (block, data) = rest.split_at_checked(len).ok_or(CUT_SHORT)?;
        let x86 = Block::parse(block)?.x86;
        let out = out.get_mut(done..).unwrap_or(&mut []);
        let (read, written) = lzma2::unpack(data, out)?;
        let content = out.get_mut(..written).unwrap_or(&mut []);
        if x86 {
            filter::undo(content);
        }
        // Blocks are padded to four bytes, then comes the check.
        let end = data.get(read.next_multiple_of(4)..).ok_or(CUT_SHORT)?;
        rest = if check == CHECK_CRC32 {
            if u32_at(end, 0).ok_or(CUT_SHORT)? != crc32fast::hash(content) {
                return Err("its checksum doesn't match");
            }
            end.get(4..).unwrap_or(&[])
        } else {
            end
        };
        done = done.saturating_add(written);
    }
}

/// What a block's header says.
struct Block {
    /// The filter for x86 code was applied.
    x86: bool,
}

impl Block {
    fn parse(header: &[u8]) -> Outcome<Self> {
        const HAS_PACKED_LEN: u8 = 1 << 6;
        const HAS_LEN: u8 = 1 << 7;
        let (fields, crc) = header.split_last_chunk::<4>().ok_or(CUT_SHORT)?;
        if crc32fast::hash(fields) != u32::from_le_bytes(*crc) {
            return Err("a block's header is damaged");
        }
        let flags = *fields.get(1).ok_or(CUT_SHORT)?;
        let mut rest = fields.get(2..).unwrap_or(&[]);
        for length in [HAS_PACKED_LEN, HAS_LEN] {
            if flags & length != 0 {
                number(&mut rest)?;
            }
        }
        let mut filters = [(0, 0); 4];
        let count = usize::from(flags & 3).saturating_add(1);
        for filter in filters.iter_mut().take(count) {
            let id = number(&mut rest)?;
            let len = usize::try_from(number(&mut rest)?).map_err(|_| CUT_SHORT)?;
            let (_, after) = rest.split_at_checked(len).ok_or(CUT_SHORT)?;
            *filter = (id, len);
            rest = after;
        }
        // The x86 filter's only property would be where its addresses start; it is left out.
        match filters.get(..count) {
            Some([(FILTER_LZMA2, 1)]) => Ok(Self { x86: false }),
            Some([(FILTER_X86, 0), (FILTER_LZMA2, 1)]) => Ok(Self { x86: true }),
            _ => Err(OTHER_FILTER),
        }
    }
}

/// Takes a number of up to 9 bytes, seven bits in each.
fn number(bytes: &mut &[u8]) -> Outcome<u64> {
    const MORE: u8 = 0x80;
    let mut value = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first().ok_or(CUT_SHORT)?;
        *bytes = rest;
        value |= u64::from(byte & !MORE) << shift;
        if byte & MORE == 0 {
            return Ok(value);
        }
    }
    Err("a block's header is damaged")
}
