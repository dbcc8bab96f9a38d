//! What the hypervisor tells a guest at its start.

use crate::memory::peek;
use crate::report;
use core::sync::atomic::{AtomicU64, Ordering};
use xen_abi::arch_x86::hvm::start_info::{MemmapEntry, START_MAGIC_VALUE, StartInfo};

static ADDRESS: AtomicU64 = AtomicU64::new(0);

/// Remembers where it is.
#[cfg(freestanding)]
pub(crate) fn set(address: u64) {
    ADDRESS.store(address, Ordering::SeqCst);
}

/// The start information.
#[must_use]
pub fn get() -> StartInfo {
    let info: StartInfo = peek(ADDRESS.load(Ordering::SeqCst));
    if info.magic != START_MAGIC_VALUE {
        report::failure(format_args!("EBX at entry led to magic {:#x}", info.magic));
    }
    info
}

/// The entries of its memory map; none before version 1.
pub fn memory_map() -> impl Iterator<Item = MemmapEntry> {
    let info = get();
    let entries = if info.version == 0 { 0 } else { info.memmap_entries };
    (0..u64::from(entries)).map(move |index| peek(info.memmap_paddr + index * 24))
}
