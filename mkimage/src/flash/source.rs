//! The image, piece by piece from its beginning.

use super::{Error, PIECE};
use crate::fs::{self, Context};
use disk_formats::blocks::is_zero;
use disk_formats::bmap::Bmap;
use disk_formats::convert::{self, Format};
use disk_formats::raw::Raw;
use disk_formats::{Disk, zst};
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

/// A piece of an image.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// Bytes, not all of them zero.
    Content(Vec<u8>),
    /// So many zeros.
    Zeros(usize),
}

impl Piece {
    /// Its length in bytes.
    pub fn length(&self) -> usize {
        match self {
            Self::Content(bytes) => bytes.len(),
            Self::Zeros(length) => *length,
        }
    }
}

/// An image that is read from its beginning to its end.
pub struct Source {
    path: PathBuf,
    content: Content,
    /// Where the next piece begins.
    position: u64,
    map: Option<MapCheck>,
}

enum Content {
    Raw(Raw),
    Packed(Box<zst::Decoder<File>>),
}

impl Source {
    /// Opens an image, and the block map beside it if there is one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let mut file = fs::open(path)?;
        let image = |reason: String| Error::Image { path: path.to_owned(), reason };
        let format = convert::detect(&file).map_err(|error| image(error.to_string()))?;
        file.rewind().at("read", path)?;
        let content = match format {
            Format::Raw => Content::Raw(Raw::open(file).map_err(|error| image(error.to_string()))?),
            Format::RawZst => Content::Packed(Box::new(zst::Decoder::new(file))),
            other => {
                return Err(image(format!(
                    "it is {}, which no machine boots: `mkimage convert --to raw` makes it one \
                     that can be written",
                    other.name()
                )));
            }
        };
        let map = MapCheck::beside(path)?;
        let source = Self { path: path.to_owned(), content, position: 0, map };
        match (source.size(), source.map.as_ref().map(|check| check.map.size)) {
            (Some(size), Some(mapped)) if size != mapped => Err(source.wrong(format!(
                "its block map is of an image of {mapped} bytes, and it has {size}"
            ))),
            _ => Ok(source),
        }
    }

    /// The image's size in bytes, where it is known before its end.
    pub fn size(&self) -> Option<u64> {
        match &self.content {
            Content::Raw(disk) => Some(disk.size()),
            Content::Packed(_) => self.map.as_ref().map(|check| check.map.size),
        }
    }

    fn wrong(&self, reason: String) -> Error {
        Error::Image { path: self.path.clone(), reason }
    }

    /// The next piece; none at the end.
    pub fn next_piece(&mut self) -> Result<Option<Piece>, Error> {
        let piece = self.read().map_err(|error| self.wrong(error.to_string()))?;
        let Some(piece) = piece else {
            let size = self.position;
            let whole = self.map.as_ref().is_none_or(|check| check.is_done(size));
            return match whole {
                true => Ok(None),
                false => Err(self.wrong("it ends before its block map does".to_owned())),
            };
        };
        if let Some(check) = &mut self.map
            && let Err(reason) = check.see(self.position, &piece)
        {
            return Err(self.wrong(reason));
        }
        self.position += piece.length() as u64;
        Ok(Some(piece))
    }

    fn read(&mut self) -> disk_formats::Result<Option<Piece>> {
        let position = self.position;
        let bytes = match &mut self.content {
            Content::Raw(disk) => {
                let left = usize::try_from(disk.size() - position).unwrap_or(usize::MAX);
                let length = left.min(PIECE);
                let end = position + length as u64;
                let data = disk.next_data(position)?;
                if length > 0 && data.is_none_or(|data| data.start >= end) {
                    return Ok(Some(Piece::Zeros(length)));
                }
                let mut bytes = vec![0; length];
                disk.read_at(position, &mut bytes)?;
                bytes
            }
            Content::Packed(decoder) => {
                let mut bytes = Vec::with_capacity(PIECE);
                decoder.by_ref().take(PIECE as u64).read_to_end(&mut bytes)?;
                bytes
            }
        };
        Ok(match bytes.len() {
            0 => None,
            length if is_zero(&bytes) => Some(Piece::Zeros(length)),
            _ => Some(Piece::Content(bytes)),
        })
    }
}

/// Compares an image with its block map while it is read.
struct MapCheck {
    map: Bmap,
    /// The run that is being read or comes next.
    run: usize,
    hasher: Sha256,
}

impl MapCheck {
    fn beside(image: &Path) -> Result<Option<Self>, Error> {
        let path = image.with_added_extension("bmap");
        if !path.exists() {
            return Ok(None);
        }
        let map = Bmap::parse(&fs::read_text(&path)?)
            .map_err(|error| Error::Image { path, reason: error.to_string() })?;
        Ok(Some(Self { map, run: 0, hasher: Sha256::new() }))
    }

    /// Hashes what the piece at an offset has of the runs.
    fn see(&mut self, offset: u64, piece: &Piece) -> Result<(), String> {
        let end = offset + piece.length() as u64;
        while let Some(run) = self.map.runs.get(self.run) {
            let range = self.map.bytes(run);
            let (from, to) = (range.start.max(offset), range.end.min(end));
            if from >= to {
                break;
            }
            let within = |at: u64| usize::try_from(at - offset).unwrap_or(usize::MAX);
            match piece {
                Piece::Content(bytes) => {
                    self.hasher.update(bytes.get(within(from)..within(to)).unwrap_or_default());
                }
                Piece::Zeros(_) => self.hasher.update(vec![0; within(to) - within(from)]),
            }
            if to < range.end {
                break;
            }
            let sum: [u8; 32] = std::mem::take(&mut self.hasher).finalize().into();
            if sum != run.sha256 {
                return Err(format!(
                    "bytes {} to {} don't fit its block map: it is damaged",
                    range.start, range.end
                ));
            }
            self.run += 1;
        }
        Ok(())
    }

    fn is_done(&self, size: u64) -> bool {
        size == self.map.size && self.run == self.map.runs.len()
    }
}
