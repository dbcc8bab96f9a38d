//! Physical memory through the direct map: frames that guests may be writing, and the firmware's
//! tables.
//!
//! No reference to such memory is ever made: bytes are copied by assembly that the compiler
//! can't see into, and words are atomic.
#![expect(unsafe_code, reason = "reads and writes memory by its physical address")]

use core::sync::atomic::Ordering::{AcqRel, Acquire, Release};
use core::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64};

use hv_boot::phys::PhysMemory;
use hv_core::platform::FrameMemory;
use hv_core::types::{FRAME_BYTES, Hpa, Mfn};
use hv_loader::acpi::PhysRead;

use super::layout::{DIRECT_MAP, DIRECT_MAP_BYTES};
use super::tables;
use crate::platform::Machine;

unsafe extern "C" {
    /// Copies bytes; the two ranges don't overlap (`mem.S`).
    #[link_name = "memcpy"]
    fn copy_bytes(to: *mut u8, from: *const u8, len: usize) -> *mut u8;
    /// Fills bytes (`mem.S`).
    #[link_name = "memset"]
    fn fill_bytes(to: *mut u8, value: i32, len: usize) -> *mut u8;
}

/// The direct map's address of `len` bytes at `at`.
///
/// # Panics
/// If they are not within the direct map.
pub(super) fn pointer(at: Hpa, len: usize) -> *mut u8 {
    let end = at.0.checked_add(len as u64);
    assert!(end.is_some_and(|end| end <= DIRECT_MAP_BYTES), "{:#x} is no physical address", at.0);
    (DIRECT_MAP + at.0) as *mut u8
}

/// Copies physical memory out. What lies there must be RAM, or [`tables::is_mapped`].
pub fn read(at: Hpa, into: &mut [u8]) {
    let from = pointer(at, into.len());
    // SAFETY: mapped, as the caller found, and apart from `into`, which is the hypervisor's.
    unsafe { copy_bytes(into.as_mut_ptr(), from, into.len()) };
}

/// Copies into RAM that is not the hypervisor's own.
pub fn write(at: Hpa, from: &[u8]) {
    let to = pointer(at, from.len());
    // SAFETY: the direct map has no alias of Rust objects but those that own their frames, and
    // whoever has a frame's number from the frame table owns it.
    unsafe { copy_bytes(to, from.as_ptr(), from.len()) };
}

/// Writes a device register below 4 GiB while the boot page tables are in use. They say that it
/// may be cached; the memory type registers, which firmware has set, know better and win.
///
/// # Safety
/// A device register is there, aligned, whose write breaks no memory.
pub unsafe fn write_early(at: Hpa, value: u32) {
    assert!(at.0 < super::BOOT_MAPPED && !tables::in_use());
    let to = pointer(at, size_of::<u32>()).cast::<u32>();
    // SAFETY: mapped by the boot page tables; the rest is the caller's promise.
    unsafe { to.write_volatile(value) };
}

/// Copies RAM to RAM; the ranges don't overlap.
pub fn copy(from: Hpa, to: Hpa, len: usize) {
    let (from, to) = (pointer(from, len), pointer(to, len));
    // SAFETY: as in `write`.
    unsafe { copy_bytes(to, from, len) };
}

/// Fills RAM with zeroes.
pub fn zero(at: Hpa, len: usize) {
    let to = pointer(at, len);
    // SAFETY: as in `write`.
    unsafe { fill_bytes(to, 0, len) };
}

/// Writes the CPUs' caches of this RAM back to memory, for devices that don't see into caches.
pub fn write_back(at: Hpa, len: usize) {
    /// The line size of every x86-64 CPU.
    const LINE: usize = 64;
    let start = pointer(at, len);
    for offset in (0..len).step_by(LINE) {
        // SAFETY: mapped; flushing a line changes no value.
        unsafe { core::arch::x86_64::_mm_clflush(start.wrapping_add(offset)) };
    }
    // SAFETY: orders memory accesses, no more.
    unsafe { core::arch::x86_64::_mm_mfence() };
}

/// The address of `len` bytes in a frame, which they don't leave.
fn within(mfn: Mfn, offset: usize, len: usize) -> *mut u8 {
    let inside = offset.checked_add(len).is_some_and(|end| end <= FRAME_BYTES);
    assert!(inside, "{len} bytes at {offset:#x} leave their frame");
    pointer(Hpa(mfn.hpa().0 + offset as u64), len)
}

