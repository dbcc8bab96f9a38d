//! Multiboot, version 2 (GNU Multiboot2 Specification 2.0): GRUB, on BIOS and on UEFI.
//!
//! The information is a list of tags; each begins with its type and its size, and the next one
//! starts at the following multiple of eight.

use hv_core::types::Hpa;

use crate::info::{BootInfo, InfoError, Protocol, RSDP_BYTES, Rsdp, read_string};
use crate::multiboot1::decode_framebuffer;
use crate::phys::PhysMemory;

/// What EAX holds at the entry.
pub const LOADER_MAGIC: u32 = 0x36D7_6289;

const TAG_END: u32 = 0;
const TAG_COMMAND_LINE: u32 = 1;
const TAG_LOADER_NAME: u32 = 2;
const TAG_MODULE: u32 = 3;
const TAG_MEMORY_MAP: u32 = 6;
const TAG_FRAMEBUFFER: u32 = 8;
const TAG_EFI32: u32 = 11;
const TAG_EFI64: u32 = 12;
const TAG_RSDP_OLD: u32 = 14;
const TAG_RSDP_NEW: u32 = 15;
const TAG_EFI_MEMORY_MAP: u32 = 17;

const TAG_HEADER_BYTES: u64 = 8;

/// Reads the tags at `info`.
///
/// # Errors
/// When a part of them can't be read, or a tag's size is impossible.
pub fn read(boot: &mut BootInfo, info: Hpa, memory: &dyn PhysMemory) -> Result<(), InfoError> {
    boot.protocol = Protocol::Multiboot2;
    let end = info.0 + u64::from(word(memory, info.0)?);
    let mut at = info.0 + TAG_HEADER_BYTES;
    while at + TAG_HEADER_BYTES <= end {
        let kind = word(memory, at)?;
        let size = u64::from(word(memory, at + 4)?);
        if size < TAG_HEADER_BYTES || at + size > end {
            return Err(InfoError::Malformed(Hpa(at)));
        }
        if kind == TAG_END {
            break;
        }
        read_tag(boot, memory, Tag { kind, at, size })?;
        at += size.next_multiple_of(8);
    }
    Ok(())
}

/// A tag's place: `size` counts its header and is at least that.
struct Tag {
    kind: u32,
    at: u64,
    size: u64,
}

fn read_tag(boot: &mut BootInfo, memory: &dyn PhysMemory, tag: Tag) -> Result<(), InfoError> {
    let at = tag.at;
    match tag.kind {
        TAG_COMMAND_LINE => boot.command_line = string(memory, at + 8)?,
        TAG_LOADER_NAME => {
            let name = string(memory, at + 8)?;
            boot.loader = name.iter().copied().take(boot.loader.capacity()).collect();
        }
        TAG_MODULE => {
            let (start, end) = (word(memory, at + 8)?, word(memory, at + 12)?);
            let bytes = u64::from(end.saturating_sub(start));
            boot.add_module(Hpa(start.into()), bytes, string(memory, at + 16)?);
        }
        TAG_MEMORY_MAP => read_memory_map(boot, memory, &tag)?,
        TAG_FRAMEBUFFER => {
            // Two bytes of padding lie between the kind and the colours.
            let (mut raw, mut colours) = ([0; 28], [0; 6]);
            read_bytes(memory, at + 8, raw.get_mut(..22).unwrap_or_default())?;
            if tag.size >= 38 {
                read_bytes(memory, at + 32, &mut colours)?;
            }
            raw.get_mut(22..).unwrap_or_default().copy_from_slice(&colours);
            boot.display = decode_framebuffer(&raw);
        }
        TAG_EFI32 | TAG_EFI64 | TAG_EFI_MEMORY_MAP => boot.efi = true,
        TAG_RSDP_NEW => boot.rsdp = rsdp_copy(memory, &tag)?,
        TAG_RSDP_OLD if boot.rsdp == Rsdp::Search => boot.rsdp = rsdp_copy(memory, &tag)?,
        _ => {}
    }
    Ok(())
}

fn read_memory_map(
    boot: &mut BootInfo,
    memory: &dyn PhysMemory,
    tag: &Tag,
) -> Result<(), InfoError> {
    let entry_bytes = u64::from(word(memory, tag.at + 8)?);
    if entry_bytes < 20 {
        return Err(InfoError::Malformed(Hpa(tag.at)));
    }
    let mut at = tag.at + 16;
    while at + entry_bytes <= tag.at + tag.size {
        let (start, bytes) = (long(memory, at)?, long(memory, at + 8)?);
        boot.add_region(start, bytes, word(memory, at + 16)?);
        at += entry_bytes;
    }
    Ok(())
}

fn rsdp_copy(memory: &dyn PhysMemory, tag: &Tag) -> Result<Rsdp, InfoError> {
    let mut copy = [0; RSDP_BYTES];
    let bytes = (tag.size - TAG_HEADER_BYTES).min(RSDP_BYTES as u64) as usize;
    read_bytes(memory, tag.at + 8, copy.get_mut(..bytes).unwrap_or_default())?;
    Ok(Rsdp::Copy(copy.into_iter().take(bytes).collect()))
}

fn word(memory: &dyn PhysMemory, at: u64) -> Result<u32, InfoError> {
    memory.read_u32(Hpa(at)).ok_or(InfoError::Unreadable(Hpa(at)))
}

fn long(memory: &dyn PhysMemory, at: u64) -> Result<u64, InfoError> {
    memory.read_u64(Hpa(at)).ok_or(InfoError::Unreadable(Hpa(at)))
}

fn string(memory: &dyn PhysMemory, at: u64) -> Result<crate::info::Text, InfoError> {
    read_string(memory, Hpa(at)).ok_or(InfoError::Unreadable(Hpa(at)))
}

fn read_bytes(memory: &dyn PhysMemory, at: u64, into: &mut [u8]) -> Result<(), InfoError> {
    memory.read(Hpa(at), into).ok_or(InfoError::Unreadable(Hpa(at)))
}
