//! Kernel files: a Linux bzImage with its packed ELF, or a bare ELF.
//!
//! The way from a file to memory is [`Image::parse`], [`Image::unpack`] (into memory of
//! [`Image::unpacked_len`] bytes), [`Kernel::parse`], [`Kernel::load`].

mod bzimage;
mod elf;
mod error;
mod notes;
#[cfg(test)]
mod tests;

pub use elf::{Kernel, Segment};
pub use error::ImageError;
pub use notes::{Features, Relocation};

use crate::unpack::{Codec, UnpackError};

/// The largest unpacked kernel that is believed. Debian's are near 60 MiB.
pub const MAX_UNPACKED_BYTES: usize = 512 << 20;

/// A kernel file whose outer format is understood.
#[derive(Clone, Copy, Debug)]
pub struct Image<'a> {
    /// How the ELF is packed; `None` means that `payload` is the ELF itself.
    codec: Option<Codec>,
    /// The packed stream, without the kernel build's length trailer where that is extra.
    payload: &'a [u8],
    unpacked_len: usize,
}

impl<'a> Image<'a> {
    /// Recognises a kernel file.
    ///
    /// # Errors
    /// The file is neither a bzImage with a known codec nor an ELF, or it is cut short.
    pub fn parse(file: &'a [u8]) -> Result<Self, ImageError> {
        if file.starts_with(&elf::MAGIC) {
            return Ok(Self { codec: None, payload: file, unpacked_len: file.len() });
        }
        let payload = bzimage::payload(file)?;
        if payload.starts_with(&elf::MAGIC) {
            return Ok(Self { codec: None, payload, unpacked_len: payload.len() });
        }
        let codec = Codec::detect(payload).ok_or_else(|| ImageError::unknown_codec(payload))?;
        let (payload, unpacked_len) = bzimage::split_trailer(codec, payload)?;
        if unpacked_len > MAX_UNPACKED_BYTES {
            return Err(ImageError::UnpackedTooLong { bytes: unpacked_len });
        }
        Ok(Self { codec: Some(codec), payload, unpacked_len })
    }

    /// How the ELF inside is packed; `None` if it is not.
    pub const fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// The ELF, if it is not packed: [`Self::unpack`] would only copy it.
    pub fn elf(&self) -> Option<&'a [u8]> {
        self.codec.is_none().then_some(self.payload)
    }

    /// The unpacked ELF's length in bytes: what [`Self::unpack`] needs as destination.
    pub const fn unpacked_len(&self) -> usize {
        self.unpacked_len
    }

    /// Unpacks the ELF into the start of `into` and gives that part back.
    ///
    /// Besides `into`, at most 256 KiB of heap is used while it runs.
    ///
    /// # Errors
    /// The stream is damaged, its length differs from [`Self::unpacked_len`], or `into` is too
    /// small. What `into` holds then is unspecified.
    pub fn unpack<'b>(&self, into: &'b mut [u8]) -> Result<&'b [u8], ImageError> {
        let have = into.len();
        let into = into
            .get_mut(..self.unpacked_len)
            .ok_or(UnpackError::DestinationTooSmall { have, need: self.unpacked_len })?;
        match self.codec {
            None => into.copy_from_slice(self.payload),
            Some(codec) => codec.unpack(self.payload, into)?,
        }
        Ok(into)
    }
}
