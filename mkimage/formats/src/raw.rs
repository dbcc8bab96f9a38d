//! Raw images and block devices: a disk's bytes, with holes where there are only zeros.

use crate::disk;
use crate::{Disk, Error, Input, Result};
use rustix::fs::SeekFrom;
use rustix::io::Errno;
use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

/// What a sparse file is written in: holes are at least as large.
const BLOCK: usize = 4096;

/// A raw image.
#[derive(Debug)]
pub struct Raw {
    file: File,
    size: u64,
}

impl Raw {
    /// A file's content.
    ///
    /// # Errors
    /// When its size can't be found out.
    pub fn open(file: File) -> Result<Self> {
        let size = file.length()?;
        Ok(Self { file, size })
    }

    fn seek(&self, to: SeekFrom) -> Result<Option<u64>> {
        match rustix::fs::seek(&self.file, to) {
            Ok(at) => Ok(Some(at)),
            // Nothing there: behind the last data.
            Err(Errno::NXIO) => Ok(None),
            Err(error) => Err(Error::Io(error.into())),
        }
    }
}

impl Disk for Raw {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        Ok(self.file.read_exact_at(disk::inside(self.size, offset, buffer), offset)?)
    }

    fn next_data(&mut self, from: u64) -> Result<Option<Range<u64>>> {
        if from >= self.size {
            return Ok(None);
        }
        let start = match rustix::fs::seek(&self.file, SeekFrom::Data(from)) {
            // A device, or a file system, that knows no holes.
            Err(Errno::INVAL) => return Ok(Some(from..self.size)),
            Err(Errno::NXIO) => return Ok(None),
            Err(error) => return Err(Error::Io(error.into())),
            Ok(start) => start,
        };
        let end = self.seek(SeekFrom::Hole(start))?.unwrap_or(self.size);
        Ok(Some(start..end.min(self.size)).filter(|range| !range.is_empty()))
    }
}

/// Writes a disk into an empty file, leaving holes where there are zeros.
///
/// # Errors
/// When the disk can't be read, or the file can't be written.
pub fn write<D: Disk + ?Sized>(disk: &mut D, file: &File) -> Result<()> {
    let mut sparse = SparseWriter::new(file);
    let mut written = 0;
    crate::blocks::for_each(disk, 1 << 16, |number, block| {
        let at = number << 16;
        sparse.skip(at - written)?;
        sparse.put(block)?;
        written = at + block.len() as u64;
        Ok(())
    })?;
    // The last block may have been filled up behind the end.
    file.set_len(disk.size())?;
    Ok(())
}

/// Writes one byte after the other, leaving holes where there are zeros.
#[derive(Debug)]
pub struct SparseWriter<'a> {
    file: &'a File,
    position: u64,
}

impl<'a> SparseWriter<'a> {
    /// At the beginning of an empty file.
    pub fn new(file: &'a File) -> Self {
        Self { file, position: 0 }
    }

    /// How much was written.
    pub fn position(&self) -> u64 {
        self.position
    }

    /// Leaves so many zeros.
    ///
    /// # Errors
    /// When the file would become too large.
    pub fn skip(&mut self, bytes: u64) -> std::io::Result<()> {
        let end = self.position.checked_add(bytes).ok_or(std::io::ErrorKind::FileTooLarge)?;
        self.position = end;
        Ok(())
    }

    /// Writes bytes.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn put(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let to_boundary = BLOCK - usize::try_from(self.position % BLOCK as u64).unwrap_or(0);
            let is_hole = |part: &[u8]| crate::blocks::is_zero(part);
            // As much of one kind as there is, in whole blocks of the file.
            let (first, mut behind) = rest.split_at(to_boundary.min(rest.len()));
            let hole = is_hole(first);
            let mut length = first.len();
            while !behind.is_empty() {
                let (block, next) = behind.split_at(BLOCK.min(behind.len()));
                if is_hole(block) != hole {
                    break;
                }
                length += block.len();
                behind = next;
            }
            let (run, next) = rest.split_at(length);
            if !hole {
                self.file.write_all_at(run, self.position)?;
            }
            self.position += length as u64;
            rest = next;
        }
        Ok(())
    }

    /// Gives the file its size, which ends in zeros perhaps.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn finish(self) -> std::io::Result<u64> {
        self.file.set_len(self.position)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;

    #[test]
    fn holes_stay_holes() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(50_000_123).unwrap();
        from.write_all_at(&[1; 70_000], 10_000_000).unwrap();
        // Written, but zeros all the same.
        from.write_all_at(&[0; 1_000_000], 20_000_000).unwrap();
        from.write_all_at(&[2], 50_000_122).unwrap();
        let mut disk = Raw::open(from).unwrap();
        write(&mut disk, &to).unwrap();
        assert!(to.metadata().unwrap().blocks() * 512 < 300_000);
        let mut copy = Raw::open(to).unwrap();
        assert_eq!(copy.size(), 50_000_123);
        let (mut a, mut b) = (vec![0; 50_000_123], vec![1; 50_000_123]);
        disk.read_at(0, &mut a).unwrap();
        copy.read_at(0, &mut b).unwrap();
        assert!(a == b);
    }

    #[test]
    fn streams_become_sparse() {
        let file = tempfile::tempfile().unwrap();
        let mut bytes = vec![0; 300_001];
        bytes[100] = 1;
        bytes[200_000] = 2;
        let mut writer = SparseWriter::new(&file);
        bytes.chunks(777).for_each(|chunk| writer.put(chunk).unwrap());
        assert_eq!(writer.finish().unwrap(), 300_001);
        let mut back = vec![1; 300_001];
        Raw::open(file).unwrap().read_at(0, &mut back).unwrap();
        assert!(back == bytes);
    }
}
