//! Decoders for packed kernels. Each writes straight into the destination, which is also its
//! window, so the memory need is the destination plus small tables.
//!
//! - [`Codec`]: which one, detected by its magic number.
//! - [`UnpackError`]: why a stream could not be unpacked.

mod copy;
mod gzip;
mod lz4;
#[cfg(test)]
mod tests;
mod xz;
mod zstd;

use core::fmt;

/// What decoding gives, or what is wrong with the stream.
type Outcome<T> = Result<T, &'static str>;

const CUT_SHORT: &str = "it is cut short";
/// Reported as [`UnpackError::WrongLength`].
const TOO_LONG: &str = "it holds more than its trailer announces";
/// These are reported as [`UnpackError::Unsupported`].
const DICTIONARY: &str = "a dictionary";
const OTHER_CHECK: &str = "a check other than CRC32";
const OTHER_FILTER: &str = "filters other than x86 and LZMA2";

/// A packing that kernels come in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Codec {
    /// Zstandard (RFC 8878).
    Zstd,
    /// The .xz format with LZMA2 and the x86 filter.
    Xz,
    /// Gzip (RFC 1952).
    Gzip,
    /// The legacy LZ4 frame.
    Lz4,
}

impl Codec {
    /// Recognises a stream by its first bytes.
    pub fn detect(stream: &[u8]) -> Option<Self> {
        match stream {
            [0x28, 0xB5, 0x2F, 0xFD, ..] => Some(Self::Zstd),
            [0xFD, b'7', b'z', b'X', b'Z', 0, ..] => Some(Self::Xz),
            [0x1F, 0x8B, ..] => Some(Self::Gzip),
            [0x02, 0x21, 0x4C, 0x18, ..] => Some(Self::Lz4),
            _ => None,
        }
    }

    /// The codec's usual name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Xz => "xz",
            Self::Gzip => "gzip",
            Self::Lz4 => "lz4",
        }
    }

    /// Unpacks `stream` so that it fills `into` exactly.
    ///
    /// # Errors
    /// The stream is damaged or unpacks to another length.
    pub fn unpack(self, stream: &[u8], into: &mut [u8]) -> Result<(), UnpackError> {
        match self {
            Self::Gzip => gzip::unpack(stream, into),
            Self::Lz4 => lz4::unpack(stream, into),
            Self::Zstd => zstd::unpack(stream, into),
            Self::Xz => xz::unpack(stream, into),
        }
    }
}

/// Makes an error of what a decoder found.
fn named(codec: Codec, expected: usize) -> impl Fn(&'static str) -> UnpackError {
    move |what| match what {
        TOO_LONG => UnpackError::WrongLength { codec, expected },
        DICTIONARY | OTHER_CHECK | OTHER_FILTER => UnpackError::Unsupported { codec, what },
        what => UnpackError::Damaged { codec, what },
    }
}

/// Why a stream could not be unpacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum UnpackError {
    /// The stream breaks its format's rules.
    Damaged {
        /// The stream's format.
        codec: Codec,
        /// What is wrong.
        what: &'static str,
    },
    /// The stream uses a part of its format that kernels don't.
    Unsupported {
        /// The stream's format.
        codec: Codec,
        /// What it uses.
        what: &'static str,
    },
    /// The stream holds less or more than its trailer says.
    WrongLength {
        /// The stream's format.
        codec: Codec,
        /// Bytes that the trailer announces.
        expected: usize,
    },
    /// The destination can't hold the result.
    DestinationTooSmall {
        /// Its length in bytes.
        have: usize,
        /// The length that it takes.
        need: usize,
    },
}

impl fmt::Display for UnpackError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Damaged { codec, what } => {
                write!(
                    f,
                    "kernel's {} payload is damaged: {what}; copy the file again",
                    codec.name()
                )
            }
            Self::Unsupported { codec, what } => write!(
                f,
                "kernel's {} payload uses {what}, which is not supported; repack the kernel",
                codec.name()
            ),
            Self::WrongLength { codec, expected } => write!(
                f,
                "kernel's {} payload doesn't unpack to the {expected} bytes that it announces; \
                 copy the file again",
                codec.name()
            ),
            Self::DestinationTooSmall { have, need } => write!(
                f,
                "kernel unpacks to {need} bytes, but only {have} are at hand; give the machine or \
                 dom0 more memory"
            ),
        }
    }
}

impl core::error::Error for UnpackError {}
