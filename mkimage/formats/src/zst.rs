//! Images that are compressed by zstd: streams, unpacked from beginning to end.

use crate::raw::SparseWriter;
use crate::{Error, Result};
use ruzstd::decoding::StreamingDecoder;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};

/// How files begin.
pub const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// Enough for most images; more is rarely smaller and always slower.
#[cfg(feature = "compress")]
const LEVEL: i32 = 12;

/// Reads what a compressed stream unpacks to: all of its frames.
pub struct Decoder<R: Read> {
    state: State<R>,
}

enum State<R: Read> {
    Between(BufReader<R>),
    Within(Box<StreamingDecoder<BufReader<R>, ruzstd::decoding::FrameDecoder>>),
    Failed,
}

impl<R: Read> Decoder<R> {
    /// At the beginning of a stream.
    pub fn new(packed: R) -> Self {
        Self { state: State::Between(BufReader::with_capacity(1 << 18, packed)) }
    }
}

impl<R: Read> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            // Whatever fails below leaves this state.
            match std::mem::replace(&mut self.state, State::Failed) {
                State::Between(mut packed) => {
                    if packed.fill_buf()?.is_empty() {
                        self.state = State::Between(packed);
                        return Ok(0);
                    }
                    let frame = StreamingDecoder::new(packed).map_err(damaged)?;
                    self.state = State::Within(Box::new(frame));
                }
                State::Within(mut frame) => {
                    let count = frame.read(buffer).map_err(damaged)?;
                    if count == 0 && !buffer.is_empty() {
                        self.state = State::Between(frame.into_inner());
                        continue;
                    }
                    self.state = State::Within(frame);
                    return Ok(count);
                }
                State::Failed => return Err(damaged("it failed before")),
            }
        }
    }
}

fn damaged(error: impl std::fmt::Display) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the compressed data is damaged: {error}"))
}

/// Unpacks a stream into an empty file, leaving holes where there are zeros; `watch` sees the bytes
/// as they come. Returns how many there were.
///
/// # Errors
/// When the stream is damaged or longer than `limit` bytes, or the file can't be written.
pub fn unpack(
    packed: impl Read,
    file: &File,
    limit: u64,
    mut watch: impl FnMut(&[u8]),
) -> Result<u64> {
    let mut decoder = Decoder::new(packed);
    let mut writer = SparseWriter::new(file);
    let mut buffer = vec![0; 1 << 18];
    loop {
        let count = decoder.read(&mut buffer)?;
        let Some(chunk) = buffer.get(..count).filter(|chunk| !chunk.is_empty()) else {
            return Ok(writer.finish()?);
        };
        if writer.position() + count as u64 > limit {
            return Err(Error::damaged(format!("it unpacks to more than {limit} bytes")));
        }
        watch(chunk);
        writer.put(chunk)?;
    }
}

/// Compresses a disk's bytes.
///
/// # Errors
/// When the disk can't be read, or the output can't be written.
#[cfg(feature = "compress")]
pub fn write<D: crate::Disk + ?Sized, W: io::Write>(disk: &mut D, out: W) -> Result<()> {
    let mut encoder = zstd::stream::Encoder::new(out, LEVEL)?;
    encoder.set_pledged_src_size(Some(disk.size()))?;
    encoder.include_checksum(true)?;
    encoder.include_contentsize(true)?;
    // The output depends on whether there are workers, not on how many.
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    encoder.multithread(u32::try_from(threads).unwrap_or(1).clamp(1, 16))?;
    let mut position = 0;
    let zeros = vec![0; 1 << 16];
    let size = disk.size();
    crate::blocks::for_each(disk, 1 << 16, |number, block| {
        let at = number << 16;
        zero_run(&mut encoder, &zeros, at - position)?;
        let end = (at + block.len() as u64).min(size);
        let length = usize::try_from(end - at).unwrap_or(block.len());
        io::Write::write_all(&mut encoder, block.get(..length).unwrap_or(block))?;
        position = end;
        Ok(())
    })?;
    zero_run(&mut encoder, &zeros, size - position)?;
    io::Write::flush(&mut encoder.finish()?)?;
    Ok(())
}

#[cfg(feature = "compress")]
fn zero_run(out: &mut impl io::Write, zeros: &[u8], mut count: u64) -> io::Result<()> {
    while count > 0 {
        let now = usize::try_from(count).unwrap_or(usize::MAX).min(zeros.len());
        out.write_all(zeros.get(..now).unwrap_or(zeros))?;
        count -= now as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "compress")]
    #[test]
    fn what_is_written_reads_back_and_frames_may_follow_each_other() {
        use std::os::unix::fs::FileExt;
        let file = tempfile::tempfile().unwrap();
        file.set_len(3_000_001).unwrap();
        file.write_all_at(&[7; 100_000], 1_000_000).unwrap();
        let mut disk = crate::raw::Raw::open(file).unwrap();
        let mut packed = Vec::new();
        write(&mut disk, &mut packed).unwrap();
        let mut again = Vec::new();
        write(&mut disk, &mut again).unwrap();
        assert!(packed == again && packed.len() < 1000);
        packed.extend(again);
        let mut back = Vec::new();
        Decoder::new(&packed[..]).read_to_end(&mut back).unwrap();
        assert_eq!(back.len(), 6_000_002);
        assert_eq!(back.iter().filter(|byte| **byte == 7).count(), 200_000);

        let target = tempfile::tempfile().unwrap();
        assert!(unpack(&packed[..], &target, 6_000_001, |_| ()).is_err(), "too much");
        packed.truncate(packed.len() - 3);
        assert!(unpack(&packed[..], &target, u64::MAX, |_| ()).is_err(), "cut off");
    }

    proptest::proptest! {
        #[test]
        fn any_bytes_are_survived(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..300)) {
            let mut stream = MAGIC.to_vec();
            stream.extend(bytes);
            let _ = Decoder::new(&stream[..]).take(1 << 20).read_to_end(&mut Vec::new());
        }
    }
}
