//! The two lists of capabilities in configuration space.

use alloc::vec::Vec;

use super::address::{Register, Sbdf};
use super::host::ConfigSpace;
use super::registers::{CAPABILITIES, EXTENDED_CAPABILITIES, STATUS, STATUS_CAPABILITIES};

/// A capability and where it starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capability<Id> {
    /// What it is.
    pub id: Id,
    /// The offset of its header.
    pub offset: u16,
}

/// The capabilities in the first 256 bytes. Lists that loop are cut.
pub fn capabilities(space: &impl ConfigSpace, function: Sbdf) -> Vec<Capability<u8>> {
    /// As many as fit.
    const MOST: usize = (256 - 64) / 4;
    let status = space.read(function, Register::word(STATUS));
    if status & STATUS_CAPABILITIES == 0 || status == 0xFFFF {
        return Vec::new();
    }
    let mut list = Vec::new();
    let mut offset = space.read(function, Register::byte(CAPABILITIES)) as u16 & 0xFC;
    while offset >= 0x40 && list.len() < MOST {
        let header = space.read(function, Register::word(offset));
        let id = header as u8;
        if id == 0xFF {
            break;
        }
        list.push(Capability { id, offset });
        offset = (header >> 8) as u16 & 0xFC;
    }
    list
}

/// The capabilities after the first 256 bytes. Lists that loop are cut.
pub fn extended_capabilities(space: &impl ConfigSpace, function: Sbdf) -> Vec<Capability<u16>> {
    /// As many as fit.
    const MOST: usize = (4096 - 256) / 4;
    let mut list = Vec::new();
    let mut offset = EXTENDED_CAPABILITIES;
    while offset >= EXTENDED_CAPABILITIES && list.len() < MOST {
        let header = space.read(function, Register::dword(offset));
        if header == 0 || header == u32::MAX {
            break;
        }
        list.push(Capability { id: header as u16, offset });
        offset = (header >> 20) as u16 & 0xFFC;
    }
    list
}
