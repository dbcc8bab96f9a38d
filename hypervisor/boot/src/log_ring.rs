//! The hypervisor's log as a ring of bytes, which dom0 reads by index (`xm dmesg`).

/// The newest `N` bytes of the log; `N` is a power of two.
///
/// Positions count all bytes ever written, modulo 2^32.
pub struct LogRing<const N: usize> {
    bytes: [u8; N],
    written: u32,
    cleared: u32,
}

/// What a reader asks for, as `XEN_SYSCTL_readconsole` has it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ReadRequest {
    /// Where to go on, for an incremental reader.
    pub index: u32,
    /// Whether `index` counts; otherwise reading starts at the oldest byte.
    pub incremental: bool,
    /// Whether what is read is also removed.
    pub clear: bool,
}

impl<const N: usize> LogRing<N> {
    const MASK: u32 = {
        assert!(N.is_power_of_two() && N <= 1 << 30);
        N as u32 - 1
    };

    /// An empty log.
    pub const fn new() -> Self {
        Self { bytes: [0; N], written: 0, cleared: 0 }
    }

    /// Appends bytes; the oldest ones make room.
    pub fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if let Some(place) = self.bytes.get_mut((self.written & Self::MASK) as usize) {
                *place = byte;
            }
            self.written = self.written.wrapping_add(1);
            if self.written.wrapping_sub(self.cleared) > N as u32 {
                self.cleared = self.written.wrapping_sub(N as u32);
            }
        }
    }

    /// Copies the log's next bytes. Gives their number, and the index to go on from.
    pub fn read(&mut self, request: ReadRequest, into: &mut [u8]) -> (usize, u32) {
        let held = self.written.wrapping_sub(self.cleared);
        // An index that is too old or was never given out restarts at the oldest byte.
        let skipped = match request.index.wrapping_sub(self.cleared) {
            skipped if request.incremental && skipped <= held => skipped,
            _ => 0,
        };
        let mut at = self.cleared.wrapping_add(skipped);
        let count = into.len().min((held - skipped) as usize);
        for (place, _) in into.iter_mut().zip(0..count) {
            *place = self.bytes.get((at & Self::MASK) as usize).copied().unwrap_or_default();
            at = at.wrapping_add(1);
        }
        if request.clear {
            self.cleared = at;
        }
        (count, at)
    }

    /// Makes the log empty.
    pub fn clear(&mut self) {
        self.cleared = self.written;
    }

    /// The index of the oldest byte that was not cleared.
    pub fn start(&self) -> u32 {
        self.cleared
    }
}

impl<const N: usize> Default for LogRing<N> {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use std::vec::Vec;

    use proptest::prelude::*;

    use super::*;

    fn read_all(ring: &mut LogRing<16>, request: ReadRequest) -> (Vec<u8>, u32) {
        let mut into = [0; 32];
        let (count, next) = ring.read(request, &mut into);
        (into[..count].to_vec(), next)
    }

    #[test]
    fn an_incremental_reader_sees_each_byte_once() {
        let mut ring = LogRing::<16>::new();
        ring.push(b"hello");
        let (text, index) = read_all(&mut ring, ReadRequest::default());
        assert_eq!(text, b"hello");
        let again = ReadRequest { index, incremental: true, clear: false };
        assert_eq!(read_all(&mut ring, again).0, b"");
        ring.push(b" world");
        assert_eq!(read_all(&mut ring, again).0, b" world");
        assert_eq!(read_all(&mut ring, ReadRequest::default()).0, b"hello world");
    }

    #[test]
    fn clearing_removes_what_was_read() {
        let mut ring = LogRing::<16>::new();
        ring.push(b"hello");
        let clear = ReadRequest { clear: true, ..ReadRequest::default() };
        assert_eq!(read_all(&mut ring, clear).0, b"hello");
        assert_eq!(read_all(&mut ring, clear).0, b"");
    }

    #[test]
    fn a_wrong_index_starts_over() {
        let mut ring = LogRing::<16>::new();
        ring.push(b"0123456789abcdefXYZ");
        for index in [0, 1, 2, 100, u32::MAX] {
            let request = ReadRequest { index, incremental: true, clear: false };
            assert_eq!(read_all(&mut ring, request).0, b"3456789abcdefXYZ");
        }
    }

    proptest! {
        #[test]
        fn the_ring_holds_the_newest_bytes(writes in prop::collection::vec(
            prop::collection::vec(any::<u8>(), 0..40), 0..20), start in any::<u32>())
        {
            let mut ring = LogRing::<16>::new();
            (ring.written, ring.cleared) = (start, start);
            let mut model = Vec::new();
            for write in &writes {
                ring.push(write);
                model.extend_from_slice(write);
            }
            let newest = &model[model.len().saturating_sub(16)..];
            prop_assert_eq!(&read_all(&mut ring, ReadRequest::default()).0, newest);
        }
    }
}
