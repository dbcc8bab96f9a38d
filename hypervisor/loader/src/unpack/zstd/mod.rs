//! Zstandard (RFC 8878), into memory that holds the whole output.
//!
//! The boot's largest computation, so it is written for few instructions: the output is its own
//! window (kernels are packed with a window of 128 MiB, which a streaming decoder would have to
//! buffer and copy), bit readers refill once per several symbols, and short copies are whole
//! 16-byte words. Sections 3 and 4 of the RFC are followed module by module: frames and blocks
//! here, then [`literals`] with [`huffman`], and [`sequences`] with [`fse`], [`bits`], [`step`].

mod bits;
mod fse;
mod huffman;
mod literals;
mod sequences;
mod step;

use twox_hash::XxHash64;

use self::literals::Literals;
use self::sequences::Sequences;
use super::{CUT_SHORT, Codec, DICTIONARY, Outcome, UnpackError, copy, named};
use crate::bytes::u32_at;

const MAGIC: u32 = 0xFD2F_B528;
/// `Block_Maximum_Size`, as far as the window doesn't make it smaller.
const MAX_BLOCK_BYTES: usize = 128 << 10;

/// Unpacks all frames of `stream` so that they fill `into`. Takes 150 KiB of heap.
pub(super) fn unpack(stream: &[u8], into: &mut [u8]) -> Result<(), UnpackError> {
    let expected = into.len();
    let mut input = Input { bytes: stream, at: 0 };
    let mut done = 0;
    while input.at < stream.len() {
        let out = into.get_mut(done..).unwrap_or(&mut []);
        let produced = frame(&mut input, out).map_err(named(Codec::Zstd, expected))?;
        done = done.saturating_add(produced);
    }
    if done == expected {
        Ok(())
    } else {
        Err(UnpackError::WrongLength { codec: Codec::Zstd, expected })
    }
}

/// The stream and how much of it was read. Bit streams are read from their end to their start,
/// eight bytes at a time; that they lie inside a longer stream is what makes this simple, so
/// readers get the whole of it.
struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    /// The next `len` bytes.
    fn take(&mut self, len: usize) -> Outcome<&'a [u8]> {
        let bytes = self.rest().get(..len).ok_or(CUT_SHORT)?;
        self.at = self.at.saturating_add(len);
        Ok(bytes)
    }

    /// The next bytes, as a number of up to 8 bytes.
    fn number(&mut self, len: usize) -> Outcome<u64> {
        let bytes = self.take(len)?;
        Ok(bytes.iter().rev().fold(0, |number, byte| (number << 8) | u64::from(*byte)))
    }

    /// Everything that wasn't read.
    fn rest(&self) -> &'a [u8] {
        self.bytes.get(self.at..).unwrap_or(&[])
    }

    /// The next `len` bytes as an input that ends there.
    fn part(&mut self, len: usize) -> Outcome<Input<'a>> {
        let at = self.at;
        self.take(len)?;
        Ok(Input { bytes: self.bytes.get(..self.at).ok_or(CUT_SHORT)?, at })
    }
}

/// What a block leaves for the next one.
struct State {
    literals: Literals,
    sequences: Sequences,
}

/// Unpacks one frame to the start of `out` and gives its length.
fn frame(input: &mut Input<'_>, out: &mut [u8]) -> Outcome<usize> {
    let checked = header(input)?;
    let mut state = State { literals: Literals::new(), sequences: Sequences::new() };
    let mut done = 0;
    loop {
        let header = input.number(3)? as usize;
        let (last, kind, len) = (header & 1 != 0, (header >> 1) & 3, header >> 3);
        done = match kind {
            0 => copy::exact(out, done, input.take(len)?)?,
            1 => copy::fill(out, done, len, *input.take(1)?.first().ok_or(CUT_SHORT)?)?,
            2 if len <= MAX_BLOCK_BYTES => {
                let mut block = input.part(len)?;
                let literals = state.literals.read(&mut block)?;
                state.sequences.run(&mut block, literals, out, done)?
            }
            _ => return Err("a block has an impossible header"),
        };
        if last {
            break;
        }
    }
    if checked {
        let content = out.get(..done).unwrap_or(&[]);
        // The low half of the hash is stored.
        if input.number(4)? != XxHash64::oneshot(0, content) & 0xFFFF_FFFF {
            return Err("its checksum doesn't match");
        }
    }
    Ok(done)
}

/// Reads a frame's header; says whether a checksum follows the blocks.
fn header(input: &mut Input<'_>) -> Outcome<bool> {
    const SINGLE_SEGMENT: u8 = 1 << 5;
    const CHECKSUM: u8 = 1 << 2;
    const RESERVED: u8 = 1 << 3;
    if u32_at(input.take(4)?, 0) != Some(MAGIC) {
        return Err("a frame doesn't start with the format's magic number");
    }
    let descriptor = *input.take(1)?.first().ok_or(CUT_SHORT)?;
    if descriptor & RESERVED != 0 {
        return Err("a frame's header has a reserved bit set");
    }
    let single = descriptor & SINGLE_SEGMENT != 0;
    if !single {
        // The window's size, which the output buffer exceeds anyway.
        input.take(1)?;
    }
    let dictionary = input.number([0, 1, 2, 4][usize::from(descriptor & 3)])?;
    if dictionary != 0 {
        return Err(DICTIONARY);
    }
    let content_size_len = match descriptor >> 6 {
        0 => usize::from(single),
        code => 1 << code,
    };
    input.take(content_size_len)?;
    Ok(descriptor & CHECKSUM != 0)
}
