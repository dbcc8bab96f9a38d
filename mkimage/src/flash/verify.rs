//! Reading back what was written, from the device itself and not from the kernel's cache.

use super::{Check, Error, PIECE, failed};
use crate::hash::Sha256;
use crate::progress::Step;
use disk_formats::blocks::is_zero;
use rustix::fs::{Advice, OFlags};
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::Path;

/// Direct reads go to addresses that are multiples of this.
const ALIGNMENT: usize = 4096;

/// Compares a device with what its pieces must be.
pub fn verify(device: &Path, written: File, size: u64, checks: &[Check]) -> Result<(), Error> {
    let step = Step::bytes("verifying", size);
    let reader = Reader::open(device, written, size);
    let mut buffer = vec![0; PIECE + ALIGNMENT];
    let start = buffer.as_ptr().align_offset(ALIGNMENT).min(ALIGNMENT);
    let mut offset = 0;
    for check in checks {
        let length = usize::try_from(size - offset).unwrap_or(PIECE).min(PIECE);
        let aligned = buffer.get_mut(start..start + PIECE).unwrap_or_default();
        reader
            .read(offset, length, aligned)
            .map_err(|error| failed(device, "read", offset, error))?;
        let bytes = aligned.get(..length).unwrap_or_default();
        let same = match check {
            Check::Zero => is_zero(bytes),
            Check::Content(sum) => Sha256::of(bytes) == *sum,
        };
        if !same {
            return Err(Error::Different { device: device.to_owned(), offset });
        }
        offset += length as u64;
        step.advance(i64::try_from(length).unwrap_or(0));
    }
    Ok(())
}

/// Reads past the cache where that is possible.
struct Reader {
    direct: Option<File>,
    cached: File,
}

impl Reader {
    fn open(device: &Path, written: File, size: u64) -> Self {
        // What is written by now needn't stay in the cache: for where direct reads aren't possible.
        let length = std::num::NonZeroU64::new(size);
        let _advice = rustix::fs::fadvise(&written, 0, length, Advice::DontNeed);
        let flags = OFlags::DIRECT.bits().cast_signed();
        let direct = File::options().read(true).custom_flags(flags).open(device).ok();
        Self { direct, cached: written }
    }

    /// Reads so many bytes into an aligned buffer.
    fn read(&self, offset: u64, length: usize, buffer: &mut [u8]) -> io::Result<()> {
        if let Some(direct) = &self.direct {
            // Whole sectors, as direct reads must be; the device may end before.
            let whole = buffer.get_mut(..length.next_multiple_of(ALIGNMENT)).unwrap_or_default();
            match direct.read_at(whole, offset) {
                Ok(count) if count >= length => return Ok(()),
                // A short read, or a file system that hasn't got it.
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::InvalidInput => {}
                Err(error) => return Err(error),
            }
        }
        self.cached.read_exact_at(buffer.get_mut(..length).unwrap_or_default(), offset)
    }
}