macro_rules! word {
    ($name:ident, $atomic:ty, $int:ty) => {
        fn $name<'a>(mfn: Mfn, offset: usize) -> &'a $atomic {
            assert!(offset % size_of::<$int>() == 0, "offset {offset:#x} is not aligned");
            let at = within(mfn, offset, size_of::<$int>());
            // SAFETY: aligned and mapped for ever. A reference to an atomic says nothing about
            // its value, so a guest may write it at any time.
            unsafe { <$atomic>::from_ptr(at.cast()) }
        }
    };
}

word!(word_u8, AtomicU8, u8);
word!(word_u16, AtomicU16, u16);
word!(word_u32, AtomicU32, u32);
word!(word_u64, AtomicU64, u64);

impl FrameMemory for Machine {
    fn read(&self, mfn: Mfn, offset: usize, into: &mut [u8]) {
        within(mfn, offset, into.len());
        read(Hpa(mfn.hpa().0 + offset as u64), into);
    }

    fn write(&self, mfn: Mfn, offset: usize, from: &[u8]) {
        within(mfn, offset, from.len());
        write(Hpa(mfn.hpa().0 + offset as u64), from);
    }

    fn zero(&self, mfn: Mfn) {
        zero(mfn.hpa(), FRAME_BYTES);
    }

    fn copy(&self, from: (Mfn, usize), to: (Mfn, usize), len: usize) {
        within(from.0, from.1, len);
        within(to.0, to.1, len);
        let place = |(mfn, offset): (Mfn, usize)| Hpa(mfn.hpa().0 + offset as u64);
        copy(place(from), place(to), len);
    }

    fn load_u8(&self, mfn: Mfn, offset: usize) -> u8 {
        word_u8(mfn, offset).load(Acquire)
    }

    fn load_u32(&self, mfn: Mfn, offset: usize) -> u32 {
        word_u32(mfn, offset).load(Acquire)
    }

    fn load_u64(&self, mfn: Mfn, offset: usize) -> u64 {
        word_u64(mfn, offset).load(Acquire)
    }

    fn store_u8(&self, mfn: Mfn, offset: usize, value: u8) {
        word_u8(mfn, offset).store(value, Release);
    }

    fn store_u32(&self, mfn: Mfn, offset: usize, value: u32) {
        word_u32(mfn, offset).store(value, Release);
    }

    fn store_u64(&self, mfn: Mfn, offset: usize, value: u64) {
        word_u64(mfn, offset).store(value, Release);
    }

    fn swap_u8(&self, mfn: Mfn, offset: usize, value: u8) -> u8 {
        word_u8(mfn, offset).swap(value, AcqRel)
    }

    fn fetch_or_u64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        word_u64(mfn, offset).fetch_or(bits, AcqRel)
    }

    fn fetch_and_u64(&self, mfn: Mfn, offset: usize, bits: u64) -> u64 {
        word_u64(mfn, offset).fetch_and(bits, AcqRel)
    }

    fn fetch_or_u32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        word_u32(mfn, offset).fetch_or(bits, AcqRel)
    }

    fn fetch_and_u32(&self, mfn: Mfn, offset: usize, bits: u32) -> u32 {
        word_u32(mfn, offset).fetch_and(bits, AcqRel)
    }

    fn cas_u16(&self, mfn: Mfn, offset: usize, old: u16, new: u16) -> Result<u16, u16> {
        word_u16(mfn, offset).compare_exchange(old, new, AcqRel, Acquire)
    }

    fn cas_u32(&self, mfn: Mfn, offset: usize, old: u32, new: u32) -> Result<u32, u32> {
        word_u32(mfn, offset).compare_exchange(old, new, AcqRel, Acquire)
    }

    fn cas_u64(&self, mfn: Mfn, offset: usize, old: u64, new: u64) -> Result<u64, u64> {
        word_u64(mfn, offset).compare_exchange(old, new, AcqRel, Acquire)
    }
}

/// What firmware left in memory: read-only, mapped page by page when it is first read.
#[derive(Clone, Copy, Debug, Default)]
pub struct Firmware;

impl PhysMemory for Firmware {
    fn read(&self, at: Hpa, into: &mut [u8]) -> Option<()> {
        let end = at.0.checked_add(into.len() as u64).filter(|&end| end <= DIRECT_MAP_BYTES)?;
        tables::map_firmware(at.0, end).ok()?;
        read(at, into);
        Some(())
    }
}

impl PhysRead for Firmware {
    fn read(&self, address: u64, into: &mut [u8]) -> bool {
        PhysMemory::read(self, Hpa(address), into).is_some()
    }
}
