//! A part of a file as a device of its own: a partition of an image.

use std::io::{self, Read, Seek, SeekFrom, Write};

/// `length` bytes of a device, from `start`. Reads and writes end at its end.
#[derive(Debug)]
pub struct Region<D> {
    device: D,
    start: u64,
    length: u64,
    position: u64,
}

impl<D> Region<D> {
    /// The part of `device` that begins at `start`.
    pub fn new(device: D, start: u64, length: u64) -> Self {
        Self { device, start, length, position: 0 }
    }

    fn clip(&self, wanted: usize) -> usize {
        let left = self.length.saturating_sub(self.position);
        usize::try_from(left).unwrap_or(usize::MAX).min(wanted)
    }
}

impl<D: Seek> Region<D> {
    fn go(&mut self) -> io::Result<()> {
        self.device.seek(SeekFrom::Start(self.start + self.position)).map(drop)
    }
}

impl<D: Read + Seek> Read for Region<D> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.clip(buffer.len());
        self.go()?;
        let count = self.device.read(buffer.get_mut(..length).unwrap_or_default())?;
        self.position += count as u64;
        Ok(count)
    }
}

impl<D: Write + Seek> Write for Region<D> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.clip(bytes.len());
        self.go()?;
        let count = self.device.write(bytes.get(..length).unwrap_or_default())?;
        self.position += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.device.flush()
    }
}

impl<D: Seek> Seek for Region<D> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let target = match to {
            SeekFrom::Start(at) => Some(at),
            SeekFrom::Current(by) => self.position.checked_add_signed(by),
            SeekFrom::End(by) => self.length.checked_add_signed(by),
        };
        self.position = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.position)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Cursor;

    #[test]
    fn stays_inside() {
        let mut bytes = vec![0; 10];
        let mut region = Region::new(Cursor::new(&mut bytes), 3, 4);
        assert_eq!(region.write(b"abcdef").unwrap(), 4);
        assert_eq!(region.write(b"g").unwrap(), 0);
        assert_eq!(region.seek(SeekFrom::End(-2)).unwrap(), 2);
        let mut text = String::new();
        region.read_to_string(&mut text).unwrap();
        assert_eq!(text, "cd");
        assert!(region.seek(SeekFrom::Current(-9)).is_err());
        assert_eq!(bytes, b"\0\0\0abcd\0\0\0");
    }
}
