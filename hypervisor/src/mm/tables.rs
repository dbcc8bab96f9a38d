//! The hypervisor's page tables. All CPUs share them, and mappings are only ever added.
#![expect(unsafe_code, reason = "writes page tables and switches to them")]

use hv_boot::info::Display;
use hv_boot::page_table::{self, MapError, Mapping, TableMemory};
use hv_boot::ranges::Ranges;
use hv_core::types::{FRAME_BYTES, Hpa};
use spin::{Mutex, Once};
use x86_64::PhysAddr;
use x86_64::registers::control::{Cr3, Cr3Flags};
use x86_64::structures::paging::PhysFrame;
use x86defs::paging::Pte;

use super::layout::{BOOT_MAPPED, DIRECT_MAP, IMAGE};
use super::{frames, image, phys};
use crate::arch::cpu;
use crate::drivers::framebuffer;

const FRAME: u64 = FRAME_BYTES as u64;

/// VGA's text buffer, which a console writes at its place in the direct map.
pub(super) const VGA_TEXT: u64 = 0xB_8000;
pub(super) const VGA_TEXT_BYTES: u64 = 0x8000;

/// Writable data.
pub(super) const DATA: Pte = Pte(Pte::PRESENT.0 | Pte::WRITE.0 | Pte::NX.0 | Pte::GLOBAL.0);
const READ_ONLY: Pte = Pte(Pte::PRESENT.0 | Pte::NX.0 | Pte::GLOBAL.0);
/// For device registers.
pub(super) const UNCACHED: Pte = Pte(Pte::PWT.0 | Pte::PCD.0);
/// Write-through until `cpu::enable` has set the page attribute table.
const WRITE_COMBINING: Pte = Pte::PWT;

/// Makes changes to the tables exclusive; the root never changes.
static LOCK: Mutex<Tables> = Mutex::new(Tables(()));
static ROOT: Once<Hpa> = Once::new();

/// The tables' memory. Only the value in [`LOCK`] exists.
struct Tables(());

impl Tables {
    fn entry(table: Hpa, index: usize) -> *mut u64 {
        assert!(index < 512);
        phys::pointer(table, FRAME_BYTES).cast::<u64>().wrapping_add(index)
    }
}

impl TableMemory for Tables {
    fn load(&self, table: Hpa, index: usize) -> Pte {
        // SAFETY: a table's frame, which only this module and the CPUs' page walks touch.
        Pte(unsafe { Self::entry(table, index).read_volatile() })
    }

    fn store(&mut self, table: Hpa, index: usize, entry: Pte) {
        // SAFETY: as above; `&mut` on the one value makes writers exclusive.
        unsafe { Self::entry(table, index).write_volatile(entry.0) };
    }

    fn allocate(&mut self) -> Option<Hpa> {
        let table = frames::take(0)?;
        phys::zero(table, FRAME_BYTES);
        Some(table)
    }
}

/// Builds the tables and switches the boot CPU to them.
///
/// The VGA text buffer and the framebuffer stay where the boot page tables have them, at their
/// places in the direct map, so that a console goes on working.
pub(super) fn init(ram: &Ranges, display: Display) {
    let mut tables = LOCK.lock();
    let built = build(&mut tables, ram, display);
    let Ok(root) = built else { fatal!("no memory for page tables") };
    ROOT.call_once(|| root);
    drop(tables);
    switch();
    frames::lift_ceiling();
}

fn build(tables: &mut Tables, ram: &Ranges, display: Display) -> Result<Hpa, MapError> {
    let root = tables.allocate().ok_or(MapError::NoMemory)?;
    for part in image::parts() {
        let mapping = Mapping {
            virt: part.start,
            phys: part.start - IMAGE,
            bytes: part.end - part.start,
            flags: part.flags,
            largest: 1,
        };
        page_table::map(tables, root, mapping)?;
    }
    let largest = if cpu::features().page_1g { 3 } else { 2 };
    let mut rest = ram.clone();
    rest.remove(image::physical());
    for range in rest.iter() {
        direct(tables, root, (range.start, range.end), DATA, largest)?;
    }
    direct(tables, root, (VGA_TEXT, VGA_TEXT + VGA_TEXT_BYTES), DATA | UNCACHED, 1)?;
    if let Display::Linear(framebuffer) = display
        && let Some(bytes) = framebuffer::bytes(&framebuffer)
    {
        let start = framebuffer.start.0;
        fill_holes(tables, root, (start, start + bytes as u64), DATA | WRITE_COMBINING)?;
    }
    Ok(root)
}

