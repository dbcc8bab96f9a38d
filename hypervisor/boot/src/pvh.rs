//! The PVH entry (Xen's `public/arch-x86/hvm/start_info.h`): for a run below another hypervisor
//! that boots kernels directly.

use hv_core::types::Hpa;

use crate::info::{BootInfo, InfoError, Protocol, Rsdp, Text, read_string};
use crate::phys::PhysMemory;

/// The first word of the structure that EBX points to at the entry.
pub const START_MAGIC: u32 = 0x336E_C578;

const MODULE_BYTES: u64 = 32;
const REGION_BYTES: u64 = 24;

/// Reads the start info at `info`.
///
/// # Errors
/// When a part of it can't be read, or it is of version 0, which has no memory map.
pub fn read(boot: &mut BootInfo, info: Hpa, memory: &dyn PhysMemory) -> Result<(), InfoError> {
    let word = |offset: u64| word(memory, info.0 + offset);
    let long = |offset: u64| long(memory, info.0 + offset);
    boot.protocol = Protocol::Pvh;
    if word(0)? != START_MAGIC {
        return Err(InfoError::Malformed(info));
    }
    if word(4)? == 0 {
        return Err(InfoError::NoMemoryMap);
    }
    let (modules, list) = (u64::from(word(12)?), long(16)?);
    for entry in (0..modules).map(|index| list.wrapping_add(index * MODULE_BYTES)) {
        let long = |offset: u64| self::long(memory, entry.wrapping_add(offset));
        let text = string(memory, long(16)?)?;
        boot.add_module(Hpa(long(0)?), long(8)?, text);
    }
    boot.command_line = string(memory, long(24)?)?;
    match long(32)? {
        0 => {}
        at => boot.rsdp = Rsdp::At(Hpa(at)),
    }
    let (map, regions) = (long(40)?, u64::from(word(48)?));
    for entry in (0..regions).map(|index| map.wrapping_add(index * REGION_BYTES)) {
        let long = |offset: u64| self::long(memory, entry.wrapping_add(offset));
        let kind = self::word(memory, entry.wrapping_add(16))?;
        boot.add_region(long(0)?, long(8)?, kind);
    }
    Ok(())
}

/// The string at `at`; address 0 means that there is none.
fn string(memory: &dyn PhysMemory, at: u64) -> Result<Text, InfoError> {
    match at {
        0 => Ok(Text::new()),
        at => read_string(memory, Hpa(at)).ok_or(InfoError::Unreadable(Hpa(at))),
    }
}

fn word(memory: &dyn PhysMemory, at: u64) -> Result<u32, InfoError> {
    memory.read_u32(Hpa(at)).ok_or(InfoError::Unreadable(Hpa(at)))
}

fn long(memory: &dyn PhysMemory, at: u64) -> Result<u64, InfoError> {
    memory.read_u64(Hpa(at)).ok_or(InfoError::Unreadable(Hpa(at)))
}
