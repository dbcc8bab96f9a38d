//! A disk: what every image is once it is open.

use crate::Result;
use std::ops::Range;

/// A disk's content.
pub trait Disk {
    /// Its size in bytes.
    fn size(&self) -> u64;

    /// Fills a buffer from an offset; behind the end there are zeros.
    ///
    /// # Errors
    /// When the image is damaged or can't be read.
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()>;

    /// The next bytes at or behind an offset that may be other than zero, in bytes; none when only
    /// zeros follow. A range isn't empty, and begins at or behind the offset.
    ///
    /// # Errors
    /// When the image is damaged or can't be read.
    fn next_data(&mut self, from: u64) -> Result<Option<Range<u64>>>;
}

impl<D: Disk + ?Sized> Disk for Box<D> {
    fn size(&self) -> u64 {
        (**self).size()
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        (**self).read_at(offset, buffer)
    }

    fn next_data(&mut self, from: u64) -> Result<Option<Range<u64>>> {
        (**self).next_data(from)
    }
}

/// The part of a buffer at an offset that a disk of this size fills. The rest, which lies behind its
/// end, is zeros.
pub(crate) fn inside(size: u64, offset: u64, buffer: &mut [u8]) -> &mut [u8] {
    let left = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX);
    let (inside, behind) = buffer.split_at_mut(left.min(buffer.len()));
    behind.fill(0);
    inside
}

/// What the tables of an image say about a piece of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece {
    /// It holds zeros.
    Hole,
    /// There is something.
    Data,
}

/// [`Disk::next_data`] for images of equal pieces: asks about each in turn.
pub(crate) fn next_piece(
    from: u64,
    size: u64,
    piece_bytes: u64,
    mut kind: impl FnMut(u64) -> Result<Piece>,
) -> Result<Option<Range<u64>>> {
    if from >= size {
        return Ok(None);
    }
    let mut start = None;
    let mut index = from / piece_bytes;
    while index.saturating_mul(piece_bytes) < size {
        match (kind(index)?, start) {
            (Piece::Data, None) => start = Some((index * piece_bytes).max(from)),
            (Piece::Hole, Some(start)) => return Ok(Some(start..index * piece_bytes)),
            _ => {}
        }
        index += 1;
    }
    Ok(start.map(|start| start..size))
}

#[cfg(test)]
pub(crate) mod testing {
    use super::Disk;

    /// Whether two disks are of one size and hold the same, up to their end and behind it.
    pub(crate) fn assert_same(a: &mut dyn Disk, b: &mut dyn Disk) {
        assert_eq!(b.size(), a.size());
        let size = usize::try_from(a.size()).unwrap();
        let (mut of_a, mut of_b) = (vec![0; size + 9], vec![1; size + 9]);
        a.read_at(0, &mut of_a).unwrap();
        b.read_at(0, &mut of_b).unwrap();
        assert!(of_a == of_b);
    }
}
