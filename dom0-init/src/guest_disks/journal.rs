//! The answers that are being given, in a file: while they are written to a ring they take the
//! places of requests, and a daemon that is killed then would leave neither.
//!
//! The file is in memory, so what is written to it outlives the daemon and not the machine, like
//! guests.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use super::ring::ANSWER;

/// Checksum, the ring's index, how many answers.
const HEAD: usize = 12;
/// No more answers than these are given at once: they fit into a page, of which the kernel writes
/// all or nothing.
pub const MOST: usize = 16;

/// The journal of a ring.
#[derive(Debug)]
pub struct Journal {
    file: File,
}

impl Journal {
    /// Opens one; a new ring's is empty.
    ///
    /// # Errors
    /// As the system has it.
    pub fn open(path: &Path, new: bool) -> io::Result<Self> {
        let mut options = File::options();
        let options = options.read(true).write(true).create(true).truncate(new);
        Ok(Self { file: options.open(path)? })
    }

    /// Keeps the answers to the requests from an index on.
    ///
    /// # Errors
    /// As the system has it; the answers must not be given then.
    pub fn keep(&self, answered: u32, answers: &[[u8; ANSWER]]) -> io::Result<()> {
        let count = u32::try_from(answers.len()).unwrap_or(0);
        let mut record = vec![0; 4];
        record.extend(answered.to_le_bytes());
        record.extend(count.to_le_bytes());
        record.extend(answers.as_flattened());
        let (checksum, rest) = record.split_at_mut(4);
        checksum.copy_from_slice(&crc32c::crc32c(rest).to_le_bytes());
        self.file.write_all_at(&record, 0)
    }

    /// The answers that were being given to the requests from this index on.
    ///
    /// # Errors
    /// As the system has it.
    pub fn pending(&self, answered: u32) -> io::Result<Vec<[u8; ANSWER]>> {
        let mut record = [0; HEAD + MOST * ANSWER];
        let mut length = 0;
        while let Some(rest) = record.get_mut(length..).filter(|rest| !rest.is_empty()) {
            match self.file.read_at(rest, length as u64)? {
                0 => break,
                count => length += count,
            }
        }
        Ok(parse(record.get(..length).unwrap_or_default(), answered).unwrap_or_default())
    }
}

fn parse(record: &[u8], answered: u32) -> Option<Vec<[u8; ANSWER]>> {
    let (checksum, rest) = record.split_first_chunk()?;
    let (index, rest_of_head) = rest.split_first_chunk()?;
    let (count, answers) = rest_of_head.split_first_chunk()?;
    let count = usize::try_from(u32::from_le_bytes(*count)).ok()?;
    let answers = answers.get(..count.checked_mul(ANSWER)?)?;
    let whole = rest.get(..HEAD - 4 + answers.len())?;
    if crc32c::crc32c(whole) != u32::from_le_bytes(*checksum)
        || u32::from_le_bytes(*index) != answered
    {
        return None;
    }
    Some(answers.as_chunks().0.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_being_answered_is_found_again() {
        let path = std::env::temp_dir().join(format!("disk-journal-{}", std::process::id()));
        let journal = Journal::open(&path, true).unwrap();
        assert!(journal.pending(0).unwrap().is_empty());
        let answers = [[7; ANSWER], [9; ANSWER]];
        journal.keep(u32::MAX, &answers).unwrap();
        let again = Journal::open(&path, false).unwrap();
        assert_eq!(again.pending(u32::MAX).unwrap(), answers);
        // They were given already.
        assert!(again.pending(1).unwrap().is_empty());
        journal.keep(5, &[[1; ANSWER]]).unwrap();
        assert_eq!(again.pending(5).unwrap(), [[1; ANSWER]]);
        journal.file.write_all_at(&[0xff], 14).unwrap();
        assert!(again.pending(5).unwrap().is_empty());
        assert!(Journal::open(&path, true).unwrap().pending(5).unwrap().is_empty());
        std::fs::remove_file(path).unwrap();
    }
}
