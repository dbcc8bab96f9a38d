//! Going through a disk block by block, over those alone that hold anything.

use crate::{Disk, Result};

/// Calls a function for each aligned block of `bytes` bytes that isn't all zeros, in order, with
/// its number and its content; the last one is filled up with zeros behind the disk's end.
///
/// # Errors
/// Those of the disk and of the function.
pub fn for_each<D: Disk + ?Sized>(
    disk: &mut D,
    bytes: usize,
    mut each: impl FnMut(u64, &[u8]) -> Result<()>,
) -> Result<()> {
    let block = bytes as u64;
    let mut buffer = vec![0; bytes];
    let mut next = 0;
    while let Some(data) = disk.next_data(next.min(disk.size()))? {
        let first = (data.start / block).max(next / block);
        let mut number = first;
        while number * block < data.end {
            disk.read_at(number * block, &mut buffer)?;
            if !is_zero(&buffer) {
                each(number, &buffer)?;
            }
            number += 1;
        }
        next = number * block;
        if next >= disk.size() {
            break;
        }
    }
    Ok(())
}

/// Whether there are only zeros.
pub fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::raw::Raw;

    #[test]
    fn blocks_with_content_are_seen_once_and_in_order() {
        let file = tempfile::tempfile().unwrap();
        use std::os::unix::fs::FileExt;
        file.set_len(1_000_100).unwrap();
        for at in [5, 70_000, 131_071, 1_000_099] {
            file.write_all_at(&[7], at).unwrap();
        }
        let mut seen = Vec::new();
        for_each(&mut Raw::open(file).unwrap(), 65_536, |number, block| {
            assert_eq!(block.len(), 65_536);
            seen.push((number, block.iter().filter(|byte| **byte == 7).count()));
            Ok(())
        })
        .unwrap();
        assert_eq!(seen, [(0, 1), (1, 2), (15, 1)]);
    }
}
