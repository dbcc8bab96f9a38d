//! The guest's page tables: from a linear address to a guest-physical one.
//!
//! [`walk`] does what the processor's page walk does (Intel SDM volume 3, chapter 4), for no
//! paging, 32-bit, PAE and 4-level tables, but reads the entries through a callback and leaves
//! the accessed and dirty bits alone. SMAP and protection keys are not enforced: hypercalls
//! from a user's buffers through the guest's kernel are the reason to walk at all.

use hv_core::types::Gpa;

use x86defs::cr::{Cr0, Cr4};
use x86defs::exception::PageFaultError;
use x86defs::msr::Efer;
use x86defs::paging::Pte;

use crate::fault::PageFault;

/// Where an entry holds an address, in tables with 8-byte entries.
const ADDRESS: u64 = Pte::ADDRESS_MASK;

/// The registers that decide how an address is translated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Paging {
    /// CR0.
    pub cr0: u64,
    /// CR3.
    pub cr3: u64,
    /// CR4.
    pub cr4: u64,
    /// The EFER MSR.
    pub efer: u64,
    /// The physical address width that CPUID reports to the guest, 32 to 52.
    pub physical_bits: u8,
}

/// Which tables are in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Paging is off.
    None,
    /// Two levels of 4-byte entries.
    Legacy,
    /// Three levels of 8-byte entries.
    Pae,
    /// Four levels of 8-byte entries.
    Long,
}

/// What the access is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A data read.
    Read,
    /// A data write.
    Write,
    /// An instruction fetch.
    Fetch,
}

/// An access, for the check of rights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// What it is.
    pub kind: Kind,
    /// Made with CPL 3. Implicit accesses and hypercalls are the supervisor's.
    pub user: bool,
}

impl Access {
    /// A supervisor's read.
    pub const READ: Self = Self { kind: Kind::Read, user: false };
    /// A supervisor's write.
    pub const WRITE: Self = Self { kind: Kind::Write, user: false };
}

/// Where a linear address leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Translation {
    /// The guest-physical address of the byte.
    pub gpa: Gpa,
    /// Size of the page that holds it: the translation is linear up to that page's end.
    pub page_bytes: u64,
}

/// Why there is no translation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WalkError<E> {
    /// The guest's tables do not allow the access.
    Fault(PageFault),
    /// The address is not canonical, which raises #GP (or #SS), not #PF.
    NonCanonical,
    /// The callback failed to read an entry.
    Memory(E),
}

impl Paging {
    /// Which tables are in use.
    pub const fn mode(&self) -> Mode {
        if self.cr0 & Cr0::PG.bits() == 0 {
            Mode::None
        } else if self.cr4 & Cr4::PAE.bits() == 0 {
            Mode::Legacy
        } else if self.efer & Efer::LMA.bits() == 0 {
            Mode::Pae
        } else {
            Mode::Long
        }
    }

    const fn has_no_execute(&self) -> bool {
        self.efer & Efer::NXE.bits() != 0 && self.cr4 & Cr4::PAE.bits() != 0
    }

    /// Bits above the physical address width, within the 52 of the architecture.
    const fn beyond_width(&self) -> u64 {
        match u64::MAX.checked_shl(self.physical_bits as u32) {
            Some(above) => above & ADDRESS,
            None => 0,
        }
    }
}

/// One level of a walk: how its entries are laid out.
#[derive(Clone, Copy)]
struct Level {
    mode: Mode,
    /// 1 for page tables, 4 for the PML4.
    number: u32,
}

impl Level {
    const fn top(mode: Mode) -> Self {
        let number = match mode {
            Mode::None => 0,
            Mode::Legacy => 2,
            Mode::Pae => 3,
            Mode::Long => 4,
        };
        Self { mode, number }
    }

    const fn shift(self) -> u32 {
        let index_bits = if matches!(self.mode, Mode::Legacy) { 10 } else { 9 };
        self.number.saturating_sub(1).wrapping_mul(index_bits).wrapping_add(12)
    }

    const fn page_bytes(self) -> u64 {
        1 << (self.shift() & 63)
    }

    /// The address of the entry for `address`, in the table at `table`.
    const fn entry(self, table: u64, address: u64) -> u64 {
        let index = address >> (self.shift() & 63);
        match self.mode {
            Mode::Legacy => table | (index & 0x3ff) << 2,
            _ => table | (index & 0x1ff) << 3,
        }
    }

    /// Whether `entry` maps a page here, instead of leading to the next table.
    const fn is_leaf(self, entry: u64, paging: &Paging) -> bool {
        match (self.number, self.mode) {
            (1, _) => true,
            (2, Mode::Legacy) => {
                entry & Pte::LARGE.bits() != 0 && paging.cr4 & Cr4::PSE.bits() != 0
            }
            (2, _) | (3, Mode::Long) => entry & Pte::LARGE.bits() != 0,
            _ => false,
        }
    }

