//! `start_info`, what a PVH domain's kernel finds at EBX: with it go the module list, the memory
//! map, and the command lines, in one piece.
//!
//! Early Linux maps only the first GiB, so the piece has to lie below; the first module, Linux's
//! initramfs, anywhere below 4 GiB.

use alloc::vec;
use alloc::vec::Vec;

use hv_core::types::Gpa;
use xen_abi::arch_x86::hvm::start_info::{
    MemmapEntry, ModlistEntry, START_MAGIC_VALUE, StartInfo as Header,
};
use zerocopy::IntoBytes;

use crate::memory::Span;

/// Bytes that the memory map's entries are aligned to.
const ALIGN: usize = 8;

/// A file for the kernel.
#[derive(Clone, Copy, Debug)]
pub struct Module<'a> {
    /// Where it lies.
    pub span: Span,
    /// Its command line; may be empty.
    pub command_line: &'a [u8],
}

/// What a kernel is told.
#[derive(Clone, Copy, Debug)]
pub struct StartInfo<'a> {
    /// `SIF_*` flags.
    pub flags: u32,
    /// The kernel's command line, without a closing NUL.
    pub command_line: &'a [u8],
    /// Files for it, the initramfs first.
    pub modules: &'a [Module<'a>],
    /// Where the RSDP is; zero for none.
    pub rsdp: Gpa,
    /// The memory map.
    pub memory: &'a [MemmapEntry],
}

impl StartInfo<'_> {
    /// How many bytes [`Self::place`] gives.
    pub fn bytes(&self) -> usize {
        self.place(Gpa(0)).len()
    }

    /// The structure and all that it points at, as it has to lie at `at`, a multiple of 8.
    pub fn place(&self, at: Gpa) -> Vec<u8> {
        let mut bytes = vec![0; size_of::<Header>()];
        let address = |offset: usize| at.0.saturating_add(offset as u64);

        let memmap_at = bytes.len();
        bytes.extend(self.memory.as_bytes());

        // The list's place is known before its entries are, as they have a fixed length.
        let modlist_at = bytes.len().next_multiple_of(ALIGN);
        let modlist_bytes = self.modules.len().saturating_mul(size_of::<ModlistEntry>());
        bytes.resize(modlist_at.saturating_add(modlist_bytes), 0);
        let mut modlist = Vec::new();
        for module in self.modules {
            let cmdline_at = text(&mut bytes, module.command_line);
            modlist.push(ModlistEntry {
                paddr: module.span.start,
                size: module.span.bytes(),
                cmdline_paddr: cmdline_at.map_or(0, address),
                reserved: 0,
            });
        }
        put(&mut bytes, modlist_at, modlist.as_bytes());

        let cmdline_at = text(&mut bytes, self.command_line);
        let header = Header {
            magic: START_MAGIC_VALUE,
            version: 1,
            flags: self.flags,
            nr_modules: modlist.len() as u32,
            modlist_paddr: if modlist.is_empty() { 0 } else { address(modlist_at) },
            cmdline_paddr: cmdline_at.map_or(0, address),
            rsdp_paddr: self.rsdp.0,
            memmap_paddr: if self.memory.is_empty() { 0 } else { address(memmap_at) },
            memmap_entries: self.memory.len() as u32,
            reserved: 0,
        };
        put(&mut bytes, 0, header.as_bytes());
        bytes
    }
}

/// Adds `text` and a closing NUL; gives where it starts. Nothing for an empty text.
fn text(bytes: &mut Vec<u8>, text: &[u8]) -> Option<usize> {
    if text.is_empty() {
        return None;
    }
    let at = bytes.len();
    bytes.extend(text);
    bytes.push(0);
    Some(at)
}

/// Overwrites what lies at `at`.
fn put(bytes: &mut [u8], at: usize, with: &[u8]) {
    for (to, from) in bytes.iter_mut().skip(at).zip(with) {
        *to = *from;
    }
}
