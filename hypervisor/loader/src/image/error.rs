//! What can be wrong with a kernel file.

use core::fmt;

use crate::unpack::UnpackError;

/// Why a kernel file can't be started. The messages suit a prefix such as `dom0 kernel: `.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ImageError {
    /// Neither an ELF nor a bzImage.
    UnknownFormat,
    /// The file ends before what its header announces.
    Truncated {
        /// What lies (partly) outside the file.
        what: &'static str,
    },
    /// A bzImage whose boot protocol doesn't say where the payload is.
    OldBootProtocol {
        /// The protocol version of the file, major in the high byte.
        version: u16,
    },
    /// The payload's first bytes fit no codec.
    UnknownCodec {
        /// Those bytes.
        magic: [u8; 4],
        /// The codec's name, where it is a known one that isn't supported.
        name: Option<&'static str>,
    },
    /// The announced length is beyond belief.
    UnpackedTooLong {
        /// The announced length.
        bytes: usize,
    },
    /// The packed stream can't be decoded.
    Unpack(UnpackError),
    /// What was unpacked is not an ELF.
    NotElf,
    /// An ELF for another machine, or of the wrong kind.
    WrongElf {
        /// What it is not.
        what: &'static str,
    },
    /// Nothing to load.
    NoSegments,
    /// A program header that can't be honoured.
    BadSegment {
        /// Its index in the program header table.
        index: usize,
        /// What is wrong with it.
        what: &'static str,
    },
    /// No PVH entry point.
    NoPvhEntry,
    /// A Xen note whose contents can't be understood.
    BadNote {
        /// The note's name.
        name: &'static str,
    },
    /// The entry point lies in no segment.
    EntryOutside {
        /// The entry point's physical address.
        entry: u64,
    },
}

impl ImageError {
    /// Names the codec of a payload that this loader can't unpack.
    pub(crate) fn unknown_codec(payload: &[u8]) -> Self {
        let name = match payload {
            [b'B', b'Z', b'h', ..] => Some("bzip2"),
            [0x5D, 0, ..] => Some("lzma"),
            [0x89, b'L', b'Z', b'O', ..] => Some("lzo"),
            _ => None,
        };
        let mut magic = [0; 4];
        for (to, from) in magic.iter_mut().zip(payload) {
            *to = *from;
        }
        Self::UnknownCodec { magic, name }
    }
}

impl From<UnpackError> for ImageError {
    fn from(error: UnpackError) -> Self {
        Self::Unpack(error)
    }
}

impl fmt::Display for ImageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::UnknownFormat => write!(
                f,
                "kernel is neither a bzImage nor an ELF file; check the kernel's path in the boot \
                 entry"
            ),
            Self::Truncated { what } => {
                write!(f, "kernel file ends inside its {what}; copy the file again")
            }
            Self::OldBootProtocol { version } => write!(
                f,
                "bzImage has boot protocol {}.{:02}, which doesn't say where its payload is; use \
                 a kernel with protocol 2.08 or later (Linux 2.6.26)",
                version >> 8,
                version & 0xFF
            ),
            Self::UnknownCodec { name: Some(name), .. } => write!(
                f,
                "kernel is packed with {name}, which is not supported; use one packed with zstd, \
                 xz, gzip or lz4"
            ),
            Self::UnknownCodec { magic: [a, b, c, d], name: None } => write!(
                f,
                "kernel payload starts with {a:02x} {b:02x} {c:02x} {d:02x}, which is no known \
                 packing; use a kernel packed with zstd, xz, gzip or lz4"
            ),
            Self::UnpackedTooLong { bytes } => write!(
                f,
                "kernel announces {bytes} bytes when unpacked, more than {}; copy the file again",
                super::MAX_UNPACKED_BYTES
            ),
            Self::Unpack(error) => error.fmt(f),
            Self::NotElf => {
                write!(f, "kernel payload is not an ELF file; use an unmodified bzImage or vmlinux")
            }
            Self::WrongElf { what } => {
                write!(f, "kernel ELF is not {what}; use an x86 kernel executable")
            }
            Self::NoSegments => {
                write!(f, "kernel ELF has nothing to load; use a linked kernel executable")
            }
            Self::BadSegment { index, what } => write!(
                f,
                "kernel program header {index} {what}; the file is damaged or is not a kernel"
            ),
            Self::NoPvhEntry => write!(
                f,
                "kernel has no XEN_ELFNOTE_PHYS32_ENTRY: it can't start as a PVH domain; use a \
                 kernel built with CONFIG_PVH"
            ),
            Self::BadNote { name } => write!(
                f,
                "kernel note {name} has an impossible value; rebuild the kernel or use another"
            ),
            Self::EntryOutside { entry } => write!(
                f,
                "kernel entry point {entry:#x} is outside everything it loads; rebuild the kernel \
                 or use another"
            ),
        }
    }
}

impl core::error::Error for ImageError {}
