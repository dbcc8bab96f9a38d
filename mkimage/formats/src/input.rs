//! What images are read from: a file, bytes, or a part of either.

use crate::{Error, Result};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Bytes that can be read from anywhere.
pub trait Input {
    /// How many there are.
    ///
    /// # Errors
    /// When the file can't be asked.
    fn length(&self) -> io::Result<u64>;

    /// Fills a buffer from an offset.
    ///
    /// # Errors
    /// When there are fewer bytes, or the file fails.
    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()>;

    /// Some bytes from an offset.
    ///
    /// # Errors
    /// As [`Self::fill`].
    fn take(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        // Before any memory is taken: the length may come out of the image.
        let end = offset.checked_add(length as u64).ok_or(io::ErrorKind::UnexpectedEof)?;
        if end > self.length()? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = vec![0; length];
        self.fill(offset, &mut bytes)?;
        Ok(bytes)
    }
}

impl Input for File {
    fn length(&self) -> io::Result<u64> {
        // A device's size is where it ends; its metadata says 0.
        rustix::fs::seek(self, rustix::fs::SeekFrom::End(0)).map_err(io::Error::from)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }
}

impl Input for Vec<u8> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).ok();
        let end = start.and_then(|start| start.checked_add(buffer.len()));
        let range = start.zip(end).and_then(|(start, end)| self.get(start..end));
        buffer.copy_from_slice(range.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}

/// A part of an input.
#[derive(Debug)]
pub struct Part<I> {
    input: I,
    start: u64,
    length: u64,
}

impl<I: Input> Part<I> {
    /// The part of that many bytes from `start` on.
    ///
    /// # Errors
    /// When the input ends before the part.
    pub fn new(input: I, start: u64, length: u64) -> Result<Self> {
        match start.checked_add(length) {
            Some(end) if end <= input.length()? => Ok(Self { input, start, length }),
            _ => Err(Error::damaged("the file ends too early")),
        }
    }
}

impl<I: Input> Input for Part<I> {
    fn length(&self) -> io::Result<u64> {
        Ok(self.length)
    }

    fn fill(&self, offset: u64, buffer: &mut [u8]) -> io::Result<()> {
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= self.length => self.input.fill(self.start + offset, buffer),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// Reads an input from its beginning to its end.
#[derive(Debug)]
pub struct Reader<'a, I: ?Sized> {
    input: &'a I,
    position: u64,
}

impl<'a, I: Input + ?Sized> Reader<'a, I> {
    /// At the beginning.
    pub fn new(input: &'a I) -> Self {
        Self { input, position: 0 }
    }

    /// At an offset.
    pub fn at(input: &'a I, position: u64) -> Self {
        Self { input, position }
    }
}

impl<I: Input + ?Sized> io::Read for Reader<'_, I> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.input.length()?.saturating_sub(self.position);
        let count = usize::try_from(left).unwrap_or(usize::MAX).min(buffer.len());
        let part = buffer.get_mut(..count).unwrap_or_default();
        self.input.fill(self.position, part)?;
        self.position += count as u64;
        Ok(count)
    }
}
