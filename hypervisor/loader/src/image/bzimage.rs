//! The Linux boot protocol's header, as far as it takes to find the payload.
//!
//! Source: Linux `Documentation/arch/x86/boot.rst`.

use super::ImageError;
use crate::bytes::{slice, u16_at, u32_at};
use crate::unpack::Codec;

const SETUP_SECTS: usize = 0x1F1;
const SIGNATURE: usize = 0x202;
const VERSION: usize = 0x206;
const PAYLOAD_OFFSET: usize = 0x248;
const PAYLOAD_LENGTH: usize = 0x24C;

/// The first protocol with payload offset and length.
const MIN_VERSION: u16 = 0x0208;
const SECTOR_BYTES: u64 = 512;
/// What 0 setup sectors means.
const DEFAULT_SETUP_SECTS: u8 = 4;

/// The bytes of a bzImage's payload: a packed stream with its trailer.
pub(super) fn payload(file: &[u8]) -> Result<&[u8], ImageError> {
    if file.get(SIGNATURE..).is_none_or(|rest| !rest.starts_with(b"HdrS")) {
        return Err(ImageError::UnknownFormat);
    }
    let header = || ImageError::Truncated { what: "boot header" };
    let version = u16_at(file, VERSION).ok_or_else(header)?;
    if version < MIN_VERSION {
        return Err(ImageError::OldBootProtocol { version });
    }
    let setup_sects = match file.get(SETUP_SECTS).copied().ok_or_else(header)? {
        0 => DEFAULT_SETUP_SECTS,
        sects => sects,
    };
    let offset = u32_at(file, PAYLOAD_OFFSET).ok_or_else(header)?;
    let length = u32_at(file, PAYLOAD_LENGTH).ok_or_else(header)?;
    // The boot sector, the setup sectors, then the protected-mode part that the offset is
    // relative to: at most 256 * 512 + 2^32.
    let start = u64::from(setup_sects)
        .saturating_add(1)
        .saturating_mul(SECTOR_BYTES)
        .saturating_add(u64::from(offset));
    slice(file, start, u64::from(length)).ok_or(ImageError::Truncated { what: "payload" })
}

/// Splits off the four bytes of unpacked length that the kernel's build appends. Gzip has them
/// as part of its own format, so there they stay.
pub(super) fn split_trailer(codec: Codec, payload: &[u8]) -> Result<(&[u8], usize), ImageError> {
    let (stream, trailer) =
        payload.split_last_chunk::<4>().ok_or(ImageError::Truncated { what: "payload" })?;
    let len = u32::from_le_bytes(*trailer) as usize;
    Ok((if codec == Codec::Gzip { payload } else { stream }, len))
}
