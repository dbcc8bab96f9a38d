//! Pages that the hypervisor or another CPU may write, too: only volatile and atomic access.

#![expect(unsafe_code, reason = "access to memory that others write")]

use crate::report;
use core::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize, Ordering};
use xen_abi::{GuestHandle, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// Pages are never given back: enough for 200 domains of one test.
const POOL_PAGES: usize = 8192;

#[repr(C, align(4096))]
struct Pool(core::cell::UnsafeCell<[[u8; PAGE_SIZE]; POOL_PAGES]>);

// SAFETY: only addresses are taken from it; access goes through `Page`.
unsafe impl Sync for Pool {}

static POOL: Pool = Pool(core::cell::UnsafeCell::new([[0; PAGE_SIZE]; POOL_PAGES]));
static USED: AtomicUsize = AtomicUsize::new(0);

/// A page of the guest's memory that no Rust object is in. Holding one doesn't prove that it is
/// still RAM, nor that nobody else writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page(u64);

impl Page {
    /// A page from the pool, all zero. Pages are never given back.
    #[must_use]
    pub fn new() -> Self {
        Self::run(1)
    }

    /// `count` pages in a row; the first one.
    #[must_use]
    pub fn run(count: usize) -> Self {
        let index = USED.fetch_add(count, Ordering::SeqCst);
        if index + count > POOL_PAGES {
            report::error(format_args!("the test needs more than {POOL_PAGES} pages"));
        }
        Self(POOL.0.get() as u64 + (index * PAGE_SIZE) as u64)
    }

    /// The page `count` pages further on in a run.
    #[must_use]
    pub const fn offset(self, count: usize) -> Self {
        Self(self.0 + (count * PAGE_SIZE) as u64)
    }

    /// The page at an address that [`Self::address`] gave.
    pub(crate) const fn at(address: u64) -> Self {
        Self(address)
    }

    /// Its address, virtual and physical.
    #[must_use]
    pub const fn address(self) -> u64 {
        self.0
    }

    /// Its frame number.
    #[must_use]
    pub const fn gfn(self) -> u64 {
        self.0 >> 12
    }

    /// A handle to its byte `offset`.
    #[must_use]
    pub const fn handle(self, offset: usize) -> GuestHandle {
        GuestHandle(self.0 + offset as u64)
    }

    fn pointer<T>(self, offset: usize) -> *mut T {
        if offset + size_of::<T>() > PAGE_SIZE || !offset.is_multiple_of(align_of::<T>()) {
            report::error(format_args!("the test leaves a page at offset {offset:#x}"));
        }
        (self.0 + offset as u64) as *mut T
    }

    /// Reads a value at an aligned offset.
    #[must_use]
    pub fn read<T: FromBytes>(self, offset: usize) -> T {
        // SAFETY: in the page and aligned; any bytes are a `T`.
        unsafe { self.pointer::<T>(offset).read_volatile() }
    }

    /// Writes a value at an aligned offset.
    pub fn write<T: IntoBytes + Immutable>(self, offset: usize, value: T) {
        // SAFETY: in the page, where no Rust object is, and aligned.
        unsafe { self.pointer::<T>(offset).write_volatile(value) };
    }

    /// 32 bits that others change, too.
    #[must_use]
    pub fn atomic32(self, offset: usize) -> &'static AtomicU32 {
        // SAFETY: in the page, aligned, and never freed; others, too, access it as a whole.
        unsafe { AtomicU32::from_ptr(self.pointer(offset)) }
    }

    /// 64 bits that others change, too.
    #[must_use]
    pub fn atomic64(self, offset: usize) -> &'static AtomicU64 {
        // SAFETY: as in `atomic32`.
        unsafe { AtomicU64::from_ptr(self.pointer(offset)) }
    }

    /// Sets every byte.
    pub fn fill(self, byte: u8) {
        for offset in (0..PAGE_SIZE).step_by(8) {
            self.write(offset, u64::from_ne_bytes([byte; 8]));
        }
    }

    /// Whether every byte from `start` on has this value.
    #[must_use]
    pub fn is_filled(self, start: usize, end: usize, byte: u8) -> bool {
        (start..end).all(|offset| self.read::<u8>(offset) == byte)
    }

    /// Copies bytes into it.
    pub fn copy_in(self, offset: usize, bytes: &[u8]) {
        for (index, byte) in bytes.iter().enumerate() {
            self.write(offset + index, *byte);
        }
    }
}

impl Default for Page {
    fn default() -> Self {
        Self::new()
    }
}

/// Copies code for an AP to a page below 1 MiB.
pub(crate) fn copy_code(from: u64, bytes: u64, to: u64) {
    for offset in 0..bytes {
        // SAFETY: within the image.
        let byte = unsafe { ((from + offset) as *const u8).read_volatile() };
        // SAFETY: conventional memory, which no Rust object is in.
        unsafe { ((to + offset) as *mut u8).write_volatile(byte) };
    }
}

/// Reads a value anywhere below 4 GiB: firmware tables, start information.
#[must_use]
pub fn peek<T: FromBytes>(address: u64) -> T {
    if address.checked_add(size_of::<T>() as u64).is_none_or(|end| end > 1 << 32) {
        report::error(format_args!("the test reads at {address:#x}, which isn't mapped"));
    }
    // SAFETY: all of memory below 4 GiB is mapped; any bytes are a `T`.
    unsafe { (address as *const T).read_unaligned() }
}

/// Writes a value at an aligned address below 4 GiB: device registers.
///
/// # Safety
/// Nothing that Rust uses is there.
pub unsafe fn poke(address: u64, value: u32) {
    // SAFETY: the caller promises that nothing is lost.
    unsafe { (address as *mut u32).write_volatile(value) };
}

/// Reads a device register below 4 GiB.
#[must_use]
pub fn register(address: u64) -> u32 {
    // SAFETY: all of memory below 4 GiB is mapped.
    unsafe { (address as *const u32).read_volatile() }
}
