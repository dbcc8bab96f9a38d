//! The hypervisor's heap.
#![expect(unsafe_code, reason = "implements the global allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use spin::Mutex;
use talc::{ErrOnOom, Talc};

struct Heap(Mutex<Talc<ErrOnOom>>);

#[cfg_attr(freestanding, global_allocator)]
static HEAP: Heap = Heap(Mutex::new(Talc::new(ErrOnOom)));

// SAFETY: `Talc` keeps the contract, and the lock makes its calls exclusive.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller promises that the size is not zero.
        unsafe { self.0.lock().malloc(layout) }.map_or(ptr::null_mut(), NonNull::as_ptr)
    }

    unsafe fn dealloc(&self, block: *mut u8, layout: Layout) {
        // A block that was allocated is never null.
        let Some(block) = NonNull::new(block) else { return };
        // SAFETY: the caller promises that the block and its layout came from `alloc`.
        unsafe { self.0.lock().free(block, layout) };
    }
}
