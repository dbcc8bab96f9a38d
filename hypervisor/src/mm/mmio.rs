//! Device registers in memory.
#![expect(unsafe_code, reason = "reads and writes device registers")]

use core::sync::atomic::{AtomicU64, Ordering};

use hv_boot::page_table::Mapping;
use hv_boot::ranges::Range;
use hv_core::types::{FRAME_BYTES, Hpa};
use x86defs::paging::PAGE_SIZE_2M;

use super::{layout, tables};

/// A mapped run of device registers. Copies refer to the same registers.
#[derive(Clone, Copy, Debug)]
pub struct Mmio {
    base: *mut u8,
    len: usize,
}

// SAFETY: device registers can be accessed from any CPU; who drives a device makes the order.
unsafe impl Send for Mmio {}
// SAFETY: as above; no access is to memory that Rust knows of.
unsafe impl Sync for Mmio {}

static NEXT: AtomicU64 = AtomicU64::new(layout::MMIO);

/// Maps `len` bytes of device registers at `at`, uncached. `None` if there is no memory for page
/// tables.
///
/// # Panics
/// If the range wraps.
pub fn map_mmio(at: Hpa, len: usize) -> Option<Mmio> {
    Mmio::map(at, len)
}

impl Mmio {
    /// Maps `len` bytes at `at`. Nothing but a device, or firmware's reserved memory, may be
    /// there.
    ///
    /// # Panics
    /// If the range wraps.
    fn map(at: Hpa, len: usize) -> Option<Self> {
        let end = at.0.checked_add(len as u64).expect("device registers don't wrap");
        let pages = Range::around(at.0, end);
        // A page that stays unmapped parts each device from the next one.
        let step = pages.bytes() + FRAME_BYTES as u64;
        let large = pages.bytes() >= PAGE_SIZE_2M;
        // Large pages need the two addresses to agree below their size.
        let padding = if large { PAGE_SIZE_2M } else { 0 };
        let free = NEXT.fetch_add(step + padding, Ordering::Relaxed);
        let skip = if large { pages.start.wrapping_sub(free) % PAGE_SIZE_2M } else { 0 };
        let virt = free + skip;
        if virt + step > layout::MMIO + layout::MMIO_BYTES {
            return None;
        }
        let flags = tables::DATA | tables::UNCACHED;
        let largest = if large { 2 } else { 1 };
        let mapping = Mapping { virt, phys: pages.start, bytes: pages.bytes(), flags, largest };
        tables::map(mapping).ok()?;
        Some(Self { base: (virt + at.offset() as u64) as *mut u8, len })
    }

    fn place<T>(&self, offset: usize) -> *mut T {
        let inside = offset.checked_add(size_of::<T>()).is_some_and(|end| end <= self.len);
        assert!(inside, "offset {offset:#x} is beyond the device's {:#x} bytes", self.len);
        let place = self.base.wrapping_add(offset).cast::<T>();
        assert!(place.is_aligned(), "offset {offset:#x} is not aligned");
        place
    }

    /// Reads a byte.
    pub fn read_u8(&self, offset: usize) -> u8 {
        // SAFETY: inside the mapping, and aligned.
        unsafe { self.place::<u8>(offset).read_volatile() }
    }

    /// Writes a byte.
    pub fn write_u8(&self, offset: usize, value: u8) {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u8>(offset).write_volatile(value) }
    }

    /// Reads a 16-bit word.
    pub fn read_u16(&self, offset: usize) -> u16 {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u16>(offset).read_volatile() }
    }

    /// Writes a 16-bit word.
    pub fn write_u16(&self, offset: usize, value: u16) {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u16>(offset).write_volatile(value) }
    }

    /// Reads a 32-bit word.
    pub fn read_u32(&self, offset: usize) -> u32 {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u32>(offset).read_volatile() }
    }

    /// Writes a 32-bit word.
    pub fn write_u32(&self, offset: usize, value: u32) {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u32>(offset).write_volatile(value) }
    }

    /// Reads a 64-bit word.
    pub fn read_u64(&self, offset: usize) -> u64 {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u64>(offset).read_volatile() }
    }

    /// Writes a 64-bit word.
    pub fn write_u64(&self, offset: usize, value: u64) {
        // SAFETY: as in `read_u8`.
        unsafe { self.place::<u64>(offset).write_volatile(value) }
    }
}
