//! Memory that another domain can write at any time: copied in and out, never referred to.
#![expect(unsafe_code, reason = "mapped pages are copied and accessed atomically")]

use std::arch::asm;
use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};

/// What is copied at once where it can be.
const WORD: usize = size_of::<u64>();

/// Pages that are shared with another domain or the hypervisor.
///
/// No reference to them is ever formed: bytes are copied in and out, and ring indexes are accessed
/// atomically. What was read once may read differently the next time; use the copy.
#[derive(Debug)]
pub struct Mapping {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the mapping is owned, and nothing about it is bound to a thread.
unsafe impl Send for Mapping {}

impl Mapping {
    /// Maps a device's pages, or an address range that a call of the device will fill.
    pub(crate) fn of_device(device: &File, length: usize, offset: u64) -> io::Result<Self> {
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let base =
            unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, device, offset) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Its length in bytes.
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it has no bytes.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub(crate) fn address(&self) -> u64 {
        self.base.as_ptr().expose_provenance() as u64
    }

    /// Copies bytes out; false, and nothing copied, if they aren't all inside.
    #[must_use]
    pub fn read(&self, offset: usize, bytes: &mut [u8]) -> bool {
        let Some(start) = self.at(offset, bytes.len()) else { return false };
        // SAFETY: the source was checked to be inside the mapping, and the destination is the
        // caller's, so the two don't overlap.
        unsafe { copy(start.as_ptr(), bytes.as_mut_ptr(), bytes.len()) };
        true
    }

    /// Copies bytes in; false, and nothing copied, if they aren't all inside.
    #[must_use]
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(start) = self.at(offset, bytes.len()) else { return false };
        // SAFETY: the destination was checked to be inside the mapping, and the source is the
        // caller's, so the two don't overlap.
        unsafe { copy(bytes.as_ptr(), start.as_ptr(), bytes.len()) };
        true
    }

    /// Reads an aligned 32-bit number, and orders later reads behind it.
    pub fn load(&self, offset: usize) -> Option<u32> {
        Some(self.atomic(offset)?.load(Ordering::Acquire))
    }

    /// Writes an aligned 32-bit number, and orders earlier writes before it; false if it isn't
    /// inside.
    #[must_use]
    pub fn store(&self, offset: usize, value: u32) -> bool {
        self.atomic(offset).map(|number| number.store(value, Ordering::Release)).is_some()
    }

    fn atomic(&self, offset: usize) -> Option<&AtomicU32> {
        if !offset.is_multiple_of(4) {
            return None;
        }
        let number = self.at(offset, 4)?.cast::<u32>();
        // SAFETY: it is inside the mapping, which is aligned to pages, at a multiple of four,
        // and lives as long as self; this process accesses it atomically or by volatile bytes.
        Some(unsafe { AtomicU32::from_ptr(number.as_ptr()) })
    }

    fn at(&self, offset: usize, length: usize) -> Option<NonNull<u8>> {
        let end = offset.checked_add(length)?;
        if end > self.length {
            return None;
        }
        // SAFETY: the offset is inside the mapping, or at its end.
        Some(unsafe { self.base.add(offset) })
    }
}

/// Copies by instructions that the compiler knows nothing of: another domain may read and write
/// what is shared at the same time, which is no data race for the CPU.
///
/// # Safety
/// `length` bytes must be mapped at both places, writable at `to`, and not overlap.
unsafe fn copy(from: *const u8, to: *mut u8, length: usize) {
    // SAFETY: the caller vouches for the bytes; the direction flag is clear by the ABI.
    unsafe {
        asm!(
            "rep movsq",
            "mov ecx, {rest:e}",
            "rep movsb",
            rest = in(reg) length % WORD,
            inout("rcx") length / WORD => _,
            inout("rsi") from => _,
            inout("rdi") to => _,
            options(nostack, preserves_flags),
        );
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and nothing refers to it.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "the mapping was ours: {unmapped:?}");
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use rustix::fs::{MemfdFlags, memfd_create};

    use super::*;

    fn mapping(length: usize) -> Mapping {
        let mut file = File::from(memfd_create("mapping", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(&vec![7; length]).unwrap();
        Mapping::of_device(&file, length, 0).unwrap()
    }

    #[test]
    fn bytes_and_numbers_inside_only() {
        let mapping = mapping(8192);
        let mut bytes = [0; 4];
        assert!(mapping.read(4094, &mut bytes) && bytes == [7; 4]);
        assert!(mapping.write(4096, &[1, 2, 3, 4]));
        assert_eq!(mapping.load(4096), Some(0x0403_0201));
        assert!(mapping.store(8188, 9) && mapping.load(8188) == Some(9));
        assert!(!mapping.read(8189, &mut bytes) && !mapping.write(usize::MAX, &bytes));
        assert_eq!((mapping.load(8190), mapping.load(8192), mapping.load(2)), (None, None, None));
        assert!(!mapping.store(8192, 1));
        assert!(mapping.read(8192, &mut []));
    }

    #[test]
    fn writes_of_any_length_anywhere() {
        let mapping = mapping(4096);
        for (offset, length) in [(0, 0), (0, 8), (1, 7), (3, 30), (8, 16), (4095, 1), (5, 2)] {
            let bytes: Vec<u8> = (0..length).map(|n| 100 + n as u8).collect();
            assert!(mapping.write(offset, &bytes));
            let mut back = vec![0; length];
            assert!(mapping.read(offset, &mut back) && back == bytes, "{offset} {length}");
        }
        let mut around = [0; 1];
        assert!(mapping.read(40, &mut around) && around == [7]);
    }
}
