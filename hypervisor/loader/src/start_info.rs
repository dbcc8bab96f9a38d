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

#[cfg(test)]
mod tests {
    use xen_abi::arch_x86::hvm::start_info::MemmapType;
    use zerocopy::FromBytes;

    use super::*;

    #[test]
    fn all_that_is_pointed_at_is_where_it_is_said_to_be() {
        let memory = [
            MemmapEntry { addr: 0, size: 0x9_F000, ty: MemmapType::RAM, reserved: 0 },
            MemmapEntry { addr: 1 << 20, size: 1 << 30, ty: MemmapType::RAM, reserved: 0 },
        ];
        let modules = [
            Module { span: Span::new(0x400_0000, 12345), command_line: b"first" },
            Module { span: Span::new(0x500_0000, 1), command_line: b"" },
        ];
        let info = StartInfo {
            flags: 3,
            command_line: b"console=hvc0",
            modules: &modules,
            rsdp: Gpa(0x10_0000),
            memory: &memory,
        };
        const AT: u64 = 0x10_1000;
        let bytes = info.place(Gpa(AT));
        assert_eq!(bytes.len(), info.bytes());
        let at = |address: u64| &bytes[(address - AT) as usize..];
        let (header, _) = Header::read_from_prefix(&bytes).unwrap();
        assert_eq!((header.magic, header.version, header.flags), (START_MAGIC_VALUE, 1, 3));
        assert_eq!((header.nr_modules, header.memmap_entries), (2, 2));
        assert_eq!(header.rsdp_paddr, 0x10_0000);
        assert!(at(header.cmdline_paddr).starts_with(b"console=hvc0\0"));
        assert!(header.modlist_paddr.is_multiple_of(8) && header.memmap_paddr.is_multiple_of(8));
        assert!(at(header.memmap_paddr).starts_with(memory.as_bytes()));
        let (list, _) = <[ModlistEntry; 2]>::read_from_prefix(at(header.modlist_paddr)).unwrap();
        assert_eq!((list[0].paddr, list[0].size), (0x400_0000, 12345));
        assert!(at(list[0].cmdline_paddr).starts_with(b"first\0"));
        assert_eq!((list[1].paddr, list[1].cmdline_paddr), (0x500_0000, 0));
    }

    #[test]
    fn what_is_absent_is_zero() {
        let info =
            StartInfo { flags: 0, command_line: b"", modules: &[], rsdp: Gpa(0), memory: &[] };
        let (header, rest) = Header::read_from_prefix(&info.place(Gpa(0x1000)))
            .map(|(header, rest)| (header, rest.len()))
            .unwrap();
        let expected = Header { magic: START_MAGIC_VALUE, version: 1, ..Header::default() };
        assert_eq!((header, rest), (expected, 0));
    }
}
