//! The hypervisor's memory: its address space, its heap and stacks, and access to all the rest.
//!
//! Locks, from the outermost: heap, page tables, early frames or the frame table.

mod frame_box;
mod frame_buffer;
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

pub use frame_box::FrameBox;
pub use frame_buffer::FrameBuffer;
pub use image::is_code;
pub use layout::BOOT_MAPPED;
pub use mmio::{Mmio, map_mmio};
pub use modules::{BootModule, modules};
pub use stacks::Stack;
pub use tables::{Trampoline, is_mapped, switch};

/// Where VGA's text buffer is mapped, always.
pub fn vga_text() -> *mut u16 {
    phys::pointer(Hpa(tables::VGA_TEXT), tables::VGA_TEXT_BYTES as usize).cast()
}

/// Where a framebuffer is mapped. `None` if only the final page tables can map it and they are
/// not in use yet.
pub fn framebuffer(start: Hpa, bytes: usize) -> Option<*mut u8> {
    let end = start.0.checked_add(bytes as u64)?;
    if tables::in_use() {
        tables::map_framebuffer(start.0, end).ok()?;
    } else if end > BOOT_MAPPED {
        return None;
    }
    Some(phys::pointer(start, bytes))
}

/// Moves from the boot loader's arrangement of memory to our own: builds the final page tables
/// and switches to them, opens the heap, moves the boot modules out of dom0's way.
pub fn init(info: &BootInfo) {
    let ram = frames::init(info);
    tables::init(&ram, info.display);
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
