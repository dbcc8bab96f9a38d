//! The hypervisor's memory: its address space, its heap and stacks, and access to all the rest.
//!
//! Locks, from the outermost: heap, page tables, early frames or the frame table.

pub mod frames;
mod heap;
mod image;
mod layout;
mod mmio;
mod modules;
pub mod phys;
mod stacks;
mod tables;

use hv_boot::info::BootInfo;
use hv_core::types::Hpa;

pub use layout::BOOT_MAPPED;
pub use mmio::{Caching, Mmio, map_mmio};
pub use modules::modules;
pub use stacks::Stack;
pub use tables::{Trampoline, switch};

/// Where VGA's text buffer is mapped, always.
pub fn vga_text() -> *mut u16 {
    phys::pointer(Hpa(tables::VGA_TEXT), tables::VGA_TEXT_BYTES as usize).cast()
}

/// Moves from the boot loader's arrangement of memory to our own: builds the final page tables
/// and switches to them, opens the heap, moves the boot modules out of dom0's way.
pub fn init(info: &BootInfo) {
    let ram = frames::init(info);
    tables::init(&ram);
    heap::init();
    modules::init(info);
    let megabytes = ram.bytes() >> 20;
    info!("memory: {megabytes} MiB");
    for region in &info.regions {
        debug!("  {:016x}-{:016x} {}", region.start, region.end(), region.kind.name());
    }
    if info.dropped != 0 {
        warning!("{} entries of the boot information did not fit", info.dropped);
    }
}
