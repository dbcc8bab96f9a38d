//! The hypervisor's heap: it grows by frames when it is full, up to a bound.
#![expect(unsafe_code, reason = "implements the global allocator")]

use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};

use hv_boot::page_table::Mapping;
use hv_core::types::FRAME_BYTES;
use spin::Mutex;
use talc::{OomHandler, Span, Talc};

use super::{frames, layout, tables};

/// log2 of the frames that the heap grows by: 256 KiB.
const CHUNK_ORDER: u32 = 6;
const CHUNK_BYTES: u64 = (FRAME_BYTES as u64) << CHUNK_ORDER;
/// The heap begins with this much, so that it needn't grow between `frames::hand_over` and
/// `frames::adopt`.
const FIRST_BYTES: usize = 768 << 10;
/// The heap never grows beyond this. What a domain makes the hypervisor allocate is bounded by
/// its own limits; this is against our own mistakes.
const MAX_BYTES: u64 = 256 << 20;

/// Adds frames at the heap's end.
struct Grow {
    heap: Span,
    end: u64,
}

impl OomHandler for Grow {
    fn handle_oom(talc: &mut Talc<Self>, layout: Layout) -> Result<(), ()> {
        let start = talc.oom_handler.end;
        // The allocator's own overhead is far below a chunk.
        let wanted = (layout.size() + layout.align()) as u64 + FRAME_BYTES as u64;
        let bytes = wanted.next_multiple_of(CHUNK_BYTES);
        if start + bytes > layout::HEAP + MAX_BYTES {
            return Err(());
        }
        let mapped = back(start, bytes);
        talc.oom_handler.end += mapped;
        if mapped == 0 {
            return Err(());
        }
        let heap = talc.oom_handler.heap;
        talc.oom_handler.heap = if heap.is_empty() {
            // SAFETY: just mapped, to frames that are used for nothing else.
            unsafe { talc.claim(Span::from_base_size(start as *mut u8, mapped as usize)) }?
        } else {
            // SAFETY: `heap` is what the last growth gave, up to the end of the pages of then;
            // the pages behind were just mapped, to frames that are used for nothing else.
            unsafe { talc.extend(heap, heap.extend(0, mapped as usize)) }
        };
        // Less than wanted may have been had: the allocator must not ask for ever.
        if mapped == bytes { Ok(()) } else { Err(()) }
    }
}

/// Backs addresses with frames; gives how many bytes it got, from the first on.
fn back(start: u64, bytes: u64) -> u64 {
    let mut done = 0;
    while done < bytes {
        let chunk = frames::take(CHUNK_ORDER).map(|phys| (phys, CHUNK_BYTES));
        let single = || frames::take(0).map(|phys| (phys, FRAME_BYTES as u64));
        let Some((phys, bytes)) = chunk.or_else(single) else { break };
        let (virt, phys) = (start + done, phys.0);
        let mapping = Mapping { virt, phys, bytes, flags: tables::DATA, largest: 1 };
        if tables::map(mapping).is_err() {
            break;
        }
        done += mapping.bytes;
    }
    done
}

/// Opens the heap.
pub(super) fn init() {
    let mut heap = HEAP.0.lock();
    let first = Layout::array::<u8>(FIRST_BYTES);
    if !first.is_ok_and(|layout| Grow::handle_oom(&mut heap, layout).is_ok()) {
        fatal!("no memory for the heap");
    }
}

struct Heap(Mutex<Talc<Grow>>);

#[cfg_attr(freestanding, global_allocator)]
static HEAP: Heap = Heap(Mutex::new(Talc::new(Grow { heap: Span::empty(), end: layout::HEAP })));

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
