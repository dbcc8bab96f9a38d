//! Memory for hypercall arguments: pages that the kernel keeps in place while the hypervisor
//! reads and writes them by their addresses.
#![expect(unsafe_code, reason = "mmap, and slices of the mapping")]

use std::fs::File;
use std::io;
use std::ptr::{self, NonNull};
use std::slice;

use rustix::mm::{MapFlags, ProtFlags, mmap, munmap};
use xen_abi::{GuestHandle, PAGE_SIZE};
use zerocopy::{FromBytes, Immutable, IntoBytes};

/// A zeroed buffer of whole pages, from `/dev/xen/hypercall`.
///
/// Nobody but its owner reads or writes it, except the hypervisor during a hypercall that gets
/// its address; such a call borrows the buffer mutably ([`crate::privcmd::Privcmd::hypercall`]).
#[derive(Debug)]
pub struct HypercallBuffer {
    base: NonNull<u8>,
    length: usize,
}

// SAFETY: the buffer owns its mapping, and nothing about it is bound to a thread.
unsafe impl Send for HypercallBuffer {}

impl HypercallBuffer {
    /// Allocates at least `bytes` bytes.
    pub fn new(device: &File, bytes: usize) -> io::Result<Self> {
        let length = bytes.max(1).next_multiple_of(PAGE_SIZE);
        let protection = ProtFlags::READ | ProtFlags::WRITE;
        // SAFETY: a new mapping at an address that the kernel chooses touches no memory of ours.
        let base =
            unsafe { mmap(ptr::null_mut(), length, protection, MapFlags::SHARED, device, 0) }?;
        let base = NonNull::new(base.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { base, length })
    }

    /// Allocates room for a value and puts it in.
    pub fn holding<T: IntoBytes + Immutable>(device: &File, value: &T) -> io::Result<Self> {
        let mut buffer = Self::new(device, size_of::<T>())?;
        buffer.put(value);
        Ok(buffer)
    }

    /// Its address, as hypercalls take it.
    pub fn handle(&self) -> GuestHandle {
        GuestHandle(self.base.as_ptr().expose_provenance() as u64)
    }

    /// All of it.
    pub fn bytes(&self) -> &[u8] {
        // SAFETY: the mapping has this length, was zeroed by the kernel, and lives as long as
        // self; nobody writes it while it is borrowed.
        unsafe { slice::from_raw_parts(self.base.as_ptr(), self.length) }
    }

    /// All of it, to write.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        // SAFETY: as above, and borrowed mutably.
        unsafe { slice::from_raw_parts_mut(self.base.as_ptr(), self.length) }
    }

    /// Puts a value at its start. What is larger than the buffer is cut.
    pub fn put<T: IntoBytes + Immutable>(&mut self, value: &T) {
        for (to, from) in self.bytes_mut().iter_mut().zip(value.as_bytes()) {
            *to = *from;
        }
    }

    /// The value at its start.
    pub fn get<T: FromBytes>(&self) -> T {
        match T::read_from_prefix(self.bytes()) {
            Ok((value, _rest)) => value,
            Err(_too_small) => T::new_zeroed(),
        }
    }

    /// The first `count` values of a type, or as many as fit.
    pub fn list<T: FromBytes>(&self, count: usize) -> Vec<T> {
        self.bytes()
            .chunks_exact(size_of::<T>().max(1))
            .take(count)
            .filter_map(|chunk| T::read_from_bytes(chunk).ok())
            .collect()
    }
}

impl Drop for HypercallBuffer {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, and no borrow of it is left.
        let unmapped = unsafe { munmap(self.base.as_ptr().cast(), self.length) };
        debug_assert!(unmapped.is_ok(), "the mapping was ours: {unmapped:?}");
    }
}
