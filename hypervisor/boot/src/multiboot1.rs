//! Multiboot, version 1 (GNU Multiboot Specification 0.6.96): QEMU's `-kernel` and `-initrd`.

use hv_core::types::Hpa;

use crate::info::{
    BootInfo, ColourField, Display, Framebuffer, InfoError, Protocol, RegionKind, read_string,
    without_first_word,
};
use crate::phys::PhysMemory;

/// What EAX holds at the entry.
pub const LOADER_MAGIC: u32 = 0x2BAD_B002;

const FLAG_MEMORY: u32 = 1 << 0;
const FLAG_COMMAND_LINE: u32 = 1 << 2;
const FLAG_MODULES: u32 = 1 << 3;
const FLAG_MEMORY_MAP: u32 = 1 << 6;
const FLAG_LOADER_NAME: u32 = 1 << 9;
const FLAG_FRAMEBUFFER: u32 = 1 << 12;

const MODULE_BYTES: u64 = 16;
/// A memory map entry: its size field, which does not count itself, and 20 bytes.
const ENTRY_BYTES: u64 = 20;

/// Reads the information structure at `info`.
///
/// # Errors
/// When a part of it can't be read.
pub fn read(boot: &mut BootInfo, info: Hpa, memory: &dyn PhysMemory) -> Result<(), InfoError> {
    let word = |offset: u64| word(memory, Hpa(info.0 + offset));
    boot.protocol = Protocol::Multiboot1;
    let flags = word(0)?;
    if flags & FLAG_COMMAND_LINE != 0 {
        boot.command_line = without_first_word(&string(memory, word(16)?)?);
    }
    if flags & FLAG_LOADER_NAME != 0 {
        let name = string(memory, word(64)?)?;
        boot.loader = name.iter().copied().take(boot.loader.capacity()).collect();
    }
    if flags & FLAG_MODULES != 0 {
        read_modules(boot, memory, word(20)?, word(24)?)?;
    }
    if flags & FLAG_MEMORY_MAP != 0 {
        read_memory_map(boot, memory, word(48)?, word(44)?)?;
    } else if flags & FLAG_MEMORY != 0 {
        boot.add_region(0, u64::from(word(4)?) << 10, RegionKind::RAM.0);
        boot.add_region(1 << 20, u64::from(word(8)?) << 10, RegionKind::RAM.0);
    }
    if flags & FLAG_FRAMEBUFFER != 0 {
        boot.display = read_framebuffer(memory, info)?;
    }
    Ok(())
}

fn word(memory: &dyn PhysMemory, at: Hpa) -> Result<u32, InfoError> {
    memory.read_u32(at).ok_or(InfoError::Unreadable(at))
}

fn string(memory: &dyn PhysMemory, at: u32) -> Result<crate::info::Text, InfoError> {
    let at = Hpa(at.into());
    read_string(memory, at).ok_or(InfoError::Unreadable(at))
}

fn read_modules(
    boot: &mut BootInfo,
    memory: &dyn PhysMemory,
    count: u32,
    list: u32,
) -> Result<(), InfoError> {
    for index in 0..u64::from(count) {
        let entry = u64::from(list) + index * MODULE_BYTES;
        let start = word(memory, Hpa(entry))?;
        let end = word(memory, Hpa(entry + 4))?;
        let text = match word(memory, Hpa(entry + 8))? {
            0 => crate::info::Text::new(),
            at => without_first_word(&string(memory, at)?),
        };
        boot.add_module(Hpa(start.into()), u64::from(end.saturating_sub(start)), text);
    }
    Ok(())
}

fn read_memory_map(
    boot: &mut BootInfo,
    memory: &dyn PhysMemory,
    start: u32,
    bytes: u32,
) -> Result<(), InfoError> {
    let mut at = u64::from(start);
    let end = at + u64::from(bytes);
    while at < end {
        let size = u64::from(word(memory, Hpa(at))?);
        if size < ENTRY_BYTES {
            return Err(InfoError::Malformed(Hpa(at)));
        }
        let long = |offset: u64| {
            memory.read_u64(Hpa(at + offset)).ok_or(InfoError::Unreadable(Hpa(at + offset)))
        };
        boot.add_region(long(4)?, long(12)?, word(memory, Hpa(at + 20))?);
        at += size + 4;
    }
    Ok(())
}

fn read_framebuffer(memory: &dyn PhysMemory, info: Hpa) -> Result<Display, InfoError> {
    let mut raw = [0; 28];
    let at = Hpa(info.0 + 88);
    memory.read(at, &mut raw).ok_or(InfoError::Unreadable(at))?;
    Ok(decode_framebuffer(&raw))
}

/// Decodes the 28 bytes that multiboot 1 (at offset 88) and 2 (tag 8, from its address field)
/// have alike, but for padding before the colours, which the caller has removed.
pub(crate) fn decode_framebuffer(raw: &[u8; 28]) -> Display {
    let [a0, a1, a2, a3, a4, a5, a6, a7, p0, p1, p2, p3, w0, w1, w2, w3, rest @ ..] = *raw;
    let [h0, h1, h2, h3, bits_per_pixel, kind, rp, rs, gp, gs, bp, bs] = rest;
    let field = |position, size| ColourField { position, size };
    match kind {
        1 => Display::Linear(Framebuffer {
            start: Hpa(u64::from_le_bytes([a0, a1, a2, a3, a4, a5, a6, a7])),
            pitch: u32::from_le_bytes([p0, p1, p2, p3]),
            width: u32::from_le_bytes([w0, w1, w2, w3]),
            height: u32::from_le_bytes([h0, h1, h2, h3]),
            bits_per_pixel,
            red: field(rp, rs),
            green: field(gp, gs),
            blue: field(bp, bs),
        }),
        2 => Display::VgaText,
        _ => Display::Unknown,
    }
}
