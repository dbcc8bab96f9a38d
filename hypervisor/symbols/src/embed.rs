//! Filling the section of a linked image.

use std::format;
use std::string::{String, ToString};
use std::vec::Vec;

use object::{Object, ObjectSection, ObjectSegment, ObjectSymbol, SymbolKind};

use crate::{BASE_SYMBOL, MAGIC, MAX_NAME, SECTION, STRIDE};

/// Why symbols can't be embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbedError {
    /// The file is not ELF.
    #[error("the hypervisor's image can't be read: {0}")]
    Elf(#[from] object::Error),
    /// The linker script was not used.
    #[error("the hypervisor's image has no {0}: link it with hypervisor/linker.ld")]
    Missing(&'static str),
    /// The reserved section is too small.
    #[error(
        "the symbol table needs {needed} bytes, the image reserves {reserved}: raise the size in \
         hypervisor/src/arch/x86/boot/symbols.S"
    )]
    TooLarge {
        /// What it needs.
        needed: usize,
        /// What there is.
        reserved: usize,
    },
}

/// The image with its symbol table filled in, and without all that isn't loaded: ELF symbols,
/// debug information, their section headers.
///
/// # Errors
/// If it is not the hypervisor's image, or its table doesn't fit.
pub fn embed(elf: &[u8]) -> Result<Vec<u8>, EmbedError> {
    let file = object::File::parse(elf)?;
    let section = file.section_by_name(SECTION).ok_or(EmbedError::Missing(SECTION))?;
    let (offset, reserved) = section.file_range().ok_or(EmbedError::Missing(SECTION))?;
    let table = build(&functions(&file)?);
    let (offset, reserved) = (offset as usize, reserved as usize);
    if table.len() > reserved {
        return Err(EmbedError::TooLarge { needed: table.len(), reserved });
    }
    let end = file.segments().map(|segment| segment.file_range()).map(|(at, len)| at + len).max();
    let mut image = elf.get(..end.unwrap_or(0) as usize).unwrap_or_default().to_vec();
    let place = image.get_mut(offset..).and_then(|rest| rest.get_mut(..reserved));
    let place = place.ok_or(EmbedError::Missing(SECTION))?;
    let (used, unused) = place.split_at_mut(table.len());
    used.copy_from_slice(&table);
    unused.fill(0);
    replace_sections(&mut image);
    Ok(image)
}

/// Bytes of a section header.
const SECTION_HEADER_BYTES: usize = 64;
const STRING_TABLE: u32 = 3;

/// Replaces the section headers by the fewest that GRUB accepts: the null section, and the
/// string table with their names.
fn replace_sections(image: &mut Vec<u8>) {
    let names = b"\0.shstrtab\0";
    let names_at = image.len() as u64;
    image.extend(names);
    image.resize(image.len().next_multiple_of(8), 0);
    let headers_at = image.len() as u64;
    image.resize(image.len() + 2 * SECTION_HEADER_BYTES, 0);
    let header = headers_at as usize + SECTION_HEADER_BYTES;
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = image.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    // sh_name, sh_type, sh_offset, sh_size, sh_addralign.
    put(header, &1_u32.to_le_bytes());
    put(header + 0x04, &STRING_TABLE.to_le_bytes());
    put(header + 0x18, &names_at.to_le_bytes());
    put(header + 0x20, &(names.len() as u64).to_le_bytes());
    put(header + 0x30, &1_u64.to_le_bytes());
    // In the ELF header: e_shoff, e_shentsize, e_shnum, e_shstrndx.
    put(0x28, &headers_at.to_le_bytes());
    put(0x3A, &(SECTION_HEADER_BYTES as u16).to_le_bytes());
    put(0x3C, &2_u16.to_le_bytes());
    put(0x3E, &1_u16.to_le_bytes());
}

/// The functions' addresses, relative to the image's start, and names, demangled.
fn functions(file: &object::File<'_>) -> Result<Vec<(u32, String)>, EmbedError> {
    let base = file.symbol_by_name(BASE_SYMBOL).ok_or(EmbedError::Missing(BASE_SYMBOL))?.address();
    let text = file.section_by_name(".text").ok_or(EmbedError::Missing(".text"))?.index();
    let function = |symbol: object::Symbol<'_, '_>| {
        let offset = u32::try_from(symbol.address().checked_sub(base)?).ok()?;
        let code = symbol.kind() == SymbolKind::Text
            || (symbol.kind() == SymbolKind::Unknown && symbol.section_index() == Some(text));
        let name = symbol.name().ok().filter(|name| code && !name.is_empty())?;
        Some((offset, format!("{:#}", rustc_demangle::demangle(name))))
    };
    Ok(file.symbols().filter_map(function).collect())
}

/// The table of these functions.
pub fn build(functions: &[(u32, String)]) -> Vec<u8> {
    let mut functions: Vec<_> =
        functions.iter().map(|(address, name)| (*address, cut(name))).collect();
    // Of several names for an address, the shortest is the plainest.
    functions.sort_by_key(|(address, name)| (*address, name.len(), name.to_string()));
    functions.dedup_by_key(|(address, _)| *address);
    let (mut index, mut entries) = (Vec::new(), Vec::new());
    let mut previous = (0, "");
    for (number, &(address, name)) in functions.iter().enumerate() {
        if number % STRIDE == 0 {
            index.extend(address.to_le_bytes());
            index.extend((entries.len() as u32).to_le_bytes());
            previous = (address, "");
        }
        let shared = previous.1.bytes().zip(name.bytes()).take_while(|(a, b)| a == b).count();
        let others = &name.as_bytes()[shared..];
        put_number(&mut entries, address - previous.0);
        entries.extend([shared as u8, others.len() as u8]);
        entries.extend(others);
        previous = (address, name);
    }
    let header = [MAGIC, functions.len() as u32, entries.len() as u32];
    let header = header.iter().flat_map(|word| word.to_le_bytes());
    header.chain(index).chain(entries).collect()
}

/// Cuts a name to the longest that the table holds.
fn cut(name: &str) -> &str {
    let end = (0..=MAX_NAME.min(name.len())).rev().find(|&end| name.is_char_boundary(end));
    &name[..end.unwrap_or(0)]
}

fn put_number(bytes: &mut Vec<u8>, mut number: u32) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}