fn direct(
    tables: &mut Tables,
    root: Hpa,
    (start, end): (u64, u64),
    flags: Pte,
    largest: u32,
) -> Result<(), MapError> {
    let virt = DIRECT_MAP + start;
    let mapping = Mapping { virt, phys: start, bytes: end - start, flags, largest };
    page_table::map(tables, root, mapping)
}

/// Adds a mapping, outside of the direct map.
pub(super) fn map(mapping: Mapping) -> Result<(), MapError> {
    page_table::map(&mut *LOCK.lock(), root(), mapping)
}

/// Makes the pages of `start..end` readable in the direct map, if they aren't.
pub(super) fn map_firmware(start: u64, end: u64) -> Result<(), MapError> {
    fill_holes(&mut LOCK.lock(), root(), (start, end), READ_ONLY)
}

/// Makes a framebuffer's pages writable in the direct map, if they aren't.
pub(super) fn map_framebuffer(start: u64, end: u64) -> Result<(), MapError> {
    fill_holes(&mut LOCK.lock(), root(), (start, end), DATA | WRITE_COMBINING)
}

/// Maps those pages of `start..end` in the direct map that aren't.
fn fill_holes(
    tables: &mut Tables,
    root: Hpa,
    (start, end): (u64, u64),
    flags: Pte,
) -> Result<(), MapError> {
    for page in (start / FRAME * FRAME..end).step_by(FRAME_BYTES) {
        if page_table::look_up(tables, root, DIRECT_MAP + page).is_none() {
            direct(tables, root, (page, page + FRAME), flags, 1)?;
        }
    }
    Ok(())
}

/// Whether the final page tables are in use.
pub(super) fn in_use() -> bool {
    ROOT.is_completed()
}

/// Whether the address is mapped: for code that must not fault, such as backtraces.
pub fn is_mapped(address: u64) -> bool {
    // A fault while the lock is held must not become a deadlock.
    let Some(tables) = LOCK.try_lock() else { return false };
    ROOT.get().is_some_and(|&root| page_table::look_up(&*tables, root, address).is_some())
}

/// The physical address of the top table.
pub fn root() -> Hpa {
    *ROOT.get().expect("page tables are built before they are used")
}

/// Makes the executing CPU use the tables.
pub fn switch() {
    let frame = PhysFrame::containing_address(PhysAddr::new(root().0));
    // SAFETY: the tables map all that the boot tables did and that is still used: the image with
    // its stack, and all RAM at its place in the direct map.
    unsafe { Cr3::write(frame, Cr3Flags::empty()) };
}

/// Page tables that map one low frame at its own address as well, for CPUs that switch paging on
/// in it.
pub struct Trampoline {
    /// The top table, below 4 GiB.
    pub root: Hpa,
}

impl Trampoline {
    /// Builds such tables for `frame`. They are never taken down.
    pub fn new(frame: Hpa) -> Result<Self, MapError> {
        let mut tables = LOCK.lock();
        let low = frames::take_early(FRAME, FRAME, 0, BOOT_MAPPED).ok_or(MapError::NoMemory)?;
        for index in 0..512 {
            let entry = tables.load(root(), index);
            tables.store(low, index, entry);
        }
        let mapping =
            Mapping { virt: frame.0, phys: frame.0, bytes: FRAME, flags: Pte::PRESENT, largest: 1 };
        page_table::map(&mut *tables, low, mapping)?;
        Ok(Self { root: low })
    }
}
