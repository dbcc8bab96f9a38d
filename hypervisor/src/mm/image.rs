//! Where the image's parts lie, as the linker script names them.
#![expect(unsafe_code, reason = "names the linker's symbols")]

use hv_boot::ranges::Range;
use x86defs::paging::Pte;

use super::layout::IMAGE;

unsafe extern "C" {
    static text_start: u8;
    static text_end: u8;
    static rodata_start: u8;
    static rodata_end: u8;
    static data_start: u8;
    static boot_stack_guard: u8;
    static image_end: u8;
}

const PAGE: u64 = 4096;

/// A part of the image: its virtual addresses, and how they may be used.
pub struct Part {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Protection.
    pub flags: Pte,
}

/// The parts that are to be mapped. The page below the boot stack is in none.
pub fn parts() -> [Part; 4] {
    let code = Pte::PRESENT | Pte::GLOBAL;
    let constants = code | Pte::NX;
    let data = constants | Pte::WRITE;
    let guard = &raw const boot_stack_guard as u64;
    let part = |start: *const u8, end: *const u8, flags| Part {
        start: start as u64,
        end: end as u64,
        flags,
    };
    [
        part(&raw const text_start, &raw const text_end, code),
        part(&raw const rodata_start, &raw const rodata_end, constants),
        Part { start: &raw const data_start as u64, end: guard, flags: data },
        Part { start: guard + PAGE, end: &raw const image_end as u64, flags: data },
    ]
}

/// The image's physical addresses.
pub fn physical() -> Range {
    let start = &raw const text_start as u64 - IMAGE;
    Range::around(start, &raw const image_end as u64 - IMAGE)
}

/// Whether code lies at this address.
pub fn is_code(address: u64) -> bool {
    (&raw const text_start as u64..&raw const text_end as u64).contains(&address)
}
