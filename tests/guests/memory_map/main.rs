//! The memory map, reservations, and giving a page back and getting it again.
#![cfg_attr(freestanding, no_std, no_main)]

use guest::hypercall::memory;
use guest::memory::Page;
use guest::start_info;
use guest::{ensure, ensure_eq, note};
use xen_abi::arch_x86::hvm::start_info::MemmapType;
use xen_abi::memory::{E820Entry, MemoryCmd, MemoryDomain, MemoryMap, MemoryReservation};
use xen_abi::xen::{DOMID_SELF, SIF_INITDOMAIN, SIF_PRIVILEGED};

guest::guest!("memory_map", test);

fn test() {
    let info = start_info::get();
    ensure!(info.flags & (SIF_PRIVILEGED | SIF_INITDOMAIN) == 3, "flags are {:#x}", info.flags);
    ensure!(info.rsdp_paddr != 0, "there is no RSDP");
    let ram = map();
    reservations(ram);
    give_and_take();
}

fn contains_ram(start: u64, end: u64, entry: &E820Entry) -> bool {
    let first = entry.addr.get();
    entry.ty.get() == MemmapType::RAM.0 && first <= start && end <= first + entry.size.get()
}

/// Checks the map; returns its pages of RAM.
fn map() -> u64 {
    let buffer = Page::new();
    let mut arg = MemoryMap { nr_entries: 128, buffer: buffer.handle(0), ..Default::default() };
    ensure_eq!(memory(MemoryCmd::MEMORY_MAP, &mut arg), 0, "memory_map");
    let entries = arg.nr_entries as usize;
    ensure!((1..=128).contains(&entries), "the map has {entries} entries");
    let entry = |index: usize| buffer.read::<E820Entry>(index * size_of::<E820Entry>());

    let (mut end, mut ram, mut holds_image) = (0, 0, false);
    let here = Page::new().address();
    for index in 0..entries {
        let entry = entry(index);
        let (addr, size) = (entry.addr.get(), entry.size.get());
        note!("{addr:#12x} + {size:#12x} type {}", entry.ty.get());
        ensure!(addr >= end, "the map isn't sorted at {addr:#x}");
        ensure!((1..=7).contains(&entry.ty.get()), "type {} at {addr:#x}", entry.ty.get());
        end = addr + size;
        if entry.ty.get() == MemmapType::RAM.0 {
            ram += size >> 12;
        }
        holds_image |= contains_ram(here, here + 4096, &entry);
    }
    ensure!(holds_image, "the guest's own memory isn't RAM in the map");
    agrees_with_start_info(entries, entry);
    ram
}

/// A version 1 start_info has a map, too: they must be the same.
fn agrees_with_start_info(entries: usize, entry: impl Fn(usize) -> E820Entry) {
    let mut count = 0;
    for (index, theirs) in start_info::memory_map().enumerate() {
        let ours = entry(index);
        let same = (ours.addr.get(), ours.size.get(), ours.ty.get());
        ensure_eq!((theirs.addr, theirs.size, theirs.ty.0), same, "start_info's entry {index}");
        count += 1;
    }
    ensure!(count == 0 || count == entries, "start_info has {count} entries of {entries}");
}

fn reservations(ram: u64) {
    let query = |cmd| memory(cmd, &mut MemoryDomain { domid: DOMID_SELF });
    let current = query(MemoryCmd::CURRENT_RESERVATION);
    let maximum = query(MemoryCmd::MAXIMUM_RESERVATION);
    let highest = query(MemoryCmd::MAXIMUM_GPFN);
    note!("{ram} pages of RAM, reservation {current} of {maximum}, highest gfn {highest:#x}");
    ensure!(current > 0 && maximum >= current, "reservation {current} of {maximum}");
    ensure!(highest as u64 >= Page::new().gfn(), "highest gfn is {highest:#x}");
}

fn give_and_take() {
    let page = Page::new();
    let list = Page::new();
    page.fill(0x5a);
    let mut arg = MemoryReservation {
        extent_start: list.handle(0),
        nr_extents: 1,
        domid: DOMID_SELF,
        ..Default::default()
    };
    list.write(0, page.gfn());
    let before = memory(MemoryCmd::CURRENT_RESERVATION, &mut MemoryDomain { domid: DOMID_SELF });
    ensure_eq!(memory(MemoryCmd::DECREASE_RESERVATION, &mut arg), 1, "decrease_reservation");
    let after = memory(MemoryCmd::CURRENT_RESERVATION, &mut MemoryDomain { domid: DOMID_SELF });
    ensure_eq!(after, before - 1, "reservation after giving a page back");
    ensure!(page.read::<u64>(0) != 0x5a5a_5a5a_5a5a_5a5a, "the page given back is still there");

    list.write(0, page.gfn());
    ensure_eq!(memory(MemoryCmd::POPULATE_PHYSMAP, &mut arg), 1, "populate_physmap");
    page.fill(0xa5);
    ensure!(page.is_filled(0, 4096, 0xa5), "the new page isn't memory");
}
