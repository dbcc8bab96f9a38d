//! Machine frames for the hypervisor's own use, and the hand-over of all others.
//!
//! While booting, frames are taken from the top of memory, so that the low memory that dom0
//! needs stays whole. [`hand_over`] ends that: it puts all that is left into a [`FrameTable`].
#![expect(unsafe_code, reason = "makes the frame table's storage out of frames")]

use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};

use hv_boot::info::BootInfo;
use hv_boot::memory_map;
use hv_boot::ranges::{Range, Ranges};
use hv_core::frame::{FrameLayout, FrameRange, FrameTable, Request};
use hv_core::types::{FRAME_BYTES, Hpa};
use spin::{Mutex, Once};

use super::{image, layout, modules, phys};

/// Memory below this address is left to dom0: DMA of ISA devices, the kernel, the AP trampoline.
const DOM0_FLOOR: u64 = 64 << 20;
/// The least memory that a machine must have.
const MINIMUM_BYTES: u64 = 160 << 20;
/// While the boot page tables are in use, only memory below this can be reached.
static CEILING: AtomicU64 = AtomicU64::new(layout::BOOT_MAPPED);

static EARLY: Mutex<Ranges> = Mutex::new(Ranges::new());
static TABLE: Once<&'static FrameTable> = Once::new();
/// Bytes in use by the hypervisor.
static USED: AtomicU64 = AtomicU64::new(0);

/// Finds out which memory there is, and gives it. From now on [`take`] works.
pub(super) fn init(info: &BootInfo) -> Ranges {
    let mut ram = memory_map::ram(&info.regions);
    ram.remove(Range {
        start: layout::DIRECT_MAP_BYTES,
        end: Range::around(u64::MAX, u64::MAX).end,
    });
    if ram.bytes() < MINIMUM_BYTES {
        fatal!(
            "this machine has {} MiB of memory: dom0 and the hypervisor need at least {} MiB",
            ram.bytes() >> 20,
            MINIMUM_BYTES >> 20
        );
    }
    let mut free = ram.clone();
    // The BIOS's data, and an address that is never to be handed out.
    free.remove(Range { start: 0, end: FRAME_BYTES as u64 });
    free.remove(image::physical());
    USED.store(image::physical().bytes(), Ordering::Relaxed);
    for module in &info.modules {
        free.remove(Range::around(module.start.0, module.start.0 + module.bytes));
    }
    *EARLY.lock() = free;
    ram
}

/// Lets [`take`] use memory that only the final page tables map.
pub(super) fn lift_ceiling() {
    CEILING.store(layout::DIRECT_MAP_BYTES, Ordering::Relaxed);
}

/// Takes `1 << order` frames, aligned to their number, for the hypervisor, for good. Their
/// content is anything.
pub fn take(order: u32) -> Option<Hpa> {
    let bytes = (FRAME_BYTES as u64) << order;
    let taken = match TABLE.get() {
        Some(table) => table.alloc(&Request::hypervisor(order))?.hpa(),
        None => take_early(bytes, bytes, DOM0_FLOOR, CEILING.load(Ordering::Relaxed))?,
    };
    USED.fetch_add(bytes, Ordering::Relaxed);
    Some(taken)
}

/// Gives back what [`take`] took, once the frame table is adopted. Frames from before are lost.
pub fn give(at: Hpa, order: u32) {
    if let Some(table) = TABLE.get() {
        table.put_range(FrameRange { start: at.mfn(), frames: 1 << order });
        USED.fetch_sub((FRAME_BYTES as u64) << order, Ordering::Relaxed);
    }
}

/// Takes memory while booting, as high as possible between two addresses. It doesn't count as
/// used by the hypervisor.
pub(super) fn take_early(bytes: u64, align: u64, floor: u64, ceiling: u64) -> Option<Hpa> {
    EARLY.lock().take_top(bytes, align, floor, ceiling).map(|range| Hpa(range.start))
}

/// Takes a frame below 1 MiB while booting, where a CPU can start in real mode.
pub fn take_low() -> Option<Hpa> {
    let frame = FRAME_BYTES as u64;
    take_early(frame, frame, 0, 0xA_0000)
}

/// Gives memory back while booting.
pub fn give_back(range: Range) {
    EARLY.lock().insert(range);
}

/// Bytes that the hypervisor itself uses.
pub fn used_bytes() -> u64 {
    USED.load(Ordering::Relaxed)
}

/// Ends the boot-time allocation: all memory that the hypervisor doesn't use, the boot modules'
/// included, goes into the table; the modules' frames are then claimed for the hypervisor.
///
/// [`take`] fails from now until [`adopt`], so the heap can't grow in between.
#[inline(never)]
pub fn hand_over() -> FrameTable {
    let mut free = EARLY.lock();
    for module in modules::modules() {
        free.insert(module.frames());
    }
    let layout = FrameLayout::of(&frame_ranges(&free));
    // A frame more, should the layout without these frames be a little larger.
    let bytes = (layout.words() * size_of::<u64>()).next_multiple_of(FRAME_BYTES) + FRAME_BYTES;
    let bytes = bytes as u64;
    // The top of memory is where the modules may be: they must not be taken for free.
    for module in modules::modules() {
        free.remove(module.frames());
    }
    let storage = free.take_top(bytes, FRAME_BYTES as u64, DOM0_FLOOR, layout::DIRECT_MAP_BYTES);
    let Some(storage) = storage else { fatal!("no memory for the frame table ({bytes} bytes)") };
    USED.fetch_add(bytes, Ordering::Relaxed);
    for module in modules::modules() {
        free.insert(module.frames());
    }
    let ranges = frame_ranges(&free);
    let layout = FrameLayout::of(&ranges);
    let words = phys::pointer(Hpa(storage.start), bytes as usize).cast::<AtomicU64>();
    // SAFETY: the frames were just taken, for good, and are in the direct map; atomics of any
    // content are valid.
    let storage = unsafe { core::slice::from_raw_parts(words, bytes as usize / size_of::<u64>()) };
    let table = FrameTable::new(layout, &ranges, storage);
    modules::claim(&table);
    *free = Ranges::new();
    table
}

/// Makes [`take`] and the heap draw on the table.
pub fn adopt(table: &'static FrameTable) {
    TABLE.call_once(|| table);
}

fn frame_ranges(free: &Ranges) -> Vec<FrameRange> {
    free.iter()
        .map(|range| FrameRange::between(Hpa(range.start).mfn(), Hpa(range.end).mfn()))
        .collect()
}
