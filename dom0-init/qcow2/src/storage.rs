//! Where an image lies: bytes that are read, written and made durable.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::unix::fs::FileExt;

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

/// Where an image lies.
pub trait Storage {
    /// Its length in bytes.
    ///
    /// # Errors
    /// As the system has it.
    fn length(&self) -> io::Result<u64>;

    /// Fills `bytes` from `offset` on, with zeroes behind the end.
    ///
    /// # Errors
    /// As the system has it.
    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()>;

    /// Writes all `bytes` at `offset`. They are read from then on, by others too, whatever becomes
    /// of this program.
    ///
    /// # Errors
    /// As the system has it.
    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;

    /// Makes these bytes read as zeroes, and gives back their room if possible.
    ///
    /// # Errors
    /// As the system has it.
    fn zero(&self, offset: u64, length: u64) -> io::Result<()>;

    /// Makes durable what was written.
    ///
    /// # Errors
    /// As the system has it.
    fn sync(&self) -> io::Result<()>;
}

impl Storage for File {
    fn length(&self) -> io::Result<u64> {
        // Of a block device this is the only way to it; nobody uses the place that it moves.
        let mut file = self;
        file.seek(SeekFrom::End(0))
    }

    fn read(&self, offset: u64, bytes: &mut [u8]) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = bytes.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + done as u64) {
                Ok(0) => {
                    rest.fill(0);
                    break;
                }
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn zero(&self, offset: u64, length: u64) -> io::Result<()> {
        let flags = FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE;
        match rustix::fs::fallocate(self, flags, offset, length) {
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => write_zeroes(self, offset, length),
            other => Ok(other?),
        }
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}

/// Where the system can't make holes.
fn write_zeroes(file: &File, offset: u64, length: u64) -> io::Result<()> {
    static ZEROES: [u8; 65536] = [0; 65536];
    let end = (offset + length).min(Storage::length(file)?);
    let mut at = offset;
    while at < end {
        let count = usize::try_from(end - at).unwrap_or(usize::MAX).min(ZEROES.len());
        file.write_all_at(ZEROES.get(..count).unwrap_or_default(), at)?;
        at += count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_read_as_zeroes_behind_their_end_and_where_they_are_zeroed() {
        let path = std::env::temp_dir().join(format!("qcow2-storage-{}", std::process::id()));
        let mut options = File::options();
        let file = options.read(true).write(true).create(true).truncate(true).open(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        file.write(4096, &[7; 8192]).unwrap();
        file.zero(8192, 4096).unwrap();
        assert_eq!(file.length().unwrap(), 12288);
        let mut bytes = vec![1; 12288];
        Storage::read(&file, 4096, &mut bytes).unwrap();
        assert!(bytes[..4096].iter().all(|byte| *byte == 7));
        assert!(bytes[4096..].iter().all(|byte| *byte == 0));
        write_zeroes(&file, 4096, 100).unwrap();
        Storage::read(&file, 4096, &mut bytes[..101]).unwrap();
        assert_eq!((bytes[99], bytes[100]), (0, 7));
    }
}
