//! Writing an image to a device: what has content is written, what is to be zero is made so where
//! it isn't yet, and in the end everything is read back.
//!
//! [`target`] decides whether a device may be written at all; [`source`] goes through the image;
//! [`verify`] reads the device past the kernel's cache.

mod source;
mod target;
mod verify;

use crate::fs;
use crate::hash::Sha256;
use crate::progress::{self, Step};
use disk_formats::blocks::is_zero;
use source::{Piece, Source};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

pub use target::{System, Target};

/// The image is gone through in pieces of so many bytes.
const PIECE: usize = 1 << 20;

/// Why an image wasn't written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The image can't be read.
    #[error("{}: {reason}", .path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// The device must not be written.
    #[error("{} is not written: {reason}", .device.display())]
    Refused {
        /// The device.
        device: PathBuf,
        /// Why, and the way out.
        reason: String,
    },
    /// The device fails.
    #[error("{} fails when {doing} at byte {offset}: {source}; what it holds now is incomplete", .device.display())]
    Device {
        /// The device.
        device: PathBuf,
        /// `written` or `read`.
        doing: &'static str,
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
    /// The device doesn't hold what was written.
    #[error(
        "{} doesn't hold what was written to it, first between bytes {offset} and {}: it is worn \
         out, smaller than it says, or badly connected", .device.display(), .offset + PIECE as u64
    )]
    Different {
        /// The device.
        device: PathBuf,
        /// Where the first difference is, to a piece.
        offset: u64,
    },
    /// A file.
    #[error(transparent)]
    File(#[from] fs::Error),
}

/// What became of the bytes of an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Report {
    /// The image's size.
    pub size: u64,
    /// Bytes with content, which were written.
    pub written: u64,
    /// Bytes that weren't zero on the device, and were made so.
    pub cleared: u64,
}

/// What a piece of the device must read as.
enum Check {
    Zero,
    Content(Sha256),
}

/// Writes an image, raw or compressed by zstd, and verifies it. A block map beside the image
/// (`IMAGE.bmap`) checks the image itself.
///
/// # Errors
/// See [`Error`].
pub fn flash(image: &Path, target: &Target) -> Result<Report, Error> {
    let mut source = Source::open(image)?;
    if let Some(size) = source.size() {
        target.has_room(size)?;
    }
    let device = target.path();
    let file = target.open_for_writing()?;
    let (report, checks) = write(&mut source, device, &file, target.size())?;
    file.sync_all().map_err(|source| failed(device, "written", report.size, source))?;
    verify::verify(device, file, report.size, &checks)?;
    Ok(report)
}

fn failed(device: &Path, doing: &'static str, offset: u64, source: io::Error) -> Error {
    Error::Device { device: device.to_owned(), doing, offset, source }
}

fn write(
    source: &mut Source,
    device: &Path,
    file: &File,
    room: u64,
) -> Result<(Report, Vec<Check>), Error> {
    let step = Step::bytes("writing", source.size().unwrap_or(room));
    let mut report = Report::default();
    let mut checks = Vec::new();
    let mut there = vec![0; PIECE];
    while let Some(piece) = source.next_piece()? {
        let offset = report.size;
        if offset + piece.length() as u64 > room {
            return Err(Error::Refused {
                device: device.to_owned(),
                reason: format!(
                    "it has {}, and the image is larger; what it holds now is incomplete",
                    progress::human(room)
                ),
            });
        }
        let put = |bytes: &[u8]| {
            file.write_all_at(bytes, offset)
                .map_err(|error| failed(device, "written", offset, error))
        };
        match &piece {
            Piece::Content(bytes) => {
                put(bytes)?;
                report.written += bytes.len() as u64;
                checks.push(Check::Content(Sha256::of(bytes)));
            }
            Piece::Zeros(length) => {
                let there = there.get_mut(..*length).unwrap_or_default();
                file.read_exact_at(there, offset)
                    .map_err(|error| failed(device, "read", offset, error))?;
                if !is_zero(there) {
                    there.fill(0);
                    put(there)?;
                    report.cleared += *length as u64;
                }
                checks.push(Check::Zero);
            }
        }
        report.size += piece.length() as u64;
        step.advance(i64::try_from(piece.length()).unwrap_or(0));
    }
    Ok((report, checks))
}