    /// The bits that must be clear in `entry`.
    const fn reserved(self, leaf: bool, paging: &Paging) -> u64 {
        if matches!(self.mode, Mode::Legacy) {
            // A 4 MiB page holds address bits 32 to 39 in bits 13 to 20 (PSE-36).
            return if leaf && self.number == 2 { 1 << 21 } else { 0 };
        }
        let mut reserved = paging.beyond_width();
        if paging.efer & Efer::NXE.bits() == 0 {
            reserved |= Pte::NX.bits();
        }
        if matches!(self.mode, Mode::Pae) {
            reserved |= 0x7ff0_0000_0000_0000;
        }
        match (self.number, self.mode) {
            (3, Mode::Pae) => reserved | Pte::NX.bits() | 0x1e6,
            (4, _) => reserved | Pte::LARGE.bits(),
            // Bit 12 of a large page is PAT; the address starts at the page's size.
            (2 | 3, _) if leaf => reserved | (self.page_bytes().wrapping_sub(1) & !0x1fff),
            _ => reserved,
        }
    }

    /// The address of the page that the leaf `entry` maps.
    const fn page(self, entry: u64) -> u64 {
        match (self.number, self.mode) {
            (2, Mode::Legacy) => entry & 0xffc0_0000 | (entry >> 13 & 0xff) << 32,
            _ => entry & ADDRESS & !self.page_bytes().wrapping_sub(1),
        }
    }
}

/// What all levels together allow.
#[derive(Clone, Copy)]
struct Rights {
    writable: bool,
    user: bool,
    no_execute: bool,
}

impl Rights {
    /// Takes in one level's entry. PAE's top level has no rights.
    const fn restrict(self, entry: u64, level: Level) -> Self {
        if level.number == 3 && matches!(level.mode, Mode::Pae) {
            return self;
        }
        let wide = !matches!(level.mode, Mode::Legacy);
        Self {
            writable: self.writable && entry & Pte::WRITE.bits() != 0,
            user: self.user && entry & Pte::USER.bits() != 0,
            no_execute: self.no_execute || wide && entry & Pte::NX.bits() != 0,
        }
    }

    const fn allow(self, access: Access, paging: &Paging) -> bool {
        if access.user && !self.user {
            return false;
        }
        match access.kind {
            Kind::Read => true,
            Kind::Write => self.writable || !access.user && paging.cr0 & Cr0::WP.bits() == 0,
            Kind::Fetch => {
                let smep = paging.cr4 & Cr4::SMEP.bits() != 0 && self.user && !access.user;
                !(smep || self.no_execute && paging.has_no_execute())
            }
        }
    }
}

/// Translates `address`. `read` gives the 8 bytes at a guest-physical address, which is a
/// multiple of 8, as a little-endian number.
///
/// # Errors
/// What the processor would raise, or what `read` failed with.
pub fn walk<E>(
    paging: &Paging,
    address: u64,
    access: Access,
    mut read: impl FnMut(Gpa) -> Result<u64, E>,
) -> Result<Translation, WalkError<E>> {
    let mode = paging.mode();
    let (address, mut table) = match mode {
        Mode::None => {
            return Ok(Translation { gpa: Gpa(address & 0xffff_ffff), page_bytes: 4096 });
        }
        Mode::Legacy => (address & 0xffff_ffff, paging.cr3 & 0xffff_f000),
        Mode::Pae => (address & 0xffff_ffff, paging.cr3 & 0xffff_ffe0),
        Mode::Long if !is_canonical(address) => return Err(WalkError::NonCanonical),
        Mode::Long => (address, paging.cr3 & ADDRESS),
    };
    let fault = |cause| Err(WalkError::Fault(page_fault(paging, address, access, cause)));
    let mut level = Level::top(mode);
    let mut rights = Rights { writable: true, user: true, no_execute: false };
    loop {
        let at = level.entry(table, address);
        let words = read(Gpa(at & !7)).map_err(WalkError::Memory)?;
        let entry = match mode {
            Mode::Legacy => words >> (at << 3 & 32) & 0xffff_ffff,
            _ => words,
        };
        if entry & Pte::PRESENT.bits() == 0 {
            return fault(0);
        }
        let leaf = level.is_leaf(entry, paging);
        if entry & level.reserved(leaf, paging) != 0 {
            return fault(PageFaultError::PRESENT.bits() | PageFaultError::RESERVED.bits());
        }
        rights = rights.restrict(entry, level);
        if leaf {
            if !rights.allow(access, paging) {
                return fault(PageFaultError::PRESENT.bits());
            }
            let page_bytes = level.page_bytes();
            let offset = address & page_bytes.wrapping_sub(1);
            return Ok(Translation { gpa: Gpa(level.page(entry) | offset), page_bytes });
        }
        table = if matches!(mode, Mode::Legacy) { entry & 0xffff_f000 } else { entry & ADDRESS };
        level.number = level.number.saturating_sub(1);
    }
}

const fn is_canonical(address: u64) -> bool {
    let sign = address.cast_signed() >> 47;
    sign == 0 || sign == -1
}

const fn page_fault(paging: &Paging, address: u64, access: Access, cause: u32) -> PageFault {
    let mut code = cause;
    match access.kind {
        Kind::Read => {}
        Kind::Write => code |= PageFaultError::WRITE.bits(),
        Kind::Fetch if paging.has_no_execute() || paging.cr4 & Cr4::SMEP.bits() != 0 => {
            code |= PageFaultError::FETCH.bits();
        }
        Kind::Fetch => {}
    }
    if access.user {
        code |= PageFaultError::USER.bits();
    }
    PageFault { address, code }
}

#[cfg(test)]
mod tests;
