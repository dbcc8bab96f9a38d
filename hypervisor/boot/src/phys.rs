//! Reading physical memory, as the parsers of boot information ask for it.

use hv_core::types::Hpa;

/// Physical memory that the parsers may read. Bytes are copied out; nothing is borrowed.
pub trait PhysMemory {
    /// Copies `into.len()` bytes from `at`. `None` if they can't be read.
    fn read(&self, at: Hpa, into: &mut [u8]) -> Option<()>;

    /// A little-endian 32-bit word.
    fn read_u32(&self, at: Hpa) -> Option<u32> {
        let mut word = [0; 4];
        self.read(at, &mut word)?;
        Some(u32::from_le_bytes(word))
    }

    /// A little-endian 64-bit word.
    fn read_u64(&self, at: Hpa) -> Option<u64> {
        let mut word = [0; 8];
        self.read(at, &mut word)?;
        Some(u64::from_le_bytes(word))
    }
}

/// A window of physical memory that starts at an address: for tests, and for tables that were
/// copied out.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Where the first byte lies.
    pub base: Hpa,
    /// The bytes.
    pub bytes: &'a [u8],
}

impl PhysMemory for Window<'_> {
    fn read(&self, at: Hpa, into: &mut [u8]) -> Option<()> {
        let start = usize::try_from(at.0.checked_sub(self.base.0)?).ok()?;
        let end = start.checked_add(into.len())?;
        into.copy_from_slice(self.bytes.get(start..end)?);
        Some(())
    }
}
