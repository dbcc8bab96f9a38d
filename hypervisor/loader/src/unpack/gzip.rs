//! Gzip (RFC 1952), one member.

use alloc::boxed::Box;

use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};

use super::{Codec, UnpackError};
use crate::bytes::{u16_at, u32_at};

const HEADER_BYTES: usize = 10;
const METHOD: usize = 2;
const METHOD_DEFLATE: u8 = 8;
const FLAGS: usize = 3;
const FLAG_HEADER_CRC: u8 = 1 << 1;
const FLAG_EXTRA: u8 = 1 << 2;
const FLAG_NAME: u8 = 1 << 3;
const FLAG_COMMENT: u8 = 1 << 4;

const fn damaged(what: &'static str) -> UnpackError {
    UnpackError::Damaged { codec: Codec::Gzip, what }
}

/// Unpacks the member at the start of `stream` so that it fills `into`.
pub(super) fn unpack(stream: &[u8], into: &mut [u8]) -> Result<(), UnpackError> {
    let deflated = skip_header(stream).ok_or(damaged("its header is cut short"))?;
    let wrong_length = UnpackError::WrongLength { codec: Codec::Gzip, expected: into.len() };
    // The decoder's tables are 10 KiB: too much for a stack.
    let mut decoder = Box::<DecompressorOxide>::default();
    let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
    let (status, consumed, produced) = decompress(&mut decoder, deflated, into, 0, flags);
    match status {
        TINFLStatus::Done if produced == into.len() => {}
        TINFLStatus::Done | TINFLStatus::HasMoreOutput => return Err(wrong_length),
        TINFLStatus::FailedCannotMakeProgress | TINFLStatus::NeedsMoreInput => {
            return Err(damaged("it is cut short"));
        }
        _ => return Err(damaged("it is not a deflate stream")),
    }
    let crc = u32_at(deflated, consumed).ok_or(damaged("its checksum is missing"))?;
    if crc32fast::hash(into) != crc {
        return Err(damaged("its checksum doesn't match"));
    }
    Ok(())
}

/// What follows the header and its optional fields.
fn skip_header(stream: &[u8]) -> Option<&[u8]> {
    if *stream.get(METHOD)? != METHOD_DEFLATE {
        return None;
    }
    let flags = *stream.get(FLAGS)?;
    let mut rest = stream.get(HEADER_BYTES..)?;
    if flags & FLAG_EXTRA != 0 {
        let len = usize::from(u16_at(rest, 0)?);
        rest = rest.get(2..)?.get(len..)?;
    }
    for flag in [FLAG_NAME, FLAG_COMMENT] {
        if flags & flag != 0 {
            let end = rest.iter().position(|byte| *byte == 0)?;
            rest = rest.get(end..)?.get(1..)?;
        }
    }
    if flags & FLAG_HEADER_CRC != 0 {
        rest = rest.get(2..)?;
    }
    Some(rest)
}
