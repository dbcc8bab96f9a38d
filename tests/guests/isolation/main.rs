//! Memory that isn't the guest's: it reads as ones or as firmware's, and can't be changed.
#![cfg_attr(freestanding, no_std, no_main)]
#![expect(unsafe_code, reason = "writes to memory that isn't the guest's")]

use guest::cpu::{read_memory, write_memory};
use guest::hypercall::{memory, version_plain};
use guest::memory::Page;
use guest::{ensure, ensure_eq, note};
use xen_abi::arch_x86::hvm::start_info::MemmapType;
use xen_abi::memory::{E820Entry, MemoryCmd, MemoryMap};
use xen_abi::version::VersionCmd;

guest::guest!("isolation", test);

const PATTERN: u32 = 0x0bad_cafe;
/// Local APICs, I/O APICs, flash: devices answer there.
const DEVICES: u64 = 0xe000_0000;

fn test() {
    let buffer = Page::new();
    let mut arg = MemoryMap { nr_entries: 128, buffer: buffer.handle(0), ..Default::default() };
    ensure_eq!(memory(MemoryCmd::MEMORY_MAP, &mut arg), 0, "memory_map");
    let entry = |index: u32| buffer.read::<E820Entry>(index as usize * size_of::<E820Entry>());
    let mut probed = 0;
    let mut end = 0;
    for index in 0..arg.nr_entries {
        let entry = entry(index);
        let (addr, size) = (entry.addr.get(), entry.size.get());
        if addr > end && end >= 0x10_0000 {
            probed += probe(end, addr);
        }
        if entry.ty.get() == MemmapType::UNUSABLE.0 {
            probed += probe(addr, addr + size);
        }
        end = addr + size;
    }
    note!("{probed} places were probed");
    ensure_eq!(version_plain(VersionCmd::VERSION), 4 << 16 | 20, "version at the end");
}

/// Writes and reads at some places of a range; returns how many.
fn probe(start: u64, end: u64) -> u32 {
    let end = end.min(DEVICES);
    let mut probed = 0;
    let step = (end.saturating_sub(start) / 64).max(4096) & !0xfff;
    let mut address = (start + 0xfff) & !0xfff;
    while address + 4096 <= end {
        let before = read_memory(address);
        // SAFETY: the address isn't RAM of this guest.
        let written = unsafe { write_memory(address, PATTERN) };
        let after = read_memory(address);
        ensure!(before.is_ok() && written.is_ok(), "{address:#x}: {before:?}, {written:?}");
        ensure!(
            after != Ok(PATTERN),
            "memory at {address:#x} isn't this guest's but can be written"
        );
        probed += 1;
        address += step;
    }
    probed
}
